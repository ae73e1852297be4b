/* SPDX-License-Identifier: MIT */
#include "vm/events.h"

#include "base/clock.h"
#include "base/thread.h"
#include "base/uuid.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

enum {
	CHANGES_MAX = 16384, /* libvirt's own limit of domains in a list */
	BUCKETS = 4096,
	/* Between two subscriptions: a driver may take none, a daemon may drop its subscribers. */
	PAUSE_MIN_MS = 250,
	PAUSE_MAX_MS = 10000,
	RELEASE_WAIT_MS = 1000,
};

/* The last change of a VM's state. */
struct change {
	LIST_ENTRY(change) link; /* in its bucket */
	char uuid[UUID_SIZE];
	enum vm_state state;
	int id;          /* libvirt's of the running domain; -1: not running */
	int64_t at;      /* milliseconds since 1970 */
	uint64_t number; /* of the event */
};
LIST_HEAD(bucket, change);

struct events {
	struct hypervisor *hypervisor;
	pthread_t thread;
	atomic_bool stop;

	/* Guards what follows. Never held for long, because libvirt's event loop takes it. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool lost;       /* the connection */
	bool registered; /* libvirt may still call the callbacks */
	uint64_t latest; /* the number of the latest event; a new connection counts as an event */
	uint64_t opened; /* the number of the connection */
	size_t count;
	struct bucket buckets[BUCKETS]; /* a hash table of changes by uuid */
};

/* Changes */

/* By the last digits: UUIDs are random, or were chosen by somebody who may create VMs. */
static struct bucket *bucket_of(struct events *events, const char *uuid)
{
	enum { LAST_DIGITS = UUID_SIZE - 1 - 4 };
	return &events->buckets[strtoul(uuid + LAST_DIGITS, NULL, 16) % BUCKETS];
}

static struct change *find_change(struct events *events, const char *uuid)
{
	struct change *change = NULL;
	LIST_FOREACH(change, bucket_of(events, uuid), link)
		if (!strcmp(change->uuid, uuid))
			break;
	return change;
}

static void forget_change(struct events *events, struct change *change)
{
	LIST_REMOVE(change, link);
	free(change);
	events->count--;
}

static void forget_changes(struct events *events, bool stopped_only)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct change *next, *c = LIST_FIRST(&events->buckets[i]); c; c = next) {
			next = LIST_NEXT(c, link);
			if (!stopped_only || c->state == VM_SHUTOFF)
				forget_change(events, c);
		}
}

/*
 * When the table is full, the VMs that are off are forgotten: the transient ones among them are
 * gone, and no event says which were transient.
 */
static void record_change(struct events *events, const char *uuid, enum vm_state state, int id)
{
	if (events->count == CHANGES_MAX)
		forget_changes(events, true);
	struct change *change = find_change(events, uuid);
	/* A start sends two events that mean "running". */
	if (change && change->state == state && change->id == id)
		return;
	if (!change) {
		change = events->count < CHANGES_MAX ? calloc(1, sizeof *change) : NULL;
		if (!change)
			return;
		(void)snprintf(change->uuid, sizeof change->uuid, "%s", uuid);
		LIST_INSERT_HEAD(bucket_of(events, uuid), change, link);
		events->count++;
	}
	change->state = state;
	change->id = id;
	change->at = clock_wall_ms();
	change->number = ++events->latest;
	(void)pthread_cond_broadcast(&events->changed);
}

/* Callbacks, in libvirt's event loop: they record, and call nothing that could wait. */

/* The state that an event leaves a VM in; VM_UNKNOWN: its state did not change. */
static enum vm_state state_after(int event, int detail)
{
	switch (event) {
	case VIR_DOMAIN_EVENT_STARTED:
	case VIR_DOMAIN_EVENT_RESUMED:
		return VM_RUNNING;
	case VIR_DOMAIN_EVENT_SUSPENDED:
		return VM_PAUSED;
	case VIR_DOMAIN_EVENT_STOPPED:
		return VM_SHUTOFF;
	case VIR_DOMAIN_EVENT_SHUTDOWN:
		return VM_SHUTDOWN;
	case VIR_DOMAIN_EVENT_PMSUSPENDED:
		return VM_PMSUSPENDED;
	case VIR_DOMAIN_EVENT_CRASHED:
		return VM_CRASHED;
	case VIR_DOMAIN_EVENT_DEFINED:
		return detail == VIR_DOMAIN_EVENT_DEFINED_ADDED ? VM_SHUTOFF : VM_UNKNOWN;
	default:
		return VM_UNKNOWN;
	}
}

static int on_lifecycle(virConnectPtr conn, virDomainPtr dom, int event, int detail, void *data)
{
	struct events *events = data;
	char uuid[UUID_SIZE];
	int id = (int)virDomainGetID(dom);
	enum vm_state state = state_after(event, detail);
	(void)conn;
	if (virDomainGetUUIDString(dom, uuid) < 0)
		return 0;
	LOCK(&events->lock);
	/* A VM that runs keeps running when a definition is added. */
	if (event == VIR_DOMAIN_EVENT_DEFINED && id >= 0)
		return 0;
	if (state != VM_UNKNOWN)
		record_change(events, uuid, state, id);
	struct change *change = find_change(events, uuid);
	/* A VM that runs becomes transient when its definition is removed. */
	if (event == VIR_DOMAIN_EVENT_UNDEFINED && id < 0 && change)
		forget_change(events, change);
	return 0;
}

static void on_lost(virConnectPtr conn, int reason, void *data)
{
	struct events *events = data;
	(void)conn;
	(void)reason;
	LOCK(&events->lock);
	events->lost = true;
	(void)pthread_cond_broadcast(&events->changed);
}

static void on_released(void *data)
{
	struct events *events = data;
	LOCK(&events->lock);
	events->registered = false;
	(void)pthread_cond_broadcast(&events->changed);
}

/* The connection */

/* The callback's number, or -1. */
static int subscribe(struct events *events, virConnectPtr conn)
{
	{
		LOCK(&events->lock);
		events->lost = false;
		events->registered = true;
	}
	(void)virConnectRegisterCloseCallback(conn, on_lost, events, NULL);
	/* libvirt's macro alone casts between types of which clang 19 warns. */
	int callback = virConnectDomainEventRegisterAny(conn, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
		VIR_DOMAIN_EVENT_CALLBACK((void (*)(void))on_lifecycle), events, on_released);
	LOCK(&events->lock);
	if (callback < 0) { /* libvirt will not call on_released() */
		events->registered = false;
		events->lost = true;
	}
	events->opened = ++events->latest;
	(void)pthread_cond_broadcast(&events->changed);
	return callback;
}

/* In this order: otherwise the connection stays open, and virConnectClose() returns 1. */
static void unsubscribe(struct events *events, virConnectPtr conn, int callback)
{
	if (callback >= 0)
		(void)virConnectDomainEventDeregisterAny(conn, callback);
	(void)virConnectUnregisterCloseCallback(conn, on_lost);
	{
		/* A callback may be running. */
		struct timespec deadline = clock_after_ms(RELEASE_WAIT_MS);
		LOCK(&events->lock);
		while (events->registered &&
			pthread_cond_timedwait(&events->changed, &events->lock, &deadline) !=
				ETIMEDOUT)
			;
	}
	(void)virConnectClose(conn);
}

static void await_loss(struct events *events)
{
	LOCK(&events->lock);
	while (!atomic_load(&events->stop) && !events->lost)
		(void)pthread_cond_wait(&events->changed, &events->lock);
}

/* false: stop. */
static bool events_pause(struct events *events, int ms)
{
	struct timespec deadline = clock_after_ms(ms);
	LOCK(&events->lock);
	while (!atomic_load(&events->stop) &&
		pthread_cond_timedwait(&events->changed, &events->lock, &deadline) != ETIMEDOUT)
		;
	return !atomic_load(&events->stop);
}

static void *watch_events(void *data)
{
	struct events *events = data;
	int pause_ms = 0;
	do {
		virConnectPtr conn = lease_connect(events->hypervisor, &events->stop);
		if (!conn)
			break;
		int callback = subscribe(events, conn);
		pause_ms = callback >= 0 || !pause_ms ? PAUSE_MIN_MS : pause_ms * 2;
		if (pause_ms > PAUSE_MAX_MS)
			pause_ms = PAUSE_MAX_MS;
		await_loss(events);
		unsubscribe(events, conn, callback);
		LOCK(&events->lock);
		forget_changes(events, false);
	} while (events_pause(events, pause_ms));
	return NULL;
}

int64_t events_since(struct events *events, const char *uuid, enum vm_state state, int id)
{
	LOCK(&events->lock);
	const struct change *change = find_change(events, uuid);
	if (!change || change->state != state || (id >= 0 && change->id != id))
		return -1;
	return change->at;
}

static uint64_t latest_event(const struct events *events)
{
	return events->opened && !events->lost ? events->latest : 0;
}

uint64_t events_latest(struct events *events)
{
	if (!events)
		return 0;
	LOCK(&events->lock);
	return latest_event(events);
}

uint64_t events_wait(struct events *events, uint64_t seen, int ms)
{
	struct timespec deadline = clock_after_ms(ms);
	if (!events) {
		(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL);
		return 0;
	}
	LOCK(&events->lock);
	while (latest_event(events) <= seen &&
		pthread_cond_timedwait(&events->changed, &events->lock, &deadline) != ETIMEDOUT)
		;
	return latest_event(events);
}

bool events_changed(struct events *events, const char *uuid, uint64_t seen)
{
	if (!events)
		return false;
	LOCK(&events->lock);
	const struct change *change = find_change(events, uuid);
	return events->opened > seen || (change && change->number > seen);
}

struct events *events_new(struct hypervisor *hypervisor)
{
	struct events *events = calloc(1, sizeof *events);
	if (!events)
		return NULL;
	events->hypervisor = hypervisor;
	(void)pthread_mutex_init(&events->lock, NULL);
	cond_init_monotonic(&events->changed);
	if (thread_start(&events->thread, "host-events", watch_events, events) < 0) {
		free(events);
		return NULL;
	}
	return events;
}

void events_free(struct events *events)
{
	{
		LOCK(&events->lock);
		atomic_store(&events->stop, true);
		(void)pthread_cond_broadcast(&events->changed);
	}
	lease_wake(events->hypervisor);
	(void)pthread_join(events->thread, NULL);
	{
		LOCK(&events->lock);
		if (events->registered)
			return; /* libvirt may still call the callbacks, which use it */
	}
	(void)pthread_cond_destroy(&events->changed);
	(void)pthread_mutex_destroy(&events->lock);
	free(events);
}
