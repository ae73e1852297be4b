/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Stops that are waited for without a thread of their own: one thread waits for all of them. It
 * reads a VM when libvirt reports an event of it, or when there was none for long. All functions
 * may be called from any thread.
 */
#include "vm/stop.h"

struct stop_watch;
struct stop_watch *stop_watch_new(struct host *host); /* NULL: memory, or no thread */
void stop_watch_free(struct stop_watch *watch);       /* nothing may be watched */
DEFINE_AUTO(struct stop_watch *, stop_watch_free)

/* A stop that stop_ask() has left waiting. The caller fills in the first four members. */
struct watched_stop {
	struct stop stop;
	struct stop_how how;
	/* Has the client gone? Then nobody waits, unless the VM is to be killed in the end. */
	bool (*is_gone)(struct watched_stop *watched);
	/*
	 * The wait is over: the VM is off, or how->timeout, how->deadline or how->hurry ended it.
	 * Called once, by the thread, which does not use the stop any more: stop_finish() is next
	 * if the stop is still waiting. Must not block.
	 */
	void (*over)(struct watched_stop *watched);

	/* for stop_watch.c alone */
	LIST_ENTRY(watched_stop) entry;
	uint64_t seen;   /* the events that the last read covers */
	int64_t read_at; /* clock_ms() when it is read again, even without an event */
};

/* Hands a stop to the thread. It must live until over() is called, which may be at once. */
void stop_watch_add(struct stop_watch *watch, struct watched_stop *watched);
