/* SPDX-License-Identifier: MIT */
#include "vm/vm_list.h"

#include "definition/metadata.h"

#include <string.h>

struct vm_list *vm_list_new(size_t count)
{
	struct vm_list *list = calloc(1, sizeof *list + count * sizeof list->vms[0]);
	if (!list)
		return NULL;
	atomic_init(&list->holders, 1);
	renderings_init(&list->renderings);
	list->count = count;
	return list;
}

struct labels *vm_list_labels(const struct vm *vm)
{
	return (struct labels *)(uintptr_t)vm->labels;
}

struct vm_list *vm_list_share(struct vm_list *list)
{
	(void)atomic_fetch_add_explicit(&list->holders, 1, memory_order_relaxed);
	return list;
}

void vm_list_give(struct vm_list *list)
{
	if (atomic_fetch_sub_explicit(&list->holders, 1, memory_order_acq_rel) > 1)
		return;
	for (size_t i = 0; i < list->count; i++)
		labels_give(vm_list_labels(&list->vms[i]));
	renderings_done(&list->renderings);
	free(list);
}

static int compare_vms(const void *a, const void *b)
{
	return strcmp(((const struct vm *)a)->name, ((const struct vm *)b)->name);
}

static int compare_with_vm_name(const void *name, const void *vm)
{
	return strcmp(name, ((const struct vm *)vm)->name);
}

void vm_list_sort(struct vm_list *list)
{
	qsort(list->vms, list->count, sizeof list->vms[0], compare_vms);
}

struct vm *vm_list_find(struct vm_list *list, const char *name)
{
	return bsearch(name, list->vms, list->count, sizeof list->vms[0], compare_with_vm_name);
}

static void hash_add_text(struct hash *hash, const char *text)
{
	hash_add(hash, text, strlen(text) + 1);
}

/* All that a list says of a VM. Every fetch hashes every VM, so printf() would be too slow. */
static void hash_add_vm(struct hash *hash, const struct vm *vm)
{
	const struct labels *labels = vm->labels;
	const unsigned char flags[] = { vm->state, vm->persistent, vm->autostart, vm->managed_save,
		vm->snapshots, vm->sized, vm->why };
	const int64_t numbers[] = { vm->vcpus, vm->memory_kib,
		labels ? (int64_t)labels->count : -1 };
	hash_add(hash, flags, sizeof flags);
	hash_add(hash, numbers, sizeof numbers);
	hash_add(hash, vm->uuid, sizeof vm->uuid);
	hash_add_text(hash, vm->name);
	hash_add_text(hash, vm->reason);
	for (size_t i = 0; labels && i < labels->count; i++) {
		hash_add_text(hash, labels->label[i].name);
		hash_add_text(hash, labels->label[i].text);
	}
}

int vm_list_seal(struct vm_list *list, struct err *err)
{
	AUTO(hash_free) struct hash *hash = hash_new();
	if (!hash)
		return err_memory(err);
	for (size_t i = 0; i < list->count; i++)
		hash_add_vm(hash, &list->vms[i]);
	hash_read(hash, list->version);
	return 0;
}

void vm_list_count(const struct vm_list *list, size_t ret_counts[static VM_STATE_COUNT])
{
	memset(ret_counts, 0, VM_STATE_COUNT * sizeof ret_counts[0]);
	for (size_t i = 0; i < list->count; i++)
		ret_counts[list->vms[i].state]++;
}
