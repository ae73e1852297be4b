/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Stopping VMs: by cutting the power, or by asking the guest and waiting until it has shut down.
 * Neither the VM's lock nor a connection is held during the wait, so that anybody may kill, suspend
 * or restart the VM meanwhile. Only the run that was asked is ever killed: a VM that somebody has
 * started again keeps running.
 *
 * stop_run() stops one VM. To stop many, call stop_ask() for each, then stop_wait() once for all of
 * them, then stop_finish() for those that are still waiting. All functions may be called from any
 * thread; a struct stop belongs to one thread at a time.
 */
#include "vm/guest.h"
#include "vm/host.h"

#include <stdatomic.h>

struct stop_how {
	enum guest_way mode;      /* GUEST_NONE: by the agent if there is one, else by ACPI */
	int timeout;              /* how long the guest may take, in seconds */
	bool kill;                /* kill a VM that cannot be asked or does not stop in time */
	const atomic_bool *hurry; /* once true, nobody waits any longer … */
	int64_t deadline;         /*   … nor after this clock_ms(); 0: no deadline */
};

struct stop {
	struct vm vm;       /* as it was last seen */
	bool changed;       /* the VM was not off before */
	enum guest_way way; /* what was done; GUEST_NONE: the VM was off, or shutting down */

	unsigned run;     /* the run that was asked: virDomainGetID() */
	int64_t asked_at; /* clock_ms() */
	bool waiting;     /* for that run to end */
};

/*
 * Stops a VM and waits until it is off. ret->vm is the VM after that; it runs if somebody has
 * started it again meanwhile. Errors, when the VM is not to be killed: ERR_CANNOT_SHUT_DOWN and
 * ERR_AGENT_UNAVAILABLE when there is no way to ask the guest, ERR_WRONG_STATE when the guest
 * cannot react in its current state, ERR_STILL_RUNNING after the timeout. ERR_DRAINING when
 * how->hurry ended the wait. Waiting is long work (ERR_HOST_BUSY).
 */
int stop_run(struct host *host, const struct target *target, const struct stop_how *how,
	struct stop *ret, struct err *err);

/*
 * Kills the VM or asks its guest. `work`, whose kind is set, is entered if the guest must be waited
 * for; pass NULL if the caller has entered long work already.
 */
int stop_ask(struct host *host, const struct target *target, const struct stop_how *how,
	struct long_work *work, struct stop *ret, struct err *err);
/* Returns when each of them is off, or may not be waited for any longer. */
void stop_wait(
	struct host *host, struct stop *const stops[], size_t count, const struct stop_how *how);
/* Reads once those that are waiting. */
void stop_read(struct host *host, struct stop *const stops[], size_t count);
/* Period of the checks of time and how->hurry during a wait, which make no call to the host. */
enum { STOP_SLICE_MS = 100 };
/* When a wait that began to read VMs at `began` reads them again, although no event has come. */
int64_t stop_next_read(int64_t began, bool watched);
/* Is it still waiting, and may be: neither its time is over, nor the deadline, nor is there hurry?
 */
bool stop_is_waited_for(const struct stop *stop, const struct stop_how *how);
/* For a stop that is still waiting: kills the VM, or sets the error that says why it still runs. */
int stop_finish(struct host *host, const struct stop_how *how, struct stop *stop, struct err *err);
