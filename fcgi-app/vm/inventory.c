/* SPDX-License-Identifier: MIT */
#include "vm/inventory.h"

#include "base/clock.h"
#include "base/combiner.h"
#include "base/uuid.h"
#include "definition/metadata.h"
#include "libvirt/hypervisor.h"

#include <stdio.h>
#include <string.h>

/* What is remembered of each VM between lists, by uuid. */
struct known {
	char uuid[UUID_SIZE];
	int vcpus;
	int64_t memory_kib;
	struct labels *labels;
	int64_t read_at;  /* clock_ms(); 0: to be read again */
	unsigned touched; /* the count of touches when it was touched last */
};

enum {
	WANT_ANEW = 1,
	/* Nobody has asked for so long: there is time to read again what is old. */
	REST_MS = 200,
	/* Where somebody always asks, a part of what is old is read with each list. */
	SWEEP_PARTS = 16,
};

struct inventory {
	struct hypervisor *hypervisor;
	struct combiner *combiner;
	int64_t wait_ms;
	/* Of its thread. */
	struct vm_list *list; /* the last */
	int64_t asked_at;

	pthread_mutex_t lock;
	struct known *known;
	size_t known_count;
	unsigned touches;
};

static int compare_uuid(const void *a, const void *b)
{
	return strcmp(((const struct known *)a)->uuid, ((const struct known *)b)->uuid);
}

static int compare_known(const void *uuid, const void *known)
{
	return strcmp(uuid, ((const struct known *)known)->uuid);
}

static struct known *find_known(const struct inventory *inventory, const char *uuid)
{
	if (!inventory->known_count)
		return NULL;
	return bsearch(uuid, inventory->known, inventory->known_count, sizeof inventory->known[0],
		compare_known);
}

static void forget_all(struct known *known, size_t count)
{
	for (size_t i = 0; i < count; i++)
		labels_give(known[i].labels);
	free(known);
}

/* libvirt's lists, each with what it owns. */
struct domains {
	virDomainPtr *list;
	int count;
};

static void domains_done(struct domains *domains)
{
	for (int i = 0; i < domains->count; i++)
		(void)virDomainFree(domains->list[i]);
	free(domains->list);
}

static void auto_stats(virDomainStatsRecordPtr **stats)
{
	virDomainStatsRecordListFree(*stats);
}

/* What a list says of a VM beside its state, and what was known of that before. */
struct reading {
	struct known *known; /* NULL: nothing */
	int64_t at;          /* clock_ms() */
};

/* Everything of a fetch that is under way. */
struct fetch {
	struct inventory *inventory;
	const struct combiner_turn *turn;
	struct vm_list *list;
	struct reading *readings; /* of each VM in the list */
	int64_t oldest;           /* of these */
	size_t spare;             /* so many more may be read again */
	unsigned touches;         /* when the fetch began */
};

/* What libvirt tells by lists: of those that have it, and of those that have it not. */
static const struct flag {
	unsigned with, without; /* filters */
	size_t offset;          /* in struct vm */
} flags[] = {
	{ VIR_CONNECT_LIST_DOMAINS_AUTOSTART, VIR_CONNECT_LIST_DOMAINS_NO_AUTOSTART,
		offsetof(struct vm, autostart) },
	{ VIR_CONNECT_LIST_DOMAINS_PERSISTENT, VIR_CONNECT_LIST_DOMAINS_TRANSIENT,
		offsetof(struct vm, persistent) },
	{ VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE, VIR_CONNECT_LIST_DOMAINS_NO_MANAGEDSAVE,
		offsetof(struct vm, managed_save) },
	{ VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT, VIR_CONNECT_LIST_DOMAINS_NO_SNAPSHOT,
		offsetof(struct vm, snapshots) },
};

static bool *flag_of(struct vm *vm, const struct flag *flag)
{
	return (bool *)(void *)((char *)vm + flag->offset);
}

/* The shorter of the two lists is asked for: a VM in it costs libvirt as much as its state does. */
static bool most_have(struct vm_list *last, const struct flag *flag)
{
	size_t count = 0;
	for (size_t i = 0; last && i < last->count; i++)
		count += *flag_of(&last->vms[i], flag);
	return last && count > last->count / 2;
}

/* By its name, which is quick; unless it has got another one since. */
static struct vm *find_listed(struct vm_list *list, virDomainPtr dom)
{
	unsigned char bytes[VIR_UUID_BUFLEN] = { 0 };
	char uuid[UUID_SIZE];
	(void)virDomainGetUUID(dom, bytes);
	uuid_text(bytes, uuid);
	struct vm *vm = vm_list_find(list, virDomainGetName(dom));
	if (vm && !strcmp(vm->uuid, uuid))
		return vm;
	for (size_t i = 0; i < list->count; i++)
		if (!strcmp(list->vms[i].uuid, uuid))
			return &list->vms[i];
	return NULL;
}

static int mark_flag(struct lease *lease, struct vm_list *list, const struct flag *flag, bool most,
	struct err *err)
{
	__attribute__((cleanup(domains_done))) struct domains some = { 0 };
	some.count = virConnectListAllDomains(
		lease->conn, &some.list, most ? flag->without : flag->with);
	if (some.count < 0) {
		some.count = 0;
		return virt_fail(lease, VIRT_READ, err);
	}
	for (size_t i = 0; i < list->count; i++)
		*flag_of(&list->vms[i], flag) = most;
	for (int i = 0; i < some.count; i++) {
		struct vm *vm = find_listed(list, some.list[i]);
		if (vm)
			*flag_of(vm, flag) = !most;
	}
	return 0;
}

static int mark_flags(
	struct lease *lease, struct vm_list *last, struct vm_list *list, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (mark_flag(lease, list, &flags[i], most_have(last, &flags[i]), err) < 0)
			return -1;
	return 0;
}

/*
 * Will what was read so long ago do? What is old is read again when nobody waits, or by and by.
 * When nobody has asked for a while, all is too old.
 */
static bool will_do(struct fetch *fetch, int64_t age)
{
	if (fetch->turn->wants & WANT_ANEW || age > (int64_t)2 * INVENTORY_SWEEP_MS)
		return false;
	if (age <= INVENTORY_SWEEP_MS)
		return true;
	if (!fetch->turn->asked)
		return combiner_is_asked(fetch->inventory->combiner);
	if (!fetch->spare || age <= INVENTORY_SWEEP_MS * 3 / 2)
		return true;
	fetch->spare--;
	return false;
}

static bool recall(struct fetch *fetch, size_t i)
{
	struct vm *vm = &fetch->list->vms[i];
	LOCK(&fetch->inventory->lock);
	struct known *known = find_known(fetch->inventory, vm->uuid);
	fetch->readings[i].known = known;
	if (!known || !known->read_at || !will_do(fetch, clock_ms() - known->read_at))
		return false;
	vm->sized = true;
	vm->vcpus = known->vcpus;
	vm->memory_kib = known->memory_kib;
	vm->labels = labels_share(known->labels);
	fetch->readings[i].at = known->read_at;
	return true;
}

/* Of the definition; one that is transient has none, and tells of itself. */
int inventory_read_labels(
	struct lease *lease, virDomainPtr dom, struct labels **ret, struct err *err)
{
	static const unsigned sources[] = { VIR_DOMAIN_AFFECT_CONFIG, VIR_DOMAIN_AFFECT_LIVE };
	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		AUTO(free) char *element = virDomainGetMetadata(
			dom, VIR_DOMAIN_METADATA_ELEMENT, METADATA_URI, sources[i]);
		if (element)
			return metadata_read_labels(element, ret, err);
		(void)virt_fail(lease, VIRT_READ, err);
		if (err->libvirt_code == VIR_ERR_NO_DOMAIN_METADATA) {
			*ret = NULL;
			return 0;
		}
		if (lease->broken || err->kind != ERR_WRONG_STATE)
			return -1;
	}
	return -1;
}

static int read_known(struct lease *lease, virDomainPtr dom, struct vm *vm, struct err *err)
{
	virDomainInfo info;
	struct labels *labels = NULL;
	if (virDomainGetInfo(dom, &info) < 0)
		return virt_fail(lease, VIRT_READ, err);
	if (inventory_read_labels(lease, dom, &labels, err) < 0)
		return -1;
	vm_set_size(vm, &info);
	vm->labels = labels;
	return 0;
}

/* Reads what is not known; a VM that cannot be read stays in the list and says why. */
static int fill_known(
	struct lease *lease, struct fetch *fetch, virDomainStatsRecordPtr *stats, struct err *err)
{
	for (size_t i = 0; i < fetch->list->count; i++) {
		struct vm *vm = &fetch->list->vms[i];
		int64_t now = clock_ms();
		if (recall(fetch, i))
			continue;
		if (!read_known(lease, stats[i]->dom, vm, err)) {
			fetch->readings[i].at = now;
			continue;
		}
		vm->why = err->kind;
		if (lease->broken)
			return -1;
	}
	return 0;
}

/* One that went away meanwhile is no part of the list. */
static void drop_gone(struct vm_list *list)
{
	size_t n = 0;
	for (size_t i = 0; i < list->count; i++)
		if (list->vms[i].sized || list->vms[i].why != ERR_VM_NOT_FOUND)
			list->vms[n++] = list->vms[i];
	list->count = n;
}

static void keep_known(struct fetch *fetch, struct known *known, size_t i)
{
	const struct vm *vm = &fetch->list->vms[i];
	bool touched = (int)(known->touched - fetch->touches) > 0;
	struct labels *labels = labels_share(vm_list_labels(vm));
	labels_give(known->labels);
	known->vcpus = vm->vcpus;
	known->memory_kib = vm->memory_kib;
	known->labels = labels;
	known->read_at = touched ? 0 : fetch->readings[i].at;
	if (known->read_at < fetch->oldest)
		fetch->oldest = known->read_at;
}

/* Are these the VMs that were known before, all of them? */
static bool are_same(const struct fetch *fetch)
{
	if (fetch->list->count != fetch->inventory->known_count)
		return false;
	for (size_t i = 0; i < fetch->list->count; i++)
		if (!fetch->readings[i].known || !fetch->list->vms[i].sized)
			return false;
	return true;
}

/* NULL: memory; the next fetch reads them again. */
static struct known *make_known(struct fetch *fetch, size_t *ret_count)
{
	struct inventory *inventory = fetch->inventory;
	struct known *all = calloc(fetch->list->count + 1, sizeof *all);
	size_t n = 0;
	for (size_t i = 0; all && i < fetch->list->count; i++) {
		const struct vm *vm = &fetch->list->vms[i];
		const struct known *old = fetch->readings[i].known;
		if (!vm->sized)
			continue;
		memcpy(all[n].uuid, vm->uuid, UUID_SIZE);
		/* Of a VM that is new here a touch has left no trace but the count. */
		all[n].touched = old ? old->touched : inventory->touches;
		keep_known(fetch, &all[n++], i);
	}
	if (all)
		qsort(all, n, sizeof *all, compare_uuid);
	*ret_count = n;
	return all;
}

static void remember(struct fetch *fetch)
{
	struct inventory *inventory = fetch->inventory;
	size_t count = 0;
	LOCK(&inventory->lock);
	if (are_same(fetch)) {
		for (size_t i = 0; i < fetch->list->count; i++)
			keep_known(fetch, fetch->readings[i].known, i);
		return;
	}
	struct known *all = make_known(fetch, &count);
	if (!all)
		return;
	forget_all(inventory->known, inventory->known_count);
	inventory->known = all;
	inventory->known_count = count;
}

/* Of the statistics, which have all VMs and their states. */
static int make_list(struct fetch *fetch, struct lease *lease, virDomainStatsRecordPtr *stats,
	struct vm_list *list, struct err *err)
{
	AUTO(free) struct reading *readings = calloc(list->count + 1, sizeof *readings);
	if (!readings)
		return err_memory(err);
	for (size_t i = 0; i < list->count; i++)
		vm_set_from_stats(&list->vms[i], stats[i]);
	fetch->list = list;
	fetch->readings = readings;
	fetch->oldest = INT64_MAX;
	fetch->spare = list->count / SWEEP_PARTS + SWEEP_PARTS;
	if (fill_known(lease, fetch, stats, err) < 0)
		return -1;
	remember(fetch);
	drop_gone(list);
	vm_list_sort(list);
	if (mark_flags(lease, fetch->inventory->list, list, err) < 0)
		return -1;
	return vm_list_seal(list, err);
}

static int fetch_all(struct lease *lease, void *data, struct err *err)
{
	struct fetch *fetch = data;
	__attribute__((cleanup(auto_stats))) virDomainStatsRecordPtr *stats = NULL;
	int count = virConnectGetAllDomainStats(lease->conn, VIR_DOMAIN_STATS_STATE, &stats, 0);
	if (count < 0)
		return virt_fail(lease, VIRT_READ, err);
	AUTO(vm_list_give) struct vm_list *list = vm_list_new((size_t)count);
	if (!list)
		return err_memory(err);
	if (make_list(fetch, lease, stats, list, err) < 0)
		return -1;
	fetch->list = TAKE(list);
	return 0;
}

/* Nothing has changed: the last one may have been rendered. */
static struct vm_list *keep(struct inventory *inventory, struct vm_list *list)
{
	struct vm_list *last = inventory->list;
	if (last && !strcmp(last->version, list->version)) {
		vm_list_give(list);
		return last;
	}
	if (last)
		vm_list_give(last);
	inventory->list = list;
	return list;
}

/* When what is old is to be read again; 0: nobody cares. */
static int64_t due(const struct inventory *inventory, int64_t oldest)
{
	int64_t now = clock_ms();
	if (now - inventory->asked_at > INVENTORY_SWEEP_MS || oldest == INT64_MAX)
		return 0;
	int64_t old = oldest + INVENTORY_SWEEP_MS;
	return old > now + REST_MS ? old : now + REST_MS;
}

static int run_fetch(void *data, struct combiner_turn *turn, void *ret, struct err *err)
{
	struct inventory *inventory = data;
	struct fetch fetch = { .inventory = inventory, .turn = turn };
	if (turn->asked)
		inventory->asked_at = clock_ms();
	{
		LOCK(&inventory->lock);
		fetch.touches = inventory->touches;
	}
	if (lease_read(inventory->hypervisor, fetch_all, &fetch, err) < 0)
		return -1;
	turn->due = due(inventory, fetch.oldest);
	*(struct vm_list **)ret = vm_list_share(keep(inventory, fetch.list));
	return 0;
}

static int fail_late(const struct inventory *inventory, enum inventory_need need, struct err *err)
{
	enum err_kind kind =
		need == INVENTORY_SOON ? ERR_HYPERVISOR_UNAVAILABLE : ERR_DEADLINE_EXCEEDED;
	return err_set(err, kind, "host '%s' has not said within %.1f s what VMs it has",
		hypervisor_name(inventory->hypervisor), (double)inventory->wait_ms / 1000);
}

int inventory_list(struct inventory *inventory, enum inventory_need need, struct vm_list **ret,
	int *ret_age, struct err *err)
{
	const int64_t wait_ms = inventory->wait_ms;
	const struct combiner_terms terms[] = {
		[INVENTORY_SOON] = { .wait_ms = INVENTORY_SOON_MS,
			.stale_ms = INVENTORY_STALE_MS,
			.patience_ms = wait_ms },
		[INVENTORY_FRESH] = { .wait_ms = INVENTORY_SOON_MS, .patience_ms = wait_ms },
		[INVENTORY_ANEW] = { .wait_ms = INVENTORY_SOON_MS,
			.patience_ms = wait_ms,
			.wants = WANT_ANEW },
	};
	int64_t ms = 0;
	switch (combiner_ask(inventory->combiner, &terms[need], ret, &ms, err)) {
	case COMBINED_FRESH:
		*ret_age = 0;
		return 0;
	case COMBINED_STALE:
		*ret_age = (int)(ms / 1000) + 1;
		return 0;
	case COMBINED_LATE:
		return fail_late(inventory, need, err);
	case COMBINED_FAILED:
		break;
	}
	return -1;
}

struct inventory_figures inventory_figures(const struct inventory *inventory)
{
	struct combiner_figures figures = combiner_figures(inventory->combiner);
	return (struct inventory_figures){
		.fetches = figures.runs,
		.fresh = figures.answers[COMBINED_FRESH],
		.stale = figures.answers[COMBINED_STALE],
	};
}

void inventory_touch(struct inventory *inventory, const char *uuid)
{
	LOCK(&inventory->lock);
	struct known *known = find_known(inventory, uuid);
	inventory->touches++;
	if (!known)
		return;
	known->read_at = 0;
	known->touched = inventory->touches;
}

static void copy_list(void *to, const void *from)
{
	*(struct vm_list **)to = vm_list_share(*(struct vm_list *const *)from);
}

static void give_list(void *list)
{
	vm_list_give(*(struct vm_list **)list);
}

struct inventory *inventory_new(struct hypervisor *hypervisor, int64_t wait_ms)
{
	struct inventory *inventory = calloc(1, sizeof *inventory);
	if (!inventory)
		return NULL;
	const struct combiner_job job = {
		.thread = "inventory",
		.run = run_fetch,
		.data = inventory,
		.size = sizeof(struct vm_list *),
		.copy = copy_list,
		.done = give_list,
	};
	inventory->hypervisor = hypervisor;
	inventory->wait_ms = wait_ms;
	(void)pthread_mutex_init(&inventory->lock, NULL);
	inventory->combiner = combiner_new(&job);
	if (inventory->combiner)
		return inventory;
	inventory_free(inventory);
	return NULL;
}

void inventory_free(struct inventory *inventory)
{
	if (inventory->combiner)
		combiner_free(inventory->combiner);
	if (inventory->list)
		vm_list_give(inventory->list);
	(void)pthread_mutex_destroy(&inventory->lock);
	forget_all(inventory->known, inventory->known_count);
	free(inventory);
}
