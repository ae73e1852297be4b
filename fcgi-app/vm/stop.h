/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Stopping VMs: cutting the power, or asking the guest and waiting for it to go. Neither gate nor
 * connection is held while it is waited for, so that anybody may kill, suspend or restart the VM
 * meanwhile. A run of a VM that is not the one that was asked is never touched.
 *
 * stop_run() stops one. Many are asked first, by stop_ask(), then waited for all at once, by
 * stop_wait(), and those that do not stop are then dealt with by stop_finish(). All functions may
 * be called from any thread; one struct stop is one thread's at a time.
 */
#include "vm/guest.h"
#include "vm/host.h"

#include <stdatomic.h>

struct stop_how {
	enum guest_way mode;
	int timeout;              /* seconds to wait */
	bool kill;                /* what cannot be asked, or does not stop in time */
	const atomic_bool *hurry; /* once it is true nobody waits any longer … */
	int64_t deadline;         /*   … nor after this clock_ms(); 0: there is none */
};

struct stop {
	struct vm vm;         /* as it was seen last */
	bool changed;         /* it was not off before */
	enum guest_way means; /* what was done to it; none: it was off already */

	unsigned run;     /* which one was asked: virDomainGetID() */
	int64_t asked_at; /* clock_ms() */
	bool waiting;     /* for that run to end */
};

/*
 * Stops a VM, and waits for it. ret->vm is what it is then: when somebody has started it again
 * meanwhile, it runs.
 * When it cannot be asked and is not to be killed: ERR_CANNOT_SHUT_DOWN, ERR_AGENT_UNAVAILABLE, and
 * ERR_WRONG_STATE when it is one that hears nothing now. ERR_STILL_RUNNING when the time is over,
 * ERR_DRAINING when it was told to hurry. Waiting is long work (ERR_HOST_BUSY).
 */
int stop_run(struct host *host, const struct target *target, const struct stop_how *how,
	struct stop *ret, struct err *err);

/* Kills or asks. `work` is entered if there is something to wait for; NULL: the caller has. */
int stop_ask(struct host *host, const struct target *target, const struct stop_how *how,
	struct long_work *work, struct stop *ret, struct err *err);
/* Until none of them is waiting any more, or only such whose time is over. */
void stop_wait(
	struct host *host, struct stop *const stops[], size_t count, const struct stop_how *how);
/* One that is waiting still: kills it, or says why it does not wait any longer. */
int stop_finish(struct host *host, const struct stop_how *how, struct stop *stop, struct err *err);
