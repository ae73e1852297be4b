/* SPDX-License-Identifier: MIT */
#include "vm/events.h"

#include "base/clock.h"
#include "base/thread.h"
#include "base/uuid.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	REMEMBERED_MAX = 16384, /* as many domains as libvirt itself puts into a list */
	BUCKETS = 4096,
	PAUSE_MIN_MS = 250,
	PAUSE_MAX_MS = 10000,
	RELEASE_WAIT_MS = 1000,
};

/* The last change of a VM's state. */
struct change {
	struct change *next; /* in its bucket */
	char uuid[UUID_SIZE];
	enum vm_state state;
	int id; /* of the domain that runs; -1: none does */
	int64_t at;
	uint64_t number; /* of the event */
};

struct events {
	struct hypervisor *hypervisor;
	pthread_t thread;
	atomic_bool stop;

	pthread_mutex_t lock; /* of what follows; held for moments only: libvirt's loop takes it */
	pthread_cond_t changed;
	bool lost;       /* the connection */
	bool registered; /* until libvirt has let the callback go */
	uint64_t latest; /* the latest event's number; the opening of a connection counts as one */
	uint64_t opened; /*   … that opening's */
	size_t count;
	struct change *buckets[BUCKETS];
};

/* What is remembered */

/* UUIDs are random, or were chosen by whoever may create VMs. */
static struct change **find(struct events *events, const char *uuid)
{
	enum { LAST_DIGITS = UUID_SIZE - 1 - 4 };
	struct change **at = &events->buckets[strtoul(uuid + LAST_DIGITS, NULL, 16) % BUCKETS];
	while (*at && strcmp((*at)->uuid, uuid) != 0)
		at = &(*at)->next;
	return at;
}

static void forget(struct events *events, struct change **at)
{
	struct change *change = *at;
	*at = change->next;
	free(change);
	events->count--;
}

static void forget_all(struct events *events)
{
	for (size_t i = 0; i < BUCKETS; i++)
		while (events->buckets[i])
			forget(events, &events->buckets[i]);
}

/* Transient VMs among them are gone, but no event says that they were transient. */
static void forget_stopped(struct events *events)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct change **at = &events->buckets[i]; *at;) {
			if ((*at)->state == VM_SHUTOFF)
				forget(events, at);
			else
				at = &(*at)->next;
		}
}

static void remember(struct events *events, const char *uuid, enum vm_state state, int id)
{
	if (events->count == REMEMBERED_MAX)
		forget_stopped(events);
	struct change **at = find(events, uuid);
	/* A start sends two events that say "running". */
	if (*at && (*at)->state == state && (*at)->id == id)
		return;
	if (!*at) {
		if (events->count == REMEMBERED_MAX || !(*at = calloc(1, sizeof **at)))
			return;
		(void)snprintf((*at)->uuid, sizeof(*at)->uuid, "%s", uuid);
		events->count++;
	}
	(*at)->state = state;
	(*at)->id = id;
	(*at)->at = clock_wall_ms();
	(*at)->number = ++events->latest;
	(void)pthread_cond_broadcast(&events->changed);
}

/* Events */

/* The state that an event leaves a VM in; VM_UNKNOWN: that it was in. */
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

/* In libvirt's loop: it records, and makes no call that could wait. */
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
	/* A definition that is added to a VM that runs leaves it running. */
	if (event == VIR_DOMAIN_EVENT_DEFINED && id >= 0)
		return 0;
	if (state != VM_UNKNOWN)
		remember(events, uuid, state, id);
	struct change **at = find(events, uuid);
	/* One that runs stays as a transient one. */
	if (event == VIR_DOMAIN_EVENT_UNDEFINED && id < 0 && *at)
		forget(events, at);
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

static int watch(struct events *events, virConnectPtr conn)
{
	{
		LOCK(&events->lock);
		events->lost = false;
		events->registered = true;
	}
	(void)virConnectRegisterCloseCallback(conn, on_lost, events, NULL);
	int callback = virConnectDomainEventRegisterAny(conn, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
		VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), events, on_released);
	LOCK(&events->lock);
	if (callback < 0) { /* libvirt did not take it, and will not let it go */
		events->registered = false;
		events->lost = true;
	}
	events->opened = ++events->latest;
	(void)pthread_cond_broadcast(&events->changed);
	return callback;
}

/* In this order, or the connection stays open (virConnectClose() returns 1). */
static void unwatch(struct events *events, virConnectPtr conn, int callback)
{
	if (callback >= 0)
		(void)virConnectDomainEventDeregisterAny(conn, callback);
	(void)virConnectUnregisterCloseCallback(conn, on_lost);
	{
		/* It may be running, in libvirt's loop. */
		struct timespec deadline = clock_after_ms(RELEASE_WAIT_MS);
		LOCK(&events->lock);
		while (events->registered &&
			pthread_cond_timedwait(&events->changed, &events->lock, &deadline) !=
				ETIMEDOUT)
			;
	}
	(void)virConnectClose(conn);
}

/* Or until the watch shall end. */
static void await_loss(struct events *events)
{
	LOCK(&events->lock);
	while (!atomic_load(&events->stop) && !events->lost)
		(void)pthread_cond_wait(&events->changed, &events->lock);
}

/* false: the watch shall end. */
static bool pause_for(struct events *events, int ms)
{
	struct timespec deadline = clock_after_ms(ms);
	LOCK(&events->lock);
	while (!atomic_load(&events->stop) &&
		pthread_cond_timedwait(&events->changed, &events->lock, &deadline) != ETIMEDOUT)
		;
	return !atomic_load(&events->stop);
}

/* The pauses are for a driver that takes no callbacks, and a daemon that drops who watches it. */
static void *run(void *data)
{
	struct events *events = data;
	int pause_ms = 0;
	do {
		virConnectPtr conn = lease_connect(events->hypervisor, &events->stop);
		if (!conn)
			break;
		int callback = watch(events, conn);
		pause_ms = callback >= 0 || !pause_ms ? PAUSE_MIN_MS : pause_ms * 2;
		if (pause_ms > PAUSE_MAX_MS)
			pause_ms = PAUSE_MAX_MS;
		await_loss(events);
		unwatch(events, conn, callback);
		LOCK(&events->lock);
		forget_all(events);
	} while (pause_for(events, pause_ms));
	return NULL;
}

int64_t events_since(struct events *events, const char *uuid, enum vm_state state, int id)
{
	LOCK(&events->lock);
	const struct change *change = *find(events, uuid);
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
	const struct change *change = *find(events, uuid);
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
	if (thread_start(&events->thread, "host-events", run, events) < 0) {
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
			return; /* libvirt may still call it: it must stay */
	}
	(void)pthread_cond_destroy(&events->changed);
	(void)pthread_mutex_destroy(&events->lock);
	free(events);
}
