/* SPDX-License-Identifier: MIT */
#include "libvirt/event_loop.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/thread.h"

#include <limits.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

enum {
	WAKE = 0, /* no source's number */
	EVENTS_MAX = 64,
};

static const int64_t never = INT64_MAX;

/* A watch or a timer. */
struct source {
	int number;
	bool removed; /* its done() has not run yet */
	void *data;
	event_done *done;

	int fd; /* -1: a timer */
	int events;
	event_watch_call *on_events;

	int ms;
	int64_t due; /* clock_ms(), or never */
	event_timer_call *on_time;
};

static struct {
	pthread_t thread;
	int epoll, wake;

	pthread_mutex_t lock; /* of what follows */
	bool stop;
	int64_t waits_until; /* clock_ms() or never; 0: the thread is not waiting */
	int last_number;
	struct source *sources;
	size_t count, size;
} loop = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* These expect that the lock is held. */

static struct source *find_source(int number)
{
	for (size_t i = 0; i < loop.count; i++)
		if (loop.sources[i].number == number && !loop.sources[i].removed)
			return &loop.sources[i];
	return NULL;
}

static struct source *add_source(void)
{
	if (loop.stop)
		return NULL;
	if (loop.count == loop.size) {
		size_t size = loop.size ? 2 * loop.size : 16;
		struct source *more = reallocarray(loop.sources, size, sizeof *more);
		if (!more)
			return NULL;
		loop.sources = more;
		loop.size = size;
	}
	struct source *source = &loop.sources[loop.count++];
	*source = (struct source){ .number = ++loop.last_number, .fd = -1, .due = never };
	return source;
}

/* The thread must look again at this time at the latest. */
static void wake_loop_by(int64_t due)
{
	if (due < loop.waits_until)
		(void)eventfd_write(loop.wake, 1);
}

static uint32_t events_to_epoll(int events)
{
	return (events & EVENT_READABLE ? EPOLLIN : 0U) | (events & EVENT_WRITABLE ? EPOLLOUT : 0U);
}

static int events_from_epoll(uint32_t epoll_events)
{
	return (epoll_events & EPOLLIN ? EVENT_READABLE : 0) |
		(epoll_events & EPOLLOUT ? EVENT_WRITABLE : 0) |
		(epoll_events & EPOLLERR ? EVENT_ERROR : 0) |
		(epoll_events & EPOLLHUP ? EVENT_HANGUP : 0);
}

/* A watch for nothing leaves the epoll set, which would report its hang-ups all the same. */
static int set_watched_events(struct source *source, int events)
{
	struct epoll_event event = { .events = events_to_epoll(events),
		.data.u64 = (uint64_t)source->number };
	int op = !events ? EPOLL_CTL_DEL : source->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	if (source->events == events)
		return 0;
	if (epoll_ctl(loop.epoll, op, source->fd, &event) < 0 && events)
		return -1; /* the next change tries again */
	source->events = events;
	return 0;
}

static void set_timer(struct source *source, int ms)
{
	source->ms = ms;
	source->due = ms < 0 ? never : clock_ms() + ms;
	wake_loop_by(source->due);
}

/* When the thread must look again. */
static int64_t next_due_time(void)
{
	int64_t next = never;
	for (size_t i = 0; i < loop.count; i++) {
		const struct source *source = &loop.sources[i];
		int64_t due = source->removed ? 0 : source->due;
		next = due < next ? due : next;
	}
	return loop.stop ? 0 : next;
}

/* The thread */

static bool copy_source(int number, struct source *ret)
{
	LOCK(&loop.lock);
	const struct source *source = find_source(number);
	if (source)
		*ret = *source;
	return source;
}

static void call_watch_of(const struct epoll_event *event)
{
	struct source source;
	eventfd_t ignored;
	if (event->data.u64 == WAKE)
		(void)eventfd_read(loop.wake, &ignored);
	else if (copy_source((int)event->data.u64, &source)) {
		int events = events_from_epoll(event->events) &
			(source.events | (source.events ? EVENT_ERROR | EVENT_HANGUP : 0));
		if (events)
			source.on_events(source.number, source.fd, events, source.data);
	}
}

/* Copies the source at this place; its next time is set if it is due. false: the table ends. */
static bool take_due_source(size_t i, int64_t now, struct source *ret)
{
	LOCK(&loop.lock);
	if (i >= loop.count)
		return false;
	struct source *source = &loop.sources[i];
	*ret = *source;
	if (!source->removed && source->due <= now)
		source->due = now + source->ms;
	return true;
}

static void call_due_timers(void)
{
	int64_t now = clock_ms();
	struct source source;
	for (size_t i = 0; take_due_source(i, now, &source); i++)
		if (!source.removed && source.due <= now)
			source.on_time(source.number, source.data);
}

static bool take_removed_source(struct source *ret)
{
	LOCK(&loop.lock);
	for (size_t i = 0; i < loop.count; i++) {
		if (!loop.sources[i].removed)
			continue;
		*ret = loop.sources[i];
		loop.sources[i] = loop.sources[--loop.count];
		return true;
	}
	return false;
}

/* Not at once when a source is removed: the caller may hold a lock that done() takes. */
static void finish_removed_sources(void)
{
	struct source source;
	while (take_removed_source(&source))
		if (source.done)
			source.done(source.data);
}

static int ms_until(int64_t due)
{
	if (due == never)
		return -1;
	int64_t ms = due - clock_ms();
	return ms < 0 ? 0 : ms > INT_MAX ? INT_MAX : (int)ms;
}

/* Returns how many events there are; -1: the loop must end. */
static int await_events(struct epoll_event events[static EVENTS_MAX])
{
	int64_t due;
	{
		LOCK(&loop.lock);
		due = loop.waits_until = next_due_time();
	}
	int count = epoll_wait(loop.epoll, events, EVENTS_MAX, ms_until(due));
	LOCK(&loop.lock);
	loop.waits_until = 0;
	return loop.stop ? -1 : count > 0 ? count : 0;
}

static void *event_loop_main(void *data)
{
	struct epoll_event events[EVENTS_MAX];
	(void)data;
	for (int count; (count = await_events(events)) >= 0;) {
		for (int i = 0; i < count; i++)
			call_watch_of(&events[i]);
		call_due_timers();
		finish_removed_sources();
	}
	return NULL;
}

int event_loop_start(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = WAKE };
	loop.stop = false;
	loop.epoll = epoll_create1(EPOLL_CLOEXEC);
	loop.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!epoll_ctl(loop.epoll, EPOLL_CTL_ADD, loop.wake, &event) &&
		!thread_start(&loop.thread, "libvirt-events", event_loop_main, NULL))
		return 0;
	(void)close(loop.epoll);
	(void)close(loop.wake);
	return -1;
}

void event_loop_stop(void)
{
	{
		LOCK(&loop.lock);
		loop.stop = true;
		wake_loop_by(0);
	}
	(void)pthread_join(loop.thread, NULL);
	{
		LOCK(&loop.lock);
		for (size_t i = 0; i < loop.count; i++)
			loop.sources[i].removed = true;
	}
	finish_removed_sources();
	{
		LOCK(&loop.lock);
		free(TAKE(loop.sources));
		loop.size = 0;
	}
	(void)close(loop.epoll);
	(void)close(loop.wake);
}

/* What libvirt asks for */

int event_loop_add_watch(int fd, int events, event_watch_call *call, void *data, event_done *done)
{
	LOCK(&loop.lock);
	struct source *source = add_source();
	if (!source)
		return -1;
	source->fd = fd;
	if (set_watched_events(source, events) < 0) {
		loop.count--;
		return -1;
	}
	source->on_events = call;
	source->data = data;
	source->done = done;
	return source->number;
}

void event_loop_update_watch(int watch, int events)
{
	LOCK(&loop.lock);
	struct source *source = find_source(watch);
	if (source && source->fd >= 0)
		(void)set_watched_events(source, events);
}

int event_loop_remove(int number)
{
	LOCK(&loop.lock);
	struct source *source = find_source(number);
	if (!source)
		return -1;
	if (source->fd >= 0)
		(void)set_watched_events(source, 0);
	source->removed = true;
	wake_loop_by(0);
	return 0;
}

int event_loop_add_timer(int ms, event_timer_call *call, void *data, event_done *done)
{
	LOCK(&loop.lock);
	struct source *source = add_source();
	if (!source)
		return -1;
	source->on_time = call;
	source->data = data;
	source->done = done;
	set_timer(source, ms);
	return source->number;
}

void event_loop_update_timer(int timer, int ms)
{
	LOCK(&loop.lock);
	struct source *source = find_source(timer);
	if (source && source->fd < 0)
		set_timer(source, ms);
}
