/* SPDX-License-Identifier: MIT */
#include "base/combiner.h"

#include "base/clock.h"
#include "base/latch.h"
#include "base/thread.h"
#include "base/wait.h"

#include <errno.h>
#include <string.h>

/* One run of the job, which the callers that wait for it share. */
struct run {
	atomic_uint holders;
	struct latch ended;
	struct combiner_turn turn;
	unsigned waiting; /* until it begins: with none left it does not begin */
	int64_t began_at; /* clock_ms() */
	bool failed;
	struct err err; /* when failed */
	_Alignas(max_align_t) char result[];
};

struct combiner {
	struct combiner_job job;
	pthread_t thread;

	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t asked;
	bool stop;
	struct run *next;      /* has not begun; NULL: nobody waits for one */
	struct run *last;      /* the last that succeeded; or NULL */
	int64_t running_since; /* clock_ms(); 0: no run is in progress */
	int64_t due;           /* as the last run said */

	atomic_uint_least64_t runs, asked_count, answers[COMBINED_FAILED + 1];
};

static struct run *run_new(const struct combiner *combiner)
{
	struct run *run = calloc(1, sizeof *run + combiner->job.size);
	if (run)
		atomic_init(&run->holders, 1);
	return run;
}

static struct run *run_share(struct run *run)
{
	(void)atomic_fetch_add_explicit(&run->holders, 1, memory_order_relaxed);
	return run;
}

static void run_give(const struct combiner *combiner, struct run *run)
{
	if (!run || atomic_fetch_sub_explicit(&run->holders, 1, memory_order_acq_rel) > 1)
		return;
	bool has_result =
		atomic_load_explicit(&run->ended.open, memory_order_relaxed) && !run->failed;
	if (has_result && combiner->job.done)
		combiner->job.done(run->result);
	free(run);
}

static void run_copy_result(const struct combiner *combiner, const struct run *run, void *ret)
{
	if (combiner->job.copy)
		combiner->job.copy(ret, run->result);
	else
		memcpy(ret, run->result, combiner->job.size);
}

/* The thread */

/* Sleeps until a caller asks or a run is due, which then is `next`. The lock is held. */
static void combiner_sleep(struct combiner *combiner)
{
	if (!combiner->due) {
		(void)pthread_cond_wait(&combiner->asked, &combiner->lock);
		return;
	}
	int64_t ms = combiner->due - clock_ms();
	struct timespec until = clock_after_ms(ms > 0 ? ms : 0);
	if (pthread_cond_timedwait(&combiner->asked, &combiner->lock, &until) != ETIMEDOUT)
		return;
	combiner->due = 0;
	if (!combiner->next)
		combiner->next = run_new(combiner);
}

/* Waits for the next run, and begins it. NULL: the combiner is being freed. */
static struct run *combiner_begin_run(struct combiner *combiner)
{
	LOCK(&combiner->lock);
	while (!combiner->stop && !combiner->next)
		combiner_sleep(combiner);
	if (combiner->stop)
		return NULL;
	struct run *run = TAKE(combiner->next);
	run->turn.asked = run->waiting > 0;
	run->began_at = combiner->running_since = clock_ms();
	return run;
}

static void combiner_end_run(struct combiner *combiner, struct run *run)
{
	struct run *old = NULL;
	(void)atomic_fetch_add_explicit(&combiner->runs, 1, memory_order_relaxed);
	{
		LOCK(&combiner->lock);
		combiner->running_since = 0;
		combiner->due = run->turn.due;
		if (!run->failed) {
			old = combiner->last;
			combiner->last = run_share(run);
		}
	}
	latch_open(&run->ended);
	run_give(combiner, old);
	run_give(combiner, run);
}

static void *combiner_work(void *data)
{
	struct combiner *combiner = data;
	const struct combiner_job *job = &combiner->job;
	for (struct run *run; (run = combiner_begin_run(combiner));) {
		run->failed = job->run(job->data, &run->turn, run->result, &run->err) < 0;
		combiner_end_run(combiner, run);
	}
	return NULL;
}

struct combiner *combiner_new(const struct combiner_job *job)
{
	struct combiner *combiner = calloc(1, sizeof *combiner);
	if (!combiner)
		return NULL;
	combiner->job = *job;
	(void)pthread_mutex_init(&combiner->lock, NULL);
	cond_init_monotonic(&combiner->asked);
	if (thread_start(&combiner->thread, job->thread, combiner_work, combiner) < 0) {
		free(combiner);
		return NULL;
	}
	return combiner;
}

void combiner_free(struct combiner *combiner)
{
	{
		LOCK(&combiner->lock);
		combiner->stop = true;
		(void)pthread_cond_signal(&combiner->asked);
	}
	(void)pthread_join(combiner->thread, NULL);
	run_give(combiner, combiner->next);
	run_give(combiner, combiner->last);
	(void)pthread_cond_destroy(&combiner->asked);
	(void)pthread_mutex_destroy(&combiner->lock);
	free(combiner);
}

/* Callers */

/* Joins those that wait for the next run. NULL: out of memory. */
static struct run *combiner_join(struct combiner *combiner, unsigned wants)
{
	LOCK(&combiner->lock);
	if (!combiner->next) {
		combiner->next = run_new(combiner);
		if (!combiner->next)
			return NULL;
		(void)pthread_cond_signal(&combiner->asked);
	}
	combiner->next->turn.wants |= wants;
	combiner->next->waiting++;
	(void)atomic_fetch_add_explicit(&combiner->asked_count, 1, memory_order_relaxed);
	return run_share(combiner->next);
}

/* Gives back a run before it ended. The last caller to leave cancels one that has not begun. */
static void combiner_leave(struct combiner *combiner, struct run *run)
{
	struct run *unwanted = NULL;
	{
		LOCK(&combiner->lock);
		if (!--run->waiting && combiner->next == run)
			unwanted = TAKE(combiner->next);
	}
	run_give(combiner, unwanted);
	run_give(combiner, run);
}

/* false: there is no result as young as that. */
static bool combiner_take_last(
	struct combiner *combiner, int64_t stale_ms, void *ret, int64_t *ret_ms)
{
	struct run *last = NULL;
	{
		LOCK(&combiner->lock);
		if (!combiner->last || clock_ms() - combiner->last->began_at > stale_ms)
			return false;
		last = run_share(combiner->last);
	}
	*ret_ms = clock_ms() - last->began_at;
	run_copy_result(combiner, last, ret);
	run_give(combiner, last);
	return true;
}

/* How long the run in progress has taken; 0: there is none. */
static int64_t combiner_running_ms(struct combiner *combiner)
{
	LOCK(&combiner->lock);
	return combiner->running_since ? clock_ms() - combiner->running_since : 0;
}

static enum combined combiner_await(struct combiner *combiner, struct run *run,
	const struct combiner_terms *terms, void *ret, int64_t *ret_ms, struct err *err)
{
	AUTO_WAIT struct wait wait = wait_begin(combiner->job.thread, "");
	if (!wait_for_latch(&wait, &run->ended, clock_ms() + terms->wait_ms)) {
		if (terms->stale_ms && combiner_take_last(combiner, terms->stale_ms, ret, ret_ms))
			return COMBINED_STALE;
		int64_t spent = combiner_running_ms(combiner);
		spent = spent > terms->wait_ms ? spent : terms->wait_ms;
		int64_t until = clock_ms() + terms->patience_ms - spent;
		if (!wait_for_latch(&wait, &run->ended, until)) {
			*ret_ms = combiner_running_ms(combiner);
			return wait.refused ? COMBINED_CROWD : COMBINED_LATE;
		}
	}
	if (run->failed) {
		*err = run->err;
		return COMBINED_FAILED;
	}
	run_copy_result(combiner, run, ret);
	return COMBINED_FRESH;
}

enum combined combiner_ask(struct combiner *combiner, const struct combiner_terms *terms, void *ret,
	int64_t *ret_ms, struct err *err)
{
	struct run *run = combiner_join(combiner, terms->wants);
	if (!run) {
		(void)err_memory(err);
		return COMBINED_FAILED;
	}
	enum combined result = combiner_await(combiner, run, terms, ret, ret_ms, err);
	(void)atomic_fetch_add_explicit(&combiner->answers[result], 1, memory_order_relaxed);
	if (result == COMBINED_FRESH || result == COMBINED_FAILED)
		run_give(combiner, run);
	else
		combiner_leave(combiner, run);
	return result;
}

bool combiner_is_asked(struct combiner *combiner)
{
	LOCK(&combiner->lock);
	return combiner->next != NULL;
}

struct combiner_figures combiner_figures(const struct combiner *combiner)
{
	struct combiner_figures figures = {
		.runs = atomic_load(&combiner->runs),
		.asked = atomic_load(&combiner->asked_count),
	};
	for (size_t i = 0; i < ARRAY_LEN(figures.answers); i++)
		figures.answers[i] = atomic_load(&combiner->answers[i]);
	return figures;
}
