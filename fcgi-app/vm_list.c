/* SPDX-License-Identifier: MIT */
#include "vm_list.h"

#include "metadata.h"

#include <stdio.h>
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

static void put_text(FILE *out, const char *text)
{
	(void)fwrite_unlocked(text, strlen(text) + 1, 1, out);
}

/* Whatever differs between two lists differs here. A fetch takes this much longer: no printf(). */
static void put_vm(FILE *out, const struct vm *vm)
{
	const struct labels *labels = vm->labels;
	const int64_t numbers[] = { vm->state, vm->persistent, vm->autostart, vm->managed_save,
		vm->snapshots, vm->sized, vm->why, vm->vcpus, vm->memory_kib,
		labels ? (int64_t)labels->count : -1 };
	(void)fwrite_unlocked(numbers, sizeof numbers, 1, out);
	put_text(out, vm->uuid);
	put_text(out, vm->name);
	put_text(out, vm->reason);
	for (size_t i = 0; labels && i < labels->count; i++) {
		put_text(out, labels->label[i].name);
		put_text(out, labels->label[i].text);
	}
}

static int set_version(struct vm_list *list, struct err *err)
{
	AUTO(free) char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	if (!out)
		return err_memory(err);
	for (size_t i = 0; i < list->count; i++)
		put_vm(out, &list->vms[i]);
	bool failed = ferror_unlocked(out);
	if (fclose(out) || failed)
		return err_memory(err);
	hash_text(text, len, list->version);
	return 0;
}

static int compare_name(const void *a, const void *b)
{
	return strcmp(((const struct vm *)a)->name, ((const struct vm *)b)->name);
}

int vm_list_seal(struct vm_list *list, struct err *err)
{
	qsort(list->vms, list->count, sizeof list->vms[0], compare_name);
	return set_version(list, err);
}

void vm_list_count(const struct vm_list *list, size_t ret_counts[static VM_STATE_COUNT])
{
	memset(ret_counts, 0, VM_STATE_COUNT * sizeof ret_counts[0]);
	for (size_t i = 0; i < list->count; i++)
		ret_counts[list->vms[i].state]++;
}
