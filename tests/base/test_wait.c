/* SPDX-License-Identifier: MIT */
/* How many workers may wait for the same thing, and for anything. */
#include "check.h"

#include "base/clock.h"
#include "base/combiner.h"
#include "base/thread.h"
#include "base/wait.h"

#include <semaphore.h>
#include <string.h>

enum { LONG_MS = 60000 }; /* more than any test takes */

static struct wait_places *places; /* of 4 workers: 3, for one thing 2 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static bool over;

/* Threads that wait for one thing until it is over. */
struct crowd {
	const char *which;
	pthread_t threads[16];
	int count;
	bool workers;
	atomic_int refused, served;
};

static void *wait_for_it(void *data)
{
	struct crowd *crowd = data;
	if (crowd->workers)
		wait_places_join(places);
	AUTO_WAIT struct wait wait = wait_begin("test", crowd->which);
	LOCK(&lock);
	while (!over && wait_on(&wait, &changed, &lock, clock_ms() + LONG_MS))
		;
	(void)atomic_fetch_add(over ? &crowd->served : &crowd->refused, 1);
	return NULL;
}

static void come(struct crowd *crowd, int count)
{
	while (count--)
		assert_int_equal(
			thread_start(&crowd->threads[crowd->count++], "crowd", wait_for_it, crowd),
			0);
}

static void end_all(struct crowd *crowds, size_t count)
{
	{
		LOCK(&lock);
		over = true;
		(void)pthread_cond_broadcast(&changed);
	}
	for (size_t i = 0; i < count; i++)
		while (crowds[i].count)
			(void)pthread_join(crowds[i].threads[--crowds[i].count], NULL);
	assert_int_equal(wait_places_load(places).waiting, 0);
}

static int set_up(void **state)
{
	(void)state;
	over = false;
	places = wait_places_new(4);
	return places ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	wait_places_free(places);
	return 0;
}

static void test_few_workers_wait_long_for_one_thing_and_the_next_is_refused_at_once(void **state)
{
	struct crowd crowd = { .which = "a", .workers = true };
	(void)state;
	come(&crowd, 7);
	AWAIT(atomic_load(&crowd.refused) == 5);
	assert_int_equal(wait_places_load(places).waiting, 2);
	int64_t began = clock_ms();
	come(&crowd, 5);
	AWAIT(atomic_load(&crowd.refused) == 10);
	CHECK(clock_ms() - began < WAIT_BRIEF_MS, "%d ms", (int)(clock_ms() - began));
	end_all(&crowd, 1);
	assert_int_equal(atomic_load(&crowd.served), 2);
}

static void test_another_thing_has_places_left_until_all_are_taken(void **state)
{
	struct crowd crowds[3] = {
		{ .which = "a", .workers = true },
		{ .which = "b", .workers = true },
		{ .which = "c", .workers = true },
	};
	(void)state;
	come(&crowds[0], 4);
	AWAIT(atomic_load(&crowds[0].refused) == 2);
	come(&crowds[1], 4);
	AWAIT(atomic_load(&crowds[1].refused) == 3);
	assert_int_equal(wait_places_load(places).waiting, wait_places_load(places).max);
	come(&crowds[2], 2);
	AWAIT(atomic_load(&crowds[2].refused) == 2);
	end_all(crowds, ARRAY_LEN(crowds));
}

static void test_who_is_served_soon_needs_no_place(void **state)
{
	struct crowd crowd = { .which = "a", .workers = true };
	(void)state;
	come(&crowd, 16);
	end_all(&crowd, 1);
	/* On a slow machine some may have waited for long. */
	assert_int_equal(atomic_load(&crowd.served) + atomic_load(&crowd.refused), 16);
	assert_true(atomic_load(&crowd.served) >= 2);
}

static void test_threads_that_are_no_workers_wait_without_a_limit(void **state)
{
	struct crowd crowds[2] = {
		{ .which = "a", .workers = true },
		{ .which = "a", .workers = false },
	};
	(void)state;
	come(&crowds[0], 4);
	AWAIT(atomic_load(&crowds[0].refused) == 2);
	come(&crowds[1], 8);
	AWAIT(wait_places_load(places).waiting == 2);
	end_all(crowds, ARRAY_LEN(crowds));
	assert_int_equal(atomic_load(&crowds[1].served), 8);
}

/* A job that hangs until the test ends it. */
static sem_t go;

static int hang(void *data, struct combiner_turn *turn, void *ret, struct err *err)
{
	(void)data;
	(void)turn;
	(void)err;
	while (sem_wait(&go))
		;
	*(int *)ret = 1;
	return 0;
}

struct call {
	struct combiner *combiner;
	struct combiner_terms terms;
	pthread_t thread;
};
static atomic_int answers[COMBINED_FAILED + 1];

static void *ask(void *data)
{
	struct call *call = data;
	int result = 0;
	int64_t ms = 0;
	struct err err;
	wait_places_join(places);
	enum combined how = combiner_ask(call->combiner, &call->terms, &result, &ms, &err);
	(void)atomic_fetch_add(&answers[how], 1);
	return NULL;
}

static void test_calls_that_crowd_for_a_run_get_the_last_result_or_none(void **state)
{
	static const struct combiner_job job = {
		.thread = "test", .run = hang, .size = sizeof(int)
	};
	struct combiner *combiner = combiner_new(&job);
	const struct combiner_terms fresh = { .wait_ms = LONG_MS };
	const struct combiner_terms stale = { .wait_ms = LONG_MS, .stale_ms = LONG_MS };
	struct call calls[12] = { 0 };
	(void)state;
	assert_non_null(combiner);
	(void)sem_init(&go, 0, 1);
	memset(answers, 0, sizeof answers);
	calls[0] = (struct call){ combiner, fresh, 0 };
	assert_int_equal(pthread_create(&calls[0].thread, NULL, ask, &calls[0]), 0);
	(void)pthread_join(calls[0].thread, NULL);
	assert_int_equal(atomic_load(&answers[COMBINED_FRESH]), 1);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		calls[i] = (struct call){ combiner, i < 6 ? fresh : stale, 0 };
		assert_int_equal(pthread_create(&calls[i].thread, NULL, ask, &calls[i]), 0);
		if (i == 5)
			AWAIT(atomic_load(&answers[COMBINED_CROWD]) == 4);
	}
	AWAIT(atomic_load(&answers[COMBINED_STALE]) == 6);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		(void)sem_post(&go);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		(void)pthread_join(calls[i].thread, NULL);
	assert_int_equal(atomic_load(&answers[COMBINED_FRESH]), 3);
	combiner_free(combiner);
	(void)sem_destroy(&go);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_few_workers_wait_long_for_one_thing_and_the_next_is_refused_at_once),
		TEST(test_another_thing_has_places_left_until_all_are_taken),
		TEST(test_who_is_served_soon_needs_no_place),
		TEST(test_threads_that_are_no_workers_wait_without_a_limit),
		TEST(test_calls_that_crowd_for_a_run_get_the_last_result_or_none),
	};
	cond_init_monotonic(&changed);
	return cmocka_run_group_tests_name("wait", tests, NULL, NULL);
}
