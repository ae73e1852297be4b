/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "base/clock.h"
#include "base/combiner.h"

#include <sched.h>
#include <semaphore.h>
#include <string.h>

enum { LONG_MS = 60000 }; /* more than any test takes */

/* A job that begins and ends when the test lets it. Its results are numbered, and counted. */
static struct {
	sem_t begun, go;
	atomic_int runs; /* results are numbers of runs, from 1 */
	atomic_bool fails;
	atomic_uint wants;
	atomic_bool asked;
	atomic_llong due; /* the next run's, once */
} job;

static atomic_int alive; /* results that somebody owns */

static int run(void *data, struct combiner_turn *turn, void *ret, struct err *err)
{
	(void)data;
	int number = atomic_fetch_add(&job.runs, 1) + 1;
	atomic_store(&job.wants, turn->wants);
	atomic_store(&job.asked, turn->asked);
	turn->due = atomic_exchange(&job.due, 0);
	(void)sem_post(&job.begun);
	while (sem_wait(&job.go))
		;
	if (atomic_load(&job.fails))
		return err_set(err, ERR_HOST_BUSY, "run %d failed", number);
	(void)atomic_fetch_add(&alive, 1);
	*(int *)ret = number;
	return 0;
}

static void copy(void *to, const void *from)
{
	(void)atomic_fetch_add(&alive, 1);
	*(int *)to = *(const int *)from;
}

static void done(void *result)
{
	(void)result;
	(void)atomic_fetch_sub(&alive, 1);
}

static struct combiner *combiner;

static int set_up(void **state)
{
	static const struct combiner_job how = {
		.thread = "test", .run = run, .size = sizeof(int), .copy = copy, .done = done
	};
	(void)state;
	memset(&job, 0, sizeof job);
	(void)sem_init(&job.begun, 0, 0);
	(void)sem_init(&job.go, 0, 0);
	combiner = combiner_new(&how);
	return combiner ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	combiner_free(combiner);
	assert_int_equal(atomic_load(&alive), 0);
	(void)sem_destroy(&job.begun);
	(void)sem_destroy(&job.go);
	return 0;
}

static void let(int runs)
{
	while (runs--)
		(void)sem_post(&job.go);
}

static void await_begin(void)
{
	while (sem_wait(&job.begun))
		;
}

/* Waits until so many calls have been made. */
static void await_calls(uint64_t count)
{
	while (combiner_figures(combiner).asked < count)
		(void)sched_yield();
}

/* A call, by a thread of its own. */
struct call {
	pthread_t thread;
	struct combiner_terms terms;
	enum combined how;
	int result;
	int64_t ms;
	struct err err;
};

static void ask(struct call *call)
{
	call->how = combiner_ask(combiner, &call->terms, &call->result, &call->ms, &call->err);
	if (call->how == COMBINED_FRESH || call->how == COMBINED_STALE)
		done(&call->result);
}

static void *run_call(void *data)
{
	ask(data);
	return NULL;
}

static void start(struct call *call, struct combiner_terms terms)
{
	call->terms = terms;
	assert_int_equal(pthread_create(&call->thread, NULL, run_call, call), 0);
}

static void finish(struct call *call)
{
	assert_int_equal(pthread_join(call->thread, NULL), 0);
}

static const struct combiner_terms patient = { .wait_ms = LONG_MS };

static void check(const struct call *call, enum combined how, int result)
{
	CHECK(call->how == how && call->result == result, "%d with %d, not %d with %d",
		(int)call->how, call->result, (int)how, result);
}

static void test_a_call_during_a_run_gets_the_next_run(void **state)
{
	struct call first = { 0 };
	struct call second = { 0 };
	(void)state;
	start(&first, patient);
	await_begin();
	start(&second, patient);
	await_calls(2);
	assert_true(combiner_is_asked(combiner));
	let(2);
	finish(&first);
	finish(&second);
	check(&first, COMBINED_FRESH, 1);
	check(&second, COMBINED_FRESH, 2);
}

static void test_calls_during_a_run_share_the_next_run(void **state)
{
	struct call first = { 0 };
	struct call calls[32] = { 0 };
	(void)state;
	start(&first, patient);
	await_begin();
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		start(&calls[i], patient);
	await_calls(1 + ARRAY_LEN(calls));
	let(2);
	finish(&first);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		finish(&calls[i]);
		check(&calls[i], COMBINED_FRESH, 2);
	}
	assert_int_equal(combiner_figures(combiner).runs, 2);
}

static void test_the_job_gets_what_all_calls_want(void **state)
{
	struct call calls[4] = { 0 };
	(void)state;
	start(&calls[0], patient);
	await_begin();
	assert_int_equal(atomic_load(&job.wants), 0);
	assert_true(atomic_load(&job.asked));
	for (unsigned i = 1; i < ARRAY_LEN(calls); i++)
		start(&calls[i], (struct combiner_terms){ .wait_ms = LONG_MS, .wants = 1U << i });
	await_calls(ARRAY_LEN(calls));
	let(2);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		finish(&calls[i]);
	assert_int_equal(atomic_load(&job.wants), 2 | 4 | 8);
}

static void test_a_run_that_hangs_blocks_no_call(void **state)
{
	struct call good = { .terms = patient };
	struct call stuck = { 0 };
	static const struct {
		struct combiner_terms terms;
		enum combined how;
	} rows[] = {
		{ { .wait_ms = 0, .stale_ms = LONG_MS }, COMBINED_STALE },
		{ { .wait_ms = 20, .stale_ms = LONG_MS }, COMBINED_STALE },
		{ { .wait_ms = 0 }, COMBINED_LATE },
		{ { .wait_ms = 20 }, COMBINED_LATE },
		{ { .wait_ms = 0, .patience_ms = 30 }, COMBINED_LATE },
		{ { .wait_ms = 20, .stale_ms = LONG_MS, .patience_ms = LONG_MS }, COMBINED_STALE },
		/* Some milliseconds old it is by now, so there is none. */
		{ { .wait_ms = 20, .stale_ms = 10, .patience_ms = 40 }, COMBINED_LATE },
	};
	(void)state;
	let(1);
	ask(&good);
	check(&good, COMBINED_FRESH, 1);
	await_begin();
	start(&stuck, patient);
	await_begin();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct call call = { .terms = rows[i].terms };
		ask(&call);
		CHECK(call.how == rows[i].how, "row %zu: %d", i, (int)call.how);
		CHECK(call.how != COMBINED_STALE || call.result == 1, "row %zu: %d", i,
			call.result);
		CHECK(call.ms >= rows[i].terms.wait_ms && call.ms < LONG_MS, "row %zu: %lld ms", i,
			(long long)call.ms);
	}
	/* They have gone, so the run that they asked for is not made. */
	assert_false(combiner_is_asked(combiner));
	let(1);
	finish(&stuck);
	check(&stuck, COMBINED_FRESH, 2);
	assert_int_equal(combiner_figures(combiner).runs, 2);
	assert_int_equal(combiner_figures(combiner).answers[COMBINED_FRESH], 2);
	assert_int_equal(combiner_figures(combiner).answers[COMBINED_STALE], 3);
	assert_int_equal(combiner_figures(combiner).answers[COMBINED_LATE], 4);
}

static void test_without_a_last_result_patience_limits_the_wait(void **state)
{
	struct call first = { 0 };
	(void)state;
	start(&first,
		(struct combiner_terms){
			.wait_ms = 0, .stale_ms = LONG_MS, .patience_ms = LONG_MS });
	await_begin();
	let(1);
	finish(&first);
	check(&first, COMBINED_FRESH, 1);
}

static void test_all_calls_get_a_failure_and_no_older_result(void **state)
{
	struct call good = { .terms = patient };
	struct call calls[2] = { 0 };
	(void)state;
	let(1);
	ask(&good);
	await_begin();
	atomic_store(&job.fails, true);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		start(&calls[i],
			(struct combiner_terms){ .wait_ms = LONG_MS, .stale_ms = LONG_MS });
	let(2); /* they may each have a run of their own */
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		finish(&calls[i]);
		check(&calls[i], COMBINED_FAILED, 0);
		assert_int_equal(calls[i].err.kind, ERR_HOST_BUSY);
	}
	atomic_store(&job.fails, false);
}

static void test_the_last_result_outlives_a_failure(void **state)
{
	struct call calls[4] = { { .terms = patient }, { .terms = patient }, { .terms = patient },
		{ .terms.stale_ms = LONG_MS } };
	(void)state;
	let(1);
	ask(&calls[0]);
	atomic_store(&job.fails, true);
	let(1);
	ask(&calls[1]);
	check(&calls[1], COMBINED_FAILED, 0);
	atomic_store(&job.fails, false);
	await_begin();
	await_begin();
	start(&calls[2], patient);
	await_begin();
	ask(&calls[3]);
	check(&calls[3], COMBINED_STALE, 1);
	let(1);
	finish(&calls[2]);
}

static void test_a_due_run_needs_no_call(void **state)
{
	struct call call = { .terms = patient };
	(void)state;
	atomic_store(&job.due, clock_ms() + 1);
	let(2);
	ask(&call);
	check(&call, COMBINED_FRESH, 1);
	await_begin();
	await_begin();
	assert_false(atomic_load(&job.asked));
	let(1);
	ask(&call);
	check(&call, COMBINED_FRESH, 3);
}

enum { ROUNDS = 200 };

/* What was counted before the call is in its result; NULL: always. */
static void *ask_often(void *data)
{
	struct call call = { .terms = patient };
	for (int i = 0; i < ROUNDS; i++) {
		int before = atomic_load(&job.runs);
		ask(&call);
		if (call.how != COMBINED_FRESH || call.result <= before)
			return data;
	}
	return NULL;
}

static void test_no_result_is_from_before_the_call(void **state)
{
	pthread_t threads[16];
	(void)state;
	let((int)ARRAY_LEN(threads) * ROUNDS);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often, combiner), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		void *failure = NULL;
		(void)pthread_join(threads[i], &failure);
		CHECK(!failure, "thread %zu had a result from before its call", i);
	}
	struct combiner_figures figures = combiner_figures(combiner);
	assert_int_equal(figures.answers[COMBINED_FRESH], ARRAY_LEN(threads) * ROUNDS);
	CHECK(figures.runs <= figures.answers[COMBINED_FRESH], "%zu", (size_t)figures.runs);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_a_call_during_a_run_gets_the_next_run),
		TEST(test_calls_during_a_run_share_the_next_run),
		TEST(test_the_job_gets_what_all_calls_want),
		TEST(test_a_run_that_hangs_blocks_no_call),
		TEST(test_without_a_last_result_patience_limits_the_wait),
		TEST(test_all_calls_get_a_failure_and_no_older_result),
		TEST(test_the_last_result_outlives_a_failure),
		TEST(test_a_due_run_needs_no_call),
		TEST(test_no_result_is_from_before_the_call),
	};
	return cmocka_run_group_tests_name("combiner", tests, NULL, NULL);
}
