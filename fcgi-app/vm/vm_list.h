/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * All VMs of a host at one time. A list never changes once it is sealed, and many hold it at a
 * time; what is rendered of it is kept with it. All functions may be called from any thread.
 */
#include "format/rendering.h"
#include "libvirt/domain.h"

struct vm_list {
	atomic_uint holders;
	struct renderings renderings;
	char version[HASH_SIZE]; /* of all that the list says */
	size_t count;
	struct vm vms[]; /* by name, as strcmp() orders */
};

/* With that many VMs, of which nothing is known yet. NULL: memory. */
struct vm_list *vm_list_new(size_t count);
/* Puts the VMs into their order. */
void vm_list_sort(struct vm_list *list);
/* Once it is in order. NULL: there is none of this name. */
struct vm *vm_list_find(struct vm_list *list, const char *name);
/* Sets the version: from here on it stays as it is. */
int vm_list_seal(struct vm_list *list, struct err *err);

struct vm_list *vm_list_share(struct vm_list *list);
void vm_list_give(struct vm_list *list);
DEFINE_AUTO(struct vm_list *, vm_list_give)

void vm_list_count(const struct vm_list *list, size_t ret_counts[static VM_STATE_COUNT]);
/* The labels of one of its VMs, which the list holds. */
struct labels *vm_list_labels(const struct vm *vm);
