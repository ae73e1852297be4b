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

/* Finding the VMs */

/*
 * Needs a list that is not stale. Without one the request changes nothing, and its error says so,
 * which a 504 would not.
 */
static int list_vms(
	struct host *host, enum inventory_need need, struct vm_list **ret, struct err *err)
{
	int age = 0;
	int rc = inventory_list(host->inventory, need, ret, &age, err);
	if (rc < 0 && err->kind == ERR_DEADLINE_EXCEEDED)
		err->kind = ERR_HYPERVISOR_UNAVAILABLE;
	return rc;
}

struct by_uuid {
	const struct vm *vm;
};

static int compare_uuids(const void *a, const void *b)
{
	const struct by_uuid *entry_a = a;
	const struct by_uuid *entry_b = b;
	return strcasecmp(entry_a->vm->uuid, entry_b->vm->uuid);
}

/* Like domain_lookup(): a uuid is looked for first. by_uuid is the list in that order. */
static const struct vm *find_vm(
	struct vm_list *list, const struct by_uuid by_uuid[], const char *ref)
{
	struct vm vm = { 0 };
	const struct by_uuid key = { &vm };
	if (!uuid_is(ref))
		return vm_list_find(list, ref);
	(void)snprintf(vm.uuid, sizeof vm.uuid, "%s", ref);
	const struct by_uuid *found =
		bsearch(&key, by_uuid, list->count, sizeof key, compare_uuids);
	return found ? found->vm : vm_list_find(list, ref);
}

static void set_vm(struct bulk_item *item, const struct vm *vm)
{
	(void)snprintf(item->vm.uuid, sizeof item->vm.uuid, "%s", vm->uuid);
	(void)snprintf(item->vm.name, sizeof item->vm.name, "%s", vm->name);
}

/* Does no item before the i-th name the same VM? */
static int check_unique(const struct bulk *bulk, size_t i, struct err *err)
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

int bulk_name(struct host *host, const char *const refs[], size_t count, struct bulk *ret,
	struct err *err)
{
	if (list_vms(host, INVENTORY_FRESH, &ret->list, err) < 0)
		return -1;
	struct vm_list *list = ret->list;
	AUTO(free) struct by_uuid *by_uuid = calloc(list->count + 1, sizeof *by_uuid);
	ret->items = calloc(count + 1, sizeof *ret->items);
	if (!by_uuid || !ret->items)
		return err_memory(err);
	for (size_t i = 0; i < list->count; i++)
		by_uuid[i].vm = &list->vms[i];
	qsort(by_uuid, list->count, sizeof *by_uuid, compare_uuids);
	ret->count = count;
	for (size_t i = 0; i < count; i++) {
		struct bulk_item *item = &ret->items[i];
		const struct vm *vm = find_vm(list, by_uuid, refs[i]);
		item->ref = refs[i];
		item->failed = !vm;
		if (vm)
			set_vm(item, vm);
		else
			(void)err_set(&item->err, ERR_VM_NOT_FOUND, "there is no VM '%s'", refs[i]);
		if (check_unique(ret, i, err) < 0)
			return -1;
	}
	return 0;
}

int bulk_select(struct host *host, const struct selection *selection, size_t max, struct bulk *ret,
	struct err *err)
{
	/* The labels in a fresh list may be some seconds old. */
	enum inventory_need need = selection->label ? INVENTORY_REREAD : INVENTORY_FRESH;
	size_t matches = 0;
	if (list_vms(host, need, &ret->list, err) < 0)
		return -1;
	ret->selected = true;
	ret->selection = *selection;
	for (size_t i = 0; i < ret->list->count; i++)
		matches += selection_has(selection, &ret->list->vms[i]);
	if (matches > max) {
		(void)err_set(err, ERR_TOO_MANY_SELECTED,
			"select: %zu VMs match, and max is %zu; nothing was done", matches, max);
		return err_hint(err, "select fewer VMs, or raise max if all of them are meant");
	}
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

/* Acting on them */

struct bulk_work {
	const struct config *config;
	struct host *host;
	enum bulk_action action;
	struct stop_how stop;
	struct bulk *bulk;
	/* The present round: what it does to each item, and which item is next. */
	void (*each)(const struct bulk_work *work, struct bulk_item *item);
	atomic_size_t next;
};

static void *work_on_items(void *data)
{
	struct bulk_work *work = data;
	for (size_t i; (i = atomic_fetch_add(&work->next, 1)) < work->bulk->count;)
		if (!work->bulk->items[i].failed)
			work->each(work, &work->bulk->items[i]);
	return NULL;
}

/*
 * Calls each() for every item that has not failed, from this thread and from as many others as the
 * bound on long work allows: other requests need connections too.
 */
static void run_round(
	struct bulk_work *work, void (*each)(const struct bulk_work *, struct bulk_item *))
{
	struct long_work places[THREADS_MAX - 1] = { 0 };
	pthread_t threads[THREADS_MAX - 1];
	size_t count = 0;
	work->each = each;
	atomic_store(&work->next, 0);
	while (count < ARRAY_LEN(threads) && count + 1 < work->bulk->count &&
		long_work_try(
			work->host->hypervisor, LONG_WORK_CALL, work->bulk->user, &places[count])) {
		if (thread_start(&threads[count], "bulk", work_on_items, work) < 0) {
			long_work_end(&places[count]);
			break;
		}
		count++;
	}
	(void)work_on_items(work);
	while (count) {
		(void)pthread_join(threads[--count], NULL);
		long_work_end(&places[count]);
	}
}

/* May another VM be begun? */
static int check_turn(const struct bulk_work *work, struct err *err)
{
	if (atomic_load(work->stop.hurry))
		return err_set(err, ERR_DRAINING, "virtgate is stopping and did not reach this VM");
	if (clock_ms() < work->stop.deadline)
		return 0;
	return err_set(err, ERR_HOST_BUSY, "the request ran out of time before it reached this VM");
}

/* Does the VM match the selection when its turn has come? */
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
	if (has)
		return 0;
	return err_set(err, ERR_PRECONDITION_FAILED,
		"VM '%.64s' has changed since it was selected, and does not match any more",
		hold->vm.name);
}

static int act_on_vm(
	const struct bulk_work *work, const struct target *target, struct bulk_item *item)
{
	static const enum power_action actions[] = {
		[BULK_START] = POWER_START,
		[BULK_SUSPEND] = POWER_SUSPEND,
		[BULK_RESUME] = POWER_RESUME,
	};
	struct err *err = &item->err;
	switch (work->action) {
	case BULK_START:
	case BULK_SUSPEND:
	case BULK_RESUME:
		return power_act(
			work->config, work->host, target, actions[work->action], &item->acted, err);
	case BULK_STOP:
		return stop_ask(work->host, target, &work->stop, NULL, &item->stop, err);
	case BULK_DELETE:
		return remove_vm(work->config, work->host, target, false, &item->removed, err);
	}
	return -1;
}

/* The first round: what a stop does not do at once, it begins. */
static void act_on_item(const struct bulk_work *work, struct bulk_item *item)
{
	const struct target target = {
		.ref = item->vm.uuid,
		.if_match = "",
		.check = work->bulk->selected ? check_selected : NULL,
		.data = &work->bulk->selection,
	};
	item->failed = check_turn(work, &item->err) < 0 || act_on_vm(work, &target, item) < 0;
}

/* The second round of a stop: VMs that were asked in vain are killed, or have failed. */
static void finish_stop(const struct bulk_work *work, struct bulk_item *item)
{
	struct stop *stop = &item->stop;
	if (stop->waiting &&
		((work->stop.kill && check_turn(work, &item->err) < 0) ||
			stop_finish(work->host, &work->stop, stop, &item->err) < 0)) {
		item->failed = true;
		return;
	}
	inventory_touch(work->host->inventory, stop->vm.uuid);
	item->acted.vm = stop->vm;
	item->acted.changed = stop->changed;
	item->way = stop->way;
}

static void wait_for_stops(const struct bulk_work *work)
{
	const struct bulk *bulk = work->bulk;
	size_t count = 0;
	for (size_t i = 0; i < bulk->count; i++)
		if (!bulk->items[i].failed && bulk->items[i].stop.waiting)
			bulk->waiting[count++] = &bulk->items[i].stop;
	if (count)
		stop_wait(work->host, bulk->waiting, count, &work->stop);
}

int bulk_run(const struct config *config, struct host *host, enum bulk_action action,
	const struct stop_how *stop, struct bulk *bulk, struct err *err)
{
	AUTO_LONG_WORK struct long_work place = { 0 };
	struct bulk_work work = {
		.config = config,
		.host = host,
		.action = action,
		.stop = *stop,
		.bulk = bulk,
	};
	/* Now, because a failure after the first round would hide what that has done. */
	bulk->waiting = calloc(bulk->count + 1, sizeof(struct stop *));
	if (!bulk->waiting)
		return err_memory(err);
	if (long_work_begin(host->hypervisor, LONG_WORK_CALL, bulk->user, &place, err) < 0)
		return -1;
	run_round(&work, act_on_item);
	long_work_leave_call(&place);
	if (action != BULK_STOP)
		return 0;
	wait_for_stops(&work);
	run_round(&work, finish_stop);
	return 0;
}
