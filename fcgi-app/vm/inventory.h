/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * All VMs at once, at a constant number of RPCs however many there are: the state statistics (which
 * never enter a QEMU monitor) and four filtered lists. vcpus, memory_kib and labels have no cheap
 * bulk call: they are read when a VM is new or was touched, and of all VMs in turn, so that while
 * lists are asked for these alone may lag, by at most twice INVENTORY_SWEEP_MS.
 *
 * One thread of its own fetches them for all who ask, so that a host that hangs holds that thread
 * and nobody else. All functions may be called from any thread.
 */
#include "vm/vm_list.h"

enum {
	INVENTORY_SWEEP_MS = 10000,
	INVENTORY_SOON_MS = 500,
	INVENTORY_STALE_MS = 60000,
};

struct inventory;
/*
 * Keeps the host, which must outlive it. Nobody waits longer than wait_ms for a list. NULL: memory,
 * or no thread.
 */
struct inventory *inventory_new(struct hypervisor *hypervisor, int64_t wait_ms);
void inventory_free(struct inventory *inventory);
DEFINE_AUTO(struct inventory *, inventory_free)

enum inventory_need {
	/*
	 * Waits INVENTORY_SOON_MS, then the last list will do if it is not older than
	 * INVENTORY_STALE_MS. If there is none: ERR_HYPERVISOR_UNAVAILABLE, as soon as the host has
	 * been silent for that long.
	 */
	INVENTORY_SOON,
	/* Begun after the call, in time: ERR_DEADLINE_EXCEEDED. */
	INVENTORY_FRESH,
	/* The same with nothing in it that was read before. */
	INVENTORY_ANEW,
};

/*
 * All VMs; one that cannot be read is among them, without its size. *ret_age: 0 when the fetch
 * began after the call, else how many seconds ago it did, rounded up. When the fetch fails, it does
 * for all. The caller gives the list back.
 */
int inventory_list(struct inventory *inventory, enum inventory_need need, struct vm_list **ret,
	int *ret_age, struct err *err);

/* Since the start: fetches, and the lists that were given of them. */
struct inventory_figures {
	uint64_t fetches, fresh, stale;
};
struct inventory_figures inventory_figures(const struct inventory *inventory);

/* One VM's labels as they are now; NULL: it has none. The caller holds them. */
int inventory_read_labels(
	struct lease *lease, virDomainPtr dom, struct labels **ret, struct err *err);

/* A mutation may have changed this VM's vcpus, memory or labels. */
void inventory_touch(struct inventory *inventory, const char *uuid);
