/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A limit of long operations: each keeps a worker for up to minutes, so a host has only so many of
 * them at a time, and the other workers stay free for short requests. One user has at most half of
 * the places, so that the others' go on.
 *
 * All functions may be called from any thread.
 */
#include "libvirt/virt.h"

#include <sys/queue.h>

enum long_work_kind {
	LONG_WORK_WAIT,   /* waits for a VM, outside of libvirt */
	LONG_WORK_CALL,   /* is inside a libvirt call, and keeps a connection all that time */
	LONG_WORK_PARKED, /* waits for a VM without a worker: has places of its own */
};
/* So many more operations may wait without a worker than with one. */
enum { LONG_WORK_PARKED_TIMES = 16 };

/*
 * The limit of a hypervisor, for hypervisor.c alone: max operations at a time, max_calls of them
 * LONG_WORK_CALL; both at least 1. NULL: no memory.
 */
struct long_works *long_works_new(int max, int max_calls);
void long_works_free(struct long_works *works); /* none may be running */

struct long_work {
	struct hypervisor *hypervisor; /* NULL: not begun, or ended */
	enum long_work_kind kind;
	const char *user;
	LIST_ENTRY(long_work) entry;
};

/*
 * Waits at most LONG_WORK_WAIT_MS until one more operation of this user may run, then
 * ERR_HOST_BUSY; before that if too many workers wait for this user's (wait.h). The user's name
 *must outlive the operation; NULL is the user without a name. AUTO_LONG_WORK struct long_work work
 *= { 0 }; if (long_work_begin(hypervisor, LONG_WORK_CALL, user, &work, err) < 0) return -1;
 */
enum { LONG_WORK_WAIT_MS = 2000 };
int long_work_begin(struct hypervisor *hypervisor, enum long_work_kind kind, const char *user,
	struct long_work *ret, struct err *err);

/* The same without waiting: false if no more may run now. */
bool long_work_try(struct hypervisor *hypervisor, enum long_work_kind kind, const char *user,
	struct long_work *ret);

/* The operation has left libvirt: from now on it is LONG_WORK_WAIT. */
void long_work_leave_call(struct long_work *work);

void long_work_end(struct long_work *work); /* does nothing if it has not begun */
#define AUTO_LONG_WORK __attribute__((cleanup(long_work_end)))

struct long_works_load {
	int running, max;
};
struct long_works_load long_works_load(struct long_works *works);
