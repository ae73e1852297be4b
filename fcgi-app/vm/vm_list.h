/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * All VMs of a host at one time. A sealed list never changes; it is shared by counting its holders,
 * and keeps what was rendered from it. All functions may be called from any thread.
 */
#include "format/rendering.h"
#include "libvirt/domain.h"

struct vm_list {
	atomic_uint holders;
	struct renderings renderings;
	char version[HASH_SIZE]; /* hash of the whole content */
	size_t count;
	struct vm vms[]; /* in the order of vm_list_sort() */
};

/* A list of that many VMs, each still empty. NULL: memory. */
struct vm_list *vm_list_new(size_t count);
/* Sorts the VMs by name, in the order of strcmp(). */
void vm_list_sort(struct vm_list *list);
/* Finds a VM in a sorted list. NULL: there is none. */
struct vm *vm_list_find(struct vm_list *list, const char *name);
/* Sets the version; the list must not be changed any more. */
int vm_list_seal(struct vm_list *list, struct err *err);

struct vm_list *vm_list_share(struct vm_list *list);
void vm_list_give(struct vm_list *list);
DEFINE_AUTO(struct vm_list *, vm_list_give)

void vm_list_count(const struct vm_list *list, size_t ret_counts[static VM_STATE_COUNT]);
/* The labels of a VM in a list, which owns them. */
struct labels *vm_list_labels(const struct vm *vm);
