/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Waiting, with a limit of how many threads wait. A worker that waits answers no request: if all
 * workers waited for one thing that hangs, nobody would be answered.
 *
 * A worker may wait for WAIT_BRIEF_MS; what does not hang usually takes less. To wait longer a
 * worker needs a place. There are places for three quarters of the workers, and for one thing for
 * half of the workers at most. While all places for a thing are taken, further workers that would
 * wait for the thing are refused at once: the thing hangs, or cannot serve so many. Other threads
 * than workers wait without a limit.
 *
 * All functions may be called from any thread; a struct wait belongs to one thread.
 */
#include "base/base.h"
#include "base/latch.h"

#include <sys/queue.h>

enum { WAIT_BRIEF_MS = 500 };

/* The places of a number of workers. NULL: no memory. */
struct wait_places;
struct wait_places *wait_places_new(int workers);
void wait_places_free(struct wait_places *places); /* nobody may wait */

/* The calling thread is one of these workers from now on. NULL: it is none any more. */
void wait_places_join(struct wait_places *places);

struct wait {
	const char *what, *which; /* the thing, in two words */
	struct wait_places *places;
	int64_t brief_until; /* clock_ms() */
	bool placed, refused;
	LIST_ENTRY(wait) entry; /* while it is placed */
};

/*
 * Begins to wait for a thing; the texts must outlive the wait.
 *	AUTO_WAIT struct wait wait = wait_begin("lock", key);
 *	while (!condition && wait_on(&wait, &changed, &lock, until))
 *		;
 */
struct wait wait_begin(const char *what, const char *which);
void wait_end(struct wait *wait);
#define AUTO_WAIT __attribute__((cleanup(wait_end)))

/*
 * Like pthread_cond_wait(), for a condition of cond_init_monotonic(). false, without waiting: that
 * time of clock_ms() is over, or there is no place.
 */
bool wait_on(struct wait *wait, pthread_cond_t *changed, pthread_mutex_t *lock, int64_t until);

/* Waits for a latch to open; false: it is closed, and the time is over or there is no place. */
bool wait_for_latch(struct wait *wait, struct latch *latch, int64_t until);

/* Sleeps for ms at most; false, without waiting: as wait_on(). */
bool wait_sleep(struct wait *wait, int ms, int64_t until);

/* How many wait for long now, and how many may. */
struct wait_load {
	int waiting, max;
};
struct wait_load wait_places_load(struct wait_places *places);
