/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * All VMs at once, at a constant number of RPCs however many there are: the state statistics (which
 * never enter a QEMU monitor) and four filtered lists. vcpus, memory_kib and labels have no cheap
 * bulk call: they are read when a VM is new or was touched, and for all VMs every
 * INVENTORY_SWEEP_MS while lists are asked for, so these alone may lag by that much.
 *
 * All functions may be called from any thread.
 */
#include "domain.h"

enum { INVENTORY_SWEEP_MS = 10000 };

struct vm_list {
	char version[HASH_SIZE]; /* of all that the list says */
	size_t count;
	struct vm vms[]; /* by name, as strcmp() orders */
};
void vm_list_free(struct vm_list *list);
DEFINE_AUTO(struct vm_list *, vm_list_free)
void vm_list_count(const struct vm_list *list, size_t ret_counts[static VM_STATE_COUNT]);

struct inventory;
/* Keeps the host, which must outlive it; runs a thread of its own for the sweep. */
struct inventory *inventory_new(struct host *host);
void inventory_free(struct inventory *inventory);
struct host *inventory_host(const struct inventory *inventory);

/*
 * All VMs, as of after the call began. One that cannot be read is among them, without its size. The
 * caller frees the list.
 */
int inventory_list(struct inventory *inventory, struct vm_list **ret, struct err *err);

/* The same with nothing in it that was read before. */
int inventory_list_fresh(struct inventory *inventory, struct vm_list **ret, struct err *err);

/* One VM's labels as they are now; NULL: it has none. The caller holds them. */
int inventory_read_labels(
	struct lease *lease, virDomainPtr dom, struct labels **ret, struct err *err);

/* A mutation may have changed this VM's vcpus, memory or labels. */
void inventory_touch(struct inventory *inventory, const char *uuid);
