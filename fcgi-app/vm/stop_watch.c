/* SPDX-License-Identifier: MIT */
#include "vm/stop_watch.h"

#include "base/clock.h"
#include "base/thread.h"

enum { READ_MAX = 64 }; /* VMs in one round, so that other stops' time is checked in between */

LIST_HEAD(watched_list, watched_stop);

struct stop_watch {
	struct host *host;
	pthread_t thread;
	struct watched_list watched; /* for the thread alone */

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	struct watched_list added;
	bool end;
};

/* Takes over what was added; if nothing is watched, waits for it. false: the end. */
static bool await_watched(struct stop_watch *watch)
{
	LOCK(&watch->lock);
	while (!watch->end && LIST_EMPTY(&watch->watched) && LIST_EMPTY(&watch->added))
		(void)pthread_cond_wait(&watch->changed, &watch->lock);
	while (!LIST_EMPTY(&watch->added)) {
		struct watched_stop *added = LIST_FIRST(&watch->added);
		LIST_REMOVE(added, entry);
		LIST_INSERT_HEAD(&watch->watched, added, entry);
	}
	return !watch->end;
}

/* Reads the VMs that have changed, or were not read for long; `latest` is of before. */
static void read_due(struct stop_watch *watch, uint64_t latest)
{
	struct stop *due[READ_MAX];
	struct watched_stop *watched = NULL;
	struct watched_stop *read[READ_MAX];
	size_t count = 0;
	int64_t began = clock_ms();
	LIST_FOREACH(watched, &watch->watched, entry) {
		if (count == READ_MAX)
			break;
		bool changed = latest &&
			events_changed(watch->host->events, watched->stop.vm.uuid, watched->seen);
		if (!changed && began < watched->read_at)
			continue;
		read[count] = watched;
		due[count++] = &watched->stop;
	}
	if (!count)
		return;
	stop_read(watch->host, due, count);
	int64_t next = stop_next_read(began, latest);
	for (size_t i = 0; i < count; i++) {
		read[i]->seen = latest;
		read[i]->read_at = next;
	}
}

static bool is_over(struct watched_stop *watched)
{
	return !watched->stop.waiting || !stop_is_waited_for(&watched->stop, &watched->how) ||
		(!watched->how.kill && watched->is_gone(watched));
}

static void end_those_over(struct stop_watch *watch)
{
	struct watched_stop *next = LIST_FIRST(&watch->watched);
	for (struct watched_stop *watched; (watched = next);) {
		next = LIST_NEXT(watched, entry);
		if (!is_over(watched))
			continue;
		LIST_REMOVE(watched, entry);
		watched->over(watched);
	}
}

static void *watch_stops(void *data)
{
	struct stop_watch *watch = data;
	while (await_watched(watch)) {
		uint64_t latest = events_latest(watch->host->events);
		read_due(watch, latest);
		end_those_over(watch);
		if (!LIST_EMPTY(&watch->watched))
			(void)events_wait(watch->host->events, latest, STOP_SLICE_MS);
	}
	return NULL;
}

void stop_watch_add(struct stop_watch *watch, struct watched_stop *watched)
{
	watched->seen = 0;
	watched->read_at = 0; /* it may have stopped before anybody waited */
	LOCK(&watch->lock);
	LIST_INSERT_HEAD(&watch->added, watched, entry);
	(void)pthread_cond_signal(&watch->changed);
}

struct stop_watch *stop_watch_new(struct host *host)
{
	struct stop_watch *watch = calloc(1, sizeof *watch);
	if (!watch)
		return NULL;
	watch->host = host;
	(void)pthread_mutex_init(&watch->lock, NULL);
	cond_init_monotonic(&watch->changed);
	if (thread_start(&watch->thread, "stops", watch_stops, watch) < 0) {
		free(watch);
		return NULL;
	}
	return watch;
}

void stop_watch_free(struct stop_watch *watch)
{
	{
		LOCK(&watch->lock);
		watch->end = true;
		(void)pthread_cond_signal(&watch->changed);
	}
	(void)pthread_join(watch->thread, NULL);
	(void)pthread_cond_destroy(&watch->changed);
	(void)pthread_mutex_destroy(&watch->lock);
	free(watch);
}
