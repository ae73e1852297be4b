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

/* One text of a VM after the other: whatever differs between two lists differs here. */
static int set_version(struct vm_list *list, struct err *err)
{
	AUTO(free) char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	if (!out)
		return err_memory(err);
	for (size_t i = 0; i < list->count; i++) {
		const struct vm *vm = &list->vms[i];
		(void)fprintf(out, "%s %s %d %s %d%d%d%d%d %d %d %lld", vm->uuid, vm->name,
			vm->state, vm->reason, vm->persistent, vm->autostart, vm->managed_save,
			vm->snapshots, vm->sized, (int)vm->why, vm->vcpus,
			(long long)vm->memory_kib);
		for (size_t l = 0; vm->labels && l < vm->labels->count; l++)
			(void)fprintf(out, "%c%s%c%s", 0, vm->labels->label[l].name, 0,
				vm->labels->label[l].text);
		(void)fputc('\n', out);
	}
	if (fclose(out))
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
