/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One action on many VMs. One list finds all of them; then a few threads that this call starts do
 * to each VM what a request for it alone would do, whatever becomes of the others. A bulk begins no
 * VM after stop_how's deadline (ERR_HOST_BUSY), nor while virtgate is stopping (ERR_DRAINING).
 *
 * All functions may be called from any thread; a struct bulk belongs to one thread at a time.
 */
#include "base/config.h"
#include "vm/host.h"
#include "vm/power.h"
#include "vm/remove.h"
#include "vm/selection.h"
#include "vm/stop.h"

enum {
	BULK_VMS_MAX = 1000,
	/* In seconds. Below the maximum of a single stop, so that time remains to kill VMs. */
	BULK_TIMEOUT_MAX = 300,
};

struct bulk_item {
	const char *ref;  /* as the request has it; for a VM that was selected, its name */
	struct vm_ref vm; /* "" when there is no such VM */
	bool failed;
	struct err err; /* when failed */
	/* Otherwise what was done, by the action: */
	struct power_done acted; /* also of a stop */
	enum guest_way way;      /* of a stop */
	struct removed removed;

	struct stop stop;
};

struct bulk {
	const char *user;           /* for whom: see long_work.h */
	bool selected;              /* by bulk_select() */
	struct selection selection; /* which each VM must still match at its turn */
	size_t count;
	struct bulk_item *items;
	struct vm_list *list;  /* owns the names that the items point to */
	struct stop **waiting; /* for bulk_run() */
};
void bulk_done(struct bulk *bulk);
#define AUTO_BULK __attribute__((cleanup(bulk_done)))

/*
 * The VMs with these refs, in this order; a ref without a VM is an item that has failed.
 * ERR_BAD_REQUEST when two refs name the same VM. The refs must outlive the bulk.
 */
int bulk_name(struct host *host, const char *const refs[], size_t count, struct bulk *ret,
	struct err *err);

/*
 * The VMs that match the selection, by name. ERR_TOO_MANY_SELECTED when more than max do. A VM that
 * does not match any more at its turn is left alone (ERR_PRECONDITION_FAILED). The selection's
 * texts must outlive the bulk.
 */
int bulk_select(struct host *host, const struct selection *selection, size_t max, struct bulk *ret,
	struct err *err);

enum bulk_action { BULK_START, BULK_STOP, BULK_SUSPEND, BULK_RESUME, BULK_DELETE };
/*
 * Performs the action on every VM. stop->hurry and stop->deadline are for all actions, the rest of
 * `stop` for BULK_STOP. A bulk is long work; on ERR_HOST_BUSY nothing was done.
 */
int bulk_run(const struct config *config, struct host *host, enum bulk_action action,
	const struct stop_how *stop, struct bulk *bulk, struct err *err);
