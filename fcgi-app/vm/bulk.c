/* SPDX-License-Identifier: MIT */
#include "vm/bulk.h"

#include "base/clock.h"
#include "base/thread.h"
#include "base/uuid.h"
#include "definition/metadata.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { THREADS_MAX = 4 };

void bulk_done(struct bulk *bulk)
{
	for (size_t i = 0; i < bulk->count; i++)
		removed_done(&bulk->items[i].removed);
	free(bulk->items);
	free(bulk->waiting);
	if (bulk->list)
		vm_list_give(bulk->list);
}

/* Finding */

static void set_vm(struct bulk_item *item, const struct vm *vm)
{
	(void)snprintf(item->vm.uuid, sizeof item->vm.uuid, "%s", vm->uuid);
	(void)snprintf(item->vm.name, sizeof item->vm.name, "%s", vm->name);
}

struct entry {
	const struct vm *vm;
};

static int compare_uuids(const void *a, const void *b)
{
	return strcasecmp(((const struct entry *)a)->vm->uuid, ((const struct entry *)b)->vm->uuid);
}

/* The list, which is by name, and the same by uuid. */
struct index {
	struct vm_list *list;
	struct entry *by_uuid;
};

static int index_sort(struct index *index, struct err *err)
{
	size_t count = index->list->count;
	index->by_uuid = calloc(count + 1, sizeof *index->by_uuid);
	if (!index->by_uuid)
		return err_memory(err);
	for (size_t i = 0; i < count; i++)
		index->by_uuid[i].vm = &index->list->vms[i];
	qsort(index->by_uuid, count, sizeof *index->by_uuid, compare_uuids);
	return 0;
}

static void index_done(struct index *index)
{
	free(index->by_uuid);
}

/* As domain_lookup() does. */
static const struct vm *find(const struct index *index, const char *ref)
{
	struct vm key = { 0 };
	const struct entry entry = { &key };
	size_t count = index->list->count;
	(void)snprintf(key.uuid, sizeof key.uuid, "%s", uuid_is(ref) ? ref : "");
	const struct entry *by_uuid =
		bsearch(&entry, index->by_uuid, count, sizeof entry, compare_uuids);
	if (by_uuid)
		return by_uuid->vm;
	return vm_list_find(index->list, ref);
}

static int refuse_twice(const struct bulk *bulk, size_t i, struct err *err)
{
	const struct bulk_item *item = &bulk->items[i];
	for (size_t j = 0; j < i; j++) {
		const struct bulk_item *other = &bulk->items[j];
		if (!strcmp(item->vm.uuid, other->vm.uuid) &&
			(item->vm.uuid[0] || !strcmp(item->ref, other->ref)))
			return err_set(err, ERR_BAD_REQUEST,
				"refs[%zu]: names the same VM as refs[%zu]; nothing was done", i,
				j);
	}
	return 0;
}

static int resolve(const struct index *index, const char *const refs[], size_t count,
	struct bulk *bulk, struct err *err)
{
	bulk->items = calloc(count + 1, sizeof *bulk->items);
	if (!bulk->items)
		return err_memory(err);
	bulk->count = count;
	for (size_t i = 0; i < count; i++) {
		struct bulk_item *item = &bulk->items[i];
		const struct vm *vm = find(index, refs[i]);
		item->ref = refs[i];
		item->failed = !vm;
		if (vm)
			set_vm(item, vm);
		else
			(void)err_set(&item->err, ERR_VM_NOT_FOUND, "there is no VM '%s'", refs[i]);
		if (refuse_twice(bulk, i, err) < 0)
			return -1;
	}
	return 0;
}

/* Nothing is done by a list that is stale, nor has anything been done when there is none. */
static int list_all(
	struct host *host, enum inventory_need need, struct vm_list **ret, struct err *err)
{
	int age = 0;
	int rc = inventory_list(host->inventory, need, ret, &age, err);
	if (rc < 0 && err->kind == ERR_DEADLINE_EXCEEDED)
		err->kind = ERR_HYPERVISOR_UNAVAILABLE;
	return rc;
}

int bulk_name(struct host *host, const char *const refs[], size_t count, struct bulk *ret,
	struct err *err)
{
	if (list_all(host, INVENTORY_FRESH, &ret->list, err) < 0)
		return -1;
	__attribute__((cleanup(index_done))) struct index index = { .list = ret->list };
	if (index_sort(&index, err) < 0)
		return -1;
	return resolve(&index, refs, count, ret, err);
}

static int refuse_too_many(size_t matches, size_t max, struct err *err)
{
	if (matches <= max)
		return 0;
	(void)err_set(err, ERR_TOO_MANY_SELECTED,
		"select: %zu VMs match, and max is %zu; nothing was done", matches, max);
	return err_hint(err, "select fewer, or raise max if all of them are meant");
}

int bulk_select(struct host *host, const struct selection *selection, size_t max, struct bulk *ret,
	struct err *err)
{
	size_t matches = 0;
	/* Lists may have labels of some seconds ago. */
	if (list_all(host, selection->label ? INVENTORY_REREAD : INVENTORY_FRESH, &ret->list, err) <
		0)
		return -1;
	ret->selected = true;
	ret->selection = *selection;
	for (size_t i = 0; i < ret->list->count; i++)
		matches += selection_has(selection, &ret->list->vms[i]);
	if (refuse_too_many(matches, max, err) < 0)
		return -1;
	ret->items = calloc(matches + 1, sizeof *ret->items);
	if (!ret->items)
		return err_memory(err);
	for (size_t i = 0; i < ret->list->count; i++) {
		const struct vm *vm = &ret->list->vms[i];
		if (!selection_has(selection, vm))
			continue;
		ret->items[ret->count].ref = vm->name;
		set_vm(&ret->items[ret->count++], vm);
	}
	return 0;
}

/* Doing */

struct job {
	const struct config *config;
	struct host *host;
	enum bulk_action action;
	struct stop_how stop;
	struct bulk *bulk;
	/* Of the round that is under way. */
	void (*each)(const struct job *job, struct bulk_item *item);
	atomic_size_t next;
};

static void *work(void *data)
{
	struct job *job = data;
	for (size_t i; (i = atomic_fetch_add(&job->next, 1)) < job->bulk->count;)
		if (!job->bulk->items[i].failed)
			job->each(job, &job->bulk->items[i]);
	return NULL;
}

/*
 * Calls each() for every item that has not failed, from this thread and as many others as there is
 * room for: other requests, and other bulks, need connections, too.
 */
static void run_round(struct job *job, void (*each)(const struct job *, struct bulk_item *))
{
	struct host *host = job->host;
	struct long_work places[THREADS_MAX - 1] = { 0 };
	pthread_t helpers[THREADS_MAX - 1];
	size_t count = 0;
	job->each = each;
	atomic_store(&job->next, 0);
	while (count < ARRAY_LEN(helpers) && count + 1 < job->bulk->count &&
		long_work_try(host->hypervisor, LONG_WORK_CALL, &places[count])) {
		if (thread_start(&helpers[count], "bulk", work, job) < 0) {
			long_work_end(&places[count]);
			break;
		}
		count++;
	}
	(void)work(job);
	while (count) {
		(void)pthread_join(helpers[--count], NULL);
		long_work_end(&places[count]);
	}
}

/* May an item be begun? */
static int check_turn(const struct job *job, struct err *err)
{
	if (atomic_load(job->stop.hurry))
		return err_set(
			err, ERR_DRAINING, "virtgate is stopping; this VM's turn did not come");
	if (clock_ms() < job->stop.deadline)
		return 0;
	return err_set(err, ERR_HOST_BUSY, "this VM's turn did not come in time");
}

static int act(const struct job *job, const struct target *target, struct bulk_item *item)
{
	static const enum power_action actions[] = {
		[BULK_START] = POWER_START,
		[BULK_SUSPEND] = POWER_SUSPEND,
		[BULK_RESUME] = POWER_RESUME,
	};
	struct err *err = &item->err;
	switch (job->action) {
	case BULK_START:
	case BULK_SUSPEND:
	case BULK_RESUME:
		return power_act(
			job->config, job->host, target, actions[job->action], &item->acted, err);
	case BULK_STOP:
		return stop_ask(job->host, target, &job->stop, NULL, &item->stop, err);
	case BULK_DELETE:
		return remove_vm(job->config, job->host, target, false, &item->removed, err);
	}
	return -1;
}

/* Much may have happened to it since it was selected. */
static int check_selected(struct hold *hold, const void *data, struct err *err)
{
	const struct selection *selection = data;
	struct labels *labels = NULL;
	struct vm vm = hold->vm;
	if (selection->label && inventory_read_labels(&hold->lease, hold->dom, &labels, err) < 0)
		return -1;
	vm.labels = labels;
	bool has = selection_has(selection, &vm);
	labels_give(labels);
	return has ? 0
		   : err_set(err, ERR_PRECONDITION_FAILED,
			     "VM '%.64s' has changed since it was selected, and does not match any "
			     "more",
			     hold->vm.name);
}

static void do_item(const struct job *job, struct bulk_item *item)
{
	const struct target target = {
		.ref = item->vm.uuid,
		.if_match = "",
		.check = job->bulk->selected ? check_selected : NULL,
		.data = &job->bulk->selection,
	};
	item->failed = check_turn(job, &item->err) < 0 || act(job, &target, item) < 0;
}

static int finish(const struct job *job, struct bulk_item *item)
{
	if (job->stop.kill && check_turn(job, &item->err) < 0)
		return -1;
	return stop_finish(job->host, &job->stop, &item->stop, &item->err);
}

static void finish_stop(const struct job *job, struct bulk_item *item)
{
	struct stop *stop = &item->stop;
	if (stop->waiting && finish(job, item) < 0) {
		item->failed = true;
		return;
	}
	inventory_touch(job->host->inventory, stop->vm.uuid);
	item->acted.vm = stop->vm;
	item->acted.changed = stop->changed;
	item->way = stop->way;
}

static void wait_for_all(const struct job *job)
{
	const struct bulk *bulk = job->bulk;
	size_t count = 0;
	for (size_t i = 0; i < bulk->count; i++)
		if (!bulk->items[i].failed && bulk->items[i].stop.waiting)
			bulk->waiting[count++] = &bulk->items[i].stop;
	if (count)
		stop_wait(job->host, bulk->waiting, count, &job->stop);
}

int bulk_run(const struct config *config, struct host *host, enum bulk_action action,
	const struct stop_how *stop, struct bulk *bulk, struct err *err)
{
	AUTO_LONG_WORK struct long_work place = { 0 };
	struct job job = {
		.config = config,
		.host = host,
		.action = action,
		.stop = *stop,
		.bulk = bulk,
	};
	/* Once it has begun nothing may keep it from being told. */
	bulk->waiting = calloc(bulk->count + 1, sizeof(struct stop *));
	if (!bulk->waiting)
		return err_memory(err);
	if (long_work_begin(host->hypervisor, LONG_WORK_CALL, &place, err) < 0)
		return -1;
	run_round(&job, do_item);
	long_work_leave_call(&place);
	if (action != BULK_STOP)
		return 0;
	wait_for_all(&job);
	run_round(&job, finish_stop);
	return 0;
}
