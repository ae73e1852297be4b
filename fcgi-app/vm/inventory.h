/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * All VMs of a host at once, by a constant number of RPCs: the state statistics, which never enter
 * a QEMU monitor, and four filtered lists. vcpus, memory_kib and labels have no cheap bulk call.
 * They are read when a VM is new or was touched, and reread in turn for all VMs; so, while lists
 * are asked for, these members alone may be up to 2 * INVENTORY_SWEEP_MS old.
 *
 * One thread fetches lists for all callers, so a host that hangs blocks that thread and no other.
 * All functions may be called from any thread.
 */
#include "vm/vm_list.h"

enum {
	INVENTORY_SWEEP_MS = 10000,
	INVENTORY_WAIT_MS = 500,
	INVENTORY_STALE_MS = 60000,
};

struct inventory;
/*
 * Keeps the hypervisor, which must outlive the inventory. No caller waits longer than wait_ms for a
 * list; where too many workers wait: ERR_HOST_BUSY. NULL: memory, or no thread.
 */
struct inventory *inventory_new(struct hypervisor *hypervisor, int64_t wait_ms);
void inventory_free(struct inventory *inventory);
DEFINE_AUTO(struct inventory *, inventory_free)

enum inventory_need {
	/*
	 * Takes the last list if no fresh one arrives within INVENTORY_WAIT_MS, or sooner if too
	 * many workers wait (wait.h), and if the fetch of the last one began at most
	 * INVENTORY_STALE_MS ago. Without such a list it waits until the running fetch has taken
	 * wait_ms: ERR_HYPERVISOR_UNAVAILABLE.
	 */
	INVENTORY_STALE_OK,
	/* A list whose fetch began after the call. ERR_DEADLINE_EXCEEDED. */
	INVENTORY_FRESH,
	/* The same with all details reread. */
	INVENTORY_REREAD,
};

/*
 * All VMs; a VM that cannot be read is among them, without its details. *ret_age: 0 if the fetch
 * began after the call, else the seconds since it began, rounded up. A fetch that fails, fails for
 * all who wait for it. The caller gives the list back with vm_list_give().
 */
int inventory_list(struct inventory *inventory, enum inventory_need need, struct vm_list **ret,
	int *ret_age, struct err *err);

/* Counted since the start: fetches, and the lists answered fresh or stale. */
struct inventory_figures {
	uint64_t fetches, fresh, stale;
};
struct inventory_figures inventory_figures(const struct inventory *inventory);

/* Reads one VM's labels; *ret is NULL if it has none. The caller gives them back: labels_give(). */
int inventory_read_labels(
	struct lease *lease, virDomainPtr dom, struct labels **ret, struct err *err);

/* Call it after a change of this VM's vcpus, memory or labels: the next list rereads them. */
void inventory_touch(struct inventory *inventory, const char *uuid);
