/* SPDX-License-Identifier: MIT */
#include "base/wait.h"

#include "base/clock.h"

#include <string.h>

struct wait_places {
	int max;
	int max_for_one; /* thing */

	pthread_mutex_t lock; /* of what follows; no other lock is taken inside it */
	LIST_HEAD(wait_list, wait) taken;
	atomic_int taken_count; /* read without the lock */
};

static _Thread_local struct wait_places *joined;

struct wait_places *wait_places_new(int workers)
{
	struct wait_places *places = calloc(1, sizeof *places);
	if (!places)
		return NULL;
	places->max = workers > 1 ? workers * 3 / 4 : 1;
	places->max_for_one = workers > 1 ? workers / 2 : 1;
	(void)pthread_mutex_init(&places->lock, NULL);
	return places;
}

void wait_places_free(struct wait_places *places)
{
	(void)pthread_mutex_destroy(&places->lock);
	free(places);
}

void wait_places_join(struct wait_places *places)
{
	joined = places;
}

/* How many places are taken for the same thing; the lock is held. */
static int count_taken(const struct wait_places *places, const struct wait *same)
{
	const struct wait *wait;
	int count = 0;
	LIST_FOREACH(wait, &places->taken, entry)
		count += !strcmp(wait->what, same->what) && !strcmp(wait->which, same->which);
	return count;
}

struct wait wait_begin(const char *what, const char *which)
{
	struct wait wait = { .what = what, .which = which, .places = joined };
	if (!joined)
		return wait;
	wait.brief_until = clock_ms() + WAIT_BRIEF_MS;
	if (!atomic_load(&joined->taken_count))
		return wait;
	LOCK(&joined->lock);
	wait.refused = count_taken(joined, &wait) >= joined->max_for_one;
	return wait;
}

static void take_place(struct wait *wait)
{
	struct wait_places *places = wait->places;
	LOCK(&places->lock);
	wait->refused = atomic_load(&places->taken_count) >= places->max ||
		count_taken(places, wait) >= places->max_for_one;
	if (wait->refused)
		return;
	wait->placed = true;
	atomic_fetch_add(&places->taken_count, 1);
	LIST_INSERT_HEAD(&places->taken, wait, entry);
}

void wait_end(struct wait *wait)
{
	if (!wait->placed)
		return;
	LOCK(&wait->places->lock);
	LIST_REMOVE(wait, entry);
	atomic_fetch_sub(&wait->places->taken_count, 1);
	wait->placed = false;
}

/* May it wait until then? If only for a part of that time, *until is made earlier. */
static bool wait_goes_on(struct wait *wait, int64_t *until)
{
	int64_t now = clock_ms();
	if (now >= *until)
		return false;
	if (!wait->places || wait->placed)
		return true;
	if (!wait->refused && now >= wait->brief_until)
		take_place(wait);
	if (!wait->placed && *until > wait->brief_until)
		*until = wait->brief_until;
	return !wait->refused;
}

static struct timespec clock_time(int64_t at)
{
	int64_t ms = at - clock_ms();
	return clock_after_ms(ms > 0 ? ms : 0);
}

bool wait_on(struct wait *wait, pthread_cond_t *changed, pthread_mutex_t *lock, int64_t until)
{
	if (!wait_goes_on(wait, &until))
		return false;
	struct timespec deadline = clock_time(until);
	(void)pthread_cond_timedwait(changed, lock, &deadline);
	return true;
}

bool wait_for_latch(struct wait *wait, struct latch *latch, int64_t until)
{
	static const struct timespec past = { 0 };
	for (int64_t next = until; wait_goes_on(wait, &next); next = until) {
		struct timespec deadline = clock_time(next);
		if (latch_wait(latch, &deadline))
			return true;
	}
	return latch_wait(latch, &past);
}

bool wait_sleep(struct wait *wait, int ms, int64_t until)
{
	if (!wait_goes_on(wait, &until))
		return false;
	int64_t end = clock_ms() + ms;
	struct timespec deadline = clock_time(end < until ? end : until);
	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL);
	return true;
}

struct wait_load wait_places_load(struct wait_places *places)
{
	return (struct wait_load){ atomic_load(&places->taken_count), places->max };
}
