/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One action on many VMs. They are found all at once, at the price of one list; then a few threads
 * of the call's own do to each what its own request would do, however the others fared. The whole
 * takes until stop_how's deadline and what is being done then: a VM whose turn has not come by that
 * time is left alone (ERR_HOST_BUSY), and so is one when the process is ending (ERR_DRAINING).
 *
 * All functions may be called from any thread; a bulk is one thread's at a time.
 */
#include "base/config.h"
#include "vm/host.h"
#include "vm/power.h"
#include "vm/remove.h"
#include "vm/selection.h"
#include "vm/stop.h"

enum {
	BULK_VMS_MAX = 1000,
	/* What a bulk stop may wait, so that there is time to kill those that do not. */
	BULK_TIMEOUT_MAX = 300,
};

struct bulk_item {
	const char *ref;  /* as it was asked for; of one that was selected, its name */
	struct vm_ref vm; /* "" when there is none */
	bool failed;
	struct err err; /* when failed */
	/* Else what was done, by what it was. */
	struct power_done acted; /* of a stop, too */
	enum guest_way way;
	struct removed removed;

	struct stop stop;
};

struct bulk {
	bool selected;              /* else they were named */
	struct selection selection; /* that each must still fit */
	size_t count;
	struct bulk_item *items;
	struct vm_list *list;  /* what the items' names lie in */
	struct stop **waiting; /* for bulk_run() */
};
void bulk_done(struct bulk *bulk);
#define AUTO_BULK __attribute__((cleanup(bulk_done)))

/*
 * Those that are named, in this order; what there is no VM for fails by itself. ERR_BAD_REQUEST
 * when two name the same. The refs must outlive the bulk.
 */
int bulk_name(struct host *host, const char *const refs[], size_t count, struct bulk *ret,
	struct err *err);

/*
 * Those that match, by name. ERR_TOO_MANY_SELECTED when these are more than max. The selection's
 * texts must outlive the bulk. One that does not fit any more when its turn comes is left alone
 * (ERR_PRECONDITION_FAILED).
 */
int bulk_select(struct host *host, const struct selection *selection, size_t max, struct bulk *ret,
	struct err *err);

enum bulk_action { BULK_START, BULK_STOP, BULK_SUSPEND, BULK_RESUME, BULK_DELETE };
/*
 * Does it to all. `stop` is for BULK_STOP, its hurry for all. ERR_HOST_BUSY when too much long work
 * is under way, of which this is one; then nothing was done.
 */
int bulk_run(const struct config *config, struct host *host, enum bulk_action action,
	const struct stop_how *stop, struct bulk *bulk, struct err *err);
