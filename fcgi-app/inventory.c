/* SPDX-License-Identifier: MIT */
#include "inventory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What is remembered of each VM's size between lists, by uuid. */
struct size {
	char uuid[UUID_SIZE];
	int vcpus;
	int64_t memory_kib;
	int64_t read_at;  /* clock_ms(); 0: to be read again */
	unsigned touched; /* the count of touches when it was touched last */
};

struct inventory {
	struct host *host;
	pthread_mutex_t lock;
	struct size *sizes;
	size_t size_count;
	unsigned touches;
	int64_t listed_at;

	pthread_t sweeper;
	pthread_cond_t stopping;
	bool stop;
};

static int compare_uuid(const void *a, const void *b)
{
	return strcmp(((const struct size *)a)->uuid, ((const struct size *)b)->uuid);
}

static int compare_vm_name(const void *a, const void *b)
{
	return strcmp(((const struct vm *)a)->name, ((const struct vm *)b)->name);
}

static int compare_vm_uuid(const void *a, const void *b)
{
	return strcmp(((const struct vm *)a)->uuid, ((const struct vm *)b)->uuid);
}

static struct size *find_size(const struct inventory *inventory, const char *uuid)
{
	struct size key = { 0 };
	(void)snprintf(key.uuid, sizeof key.uuid, "%s", uuid);
	if (!inventory->size_count)
		return NULL;
	return bsearch(&key, inventory->sizes, inventory->size_count, sizeof key, compare_uuid);
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

/* Everything of a fetch that is under way. */
struct fetch {
	struct inventory *inventory;
	bool sweep; /* read every size again */
	struct vm_list *list;
	int64_t *read_at; /* of each VM in the list: its size's */
	unsigned touches; /* when the fetch began */
};

static int mark_flag(
	struct lease *lease, struct vm_list *list, unsigned filter, size_t offset, struct err *err)
{
	__attribute__((cleanup(domains_done))) struct domains some = { 0 };
	some.count = virConnectListAllDomains(lease->conn, &some.list, filter);
	if (some.count < 0) {
		some.count = 0;
		return virt_fail(lease, VIRT_READ, err);
	}
	for (int i = 0; i < some.count; i++) {
		struct vm key = { 0 };
		(void)virDomainGetUUIDString(some.list[i], key.uuid);
		struct vm *vm = bsearch(&key, list->vms, list->count, sizeof key, compare_vm_uuid);
		if (vm)
			*(bool *)(void *)((char *)vm + offset) = true;
	}
	return 0;
}

static int mark_flags(struct lease *lease, struct vm_list *list, struct err *err)
{
	static const struct {
		unsigned filter;
		size_t offset;
	} flags[] = {
		{ VIR_CONNECT_LIST_DOMAINS_AUTOSTART, offsetof(struct vm, autostart) },
		{ VIR_CONNECT_LIST_DOMAINS_PERSISTENT, offsetof(struct vm, persistent) },
		{ VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE, offsetof(struct vm, managed_save) },
		{ VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT, offsetof(struct vm, snapshots) },
	};
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (mark_flag(lease, list, flags[i].filter, flags[i].offset, err) < 0)
			return -1;
	return 0;
}

static void set_from_stats(struct vm *vm, const virDomainStatsRecord *record)
{
	int state = VIR_DOMAIN_NOSTATE;
	int reason = 0;
	(void)virTypedParamsGetInt(record->params, record->nparams, "state.state", &state);
	(void)virTypedParamsGetInt(record->params, record->nparams, "state.reason", &reason);
	vm_set_identity(vm, record->dom);
	vm_set_state(vm, state, reason);
}

/*
 * A size that is known and fresh. When nobody has asked for a while the sweep rests, and what it
 * left is too old.
 */
static bool recall_size(struct fetch *fetch, size_t i)
{
	struct vm *vm = &fetch->list->vms[i];
	LOCK(&fetch->inventory->lock);
	const struct size *size = find_size(fetch->inventory, vm->uuid);
	if (fetch->sweep || !size || !size->read_at ||
		clock_ms() - size->read_at > (int64_t)2 * INVENTORY_SWEEP_MS)
		return false;
	vm->sized = true;
	vm->vcpus = size->vcpus;
	vm->memory_kib = size->memory_kib;
	fetch->read_at[i] = size->read_at;
	return true;
}

/* Reads the sizes that are not known; a VM that cannot be read stays in the list without one. */
static int fill_sizes(
	struct lease *lease, struct fetch *fetch, virDomainStatsRecordPtr *stats, struct err *err)
{
	for (size_t i = 0; i < fetch->list->count; i++) {
		struct vm *vm = &fetch->list->vms[i];
		virDomainInfo info;
		int64_t now = clock_ms();
		if (recall_size(fetch, i))
			continue;
		if (!virDomainGetInfo(stats[i]->dom, &info)) {
			vm_set_size(vm, &info);
			fetch->read_at[i] = now;
			continue;
		}
		(void)virt_fail(lease, VIRT_READ, err);
		if (lease->broken)
			return -1;
	}
	return 0;
}

static void remember_sizes(const struct fetch *fetch)
{
	struct inventory *inventory = fetch->inventory;
	struct size *sizes = calloc(fetch->list->count + 1, sizeof *sizes);
	if (!sizes)
		return; /* the next fetch reads them again */
	LOCK(&inventory->lock);
	size_t n = 0;
	for (size_t i = 0; i < fetch->list->count; i++) {
		const struct vm *vm = &fetch->list->vms[i];
		const struct size *old = find_size(inventory, vm->uuid);
		bool touched = old && (int)(old->touched - fetch->touches) > 0;
		if (!vm->sized)
			continue;
		memcpy(sizes[n].uuid, vm->uuid, UUID_SIZE);
		sizes[n].vcpus = vm->vcpus;
		sizes[n].memory_kib = vm->memory_kib;
		sizes[n].read_at = touched ? 0 : fetch->read_at[i];
		sizes[n++].touched = old ? old->touched : 0;
	}
	qsort(sizes, n, sizeof *sizes, compare_uuid);
	free(inventory->sizes);
	inventory->sizes = sizes;
	inventory->size_count = n;
}

static int fetch_all(struct lease *lease, void *data, struct err *err)
{
	struct fetch *fetch = data;
	__attribute__((cleanup(auto_stats))) virDomainStatsRecordPtr *stats = NULL;
	int count = virConnectGetAllDomainStats(lease->conn, VIR_DOMAIN_STATS_STATE, &stats, 0);
	if (count < 0)
		return virt_fail(lease, VIRT_READ, err);
	AUTO(free) struct vm_list *list =
		calloc(1, sizeof *list + (size_t)count * sizeof list->vms[0]);
	AUTO(free) int64_t *read_at = calloc((size_t)count + 1, sizeof *read_at);
	if (!list || !read_at)
		return err_memory(err);
	list->count = (size_t)count;
	for (int i = 0; i < count; i++)
		set_from_stats(&list->vms[i], stats[i]);
	fetch->list = list;
	fetch->read_at = read_at;
	int rc = fill_sizes(lease, fetch, stats, err);
	if (!rc)
		remember_sizes(fetch);
	fetch->list = NULL;
	fetch->read_at = NULL;
	if (rc < 0)
		return -1;
	qsort(list->vms, list->count, sizeof list->vms[0], compare_vm_uuid);
	if (mark_flags(lease, list, err) < 0)
		return -1;
	qsort(list->vms, list->count, sizeof list->vms[0], compare_vm_name);
	fetch->list = TAKE(list);
	return 0;
}

static int fetch_list(
	struct inventory *inventory, bool sweep, struct vm_list **ret, struct err *err)
{
	struct fetch fetch = { .inventory = inventory, .sweep = sweep };
	{
		LOCK(&inventory->lock);
		fetch.touches = inventory->touches;
	}
	if (virt_read(inventory->host, fetch_all, &fetch, err) < 0)
		return -1;
	*ret = fetch.list;
	return 0;
}

int inventory_list(struct inventory *inventory, struct vm_list **ret, struct err *err)
{
	{
		LOCK(&inventory->lock);
		inventory->listed_at = clock_ms();
	}
	return fetch_list(inventory, false, ret, err);
}

void inventory_touch(struct inventory *inventory, const char *uuid)
{
	LOCK(&inventory->lock);
	struct size *size = find_size(inventory, uuid);
	if (!size)
		return;
	size->read_at = 0;
	size->touched = ++inventory->touches;
}

/* Waits for the next sweep; false: the inventory is being freed. */
static bool await_sweep(struct inventory *inventory)
{
	LOCK(&inventory->lock);
	do {
		struct timespec next = clock_after_ms(INVENTORY_SWEEP_MS);
		int rc = 0;
		while (!inventory->stop && rc != ETIMEDOUT)
			rc = pthread_cond_timedwait(&inventory->stopping, &inventory->lock, &next);
	} while (!inventory->stop &&
		(!inventory->listed_at || clock_ms() - inventory->listed_at > INVENTORY_SWEEP_MS));
	return !inventory->stop;
}

static void *run_sweeper(void *data)
{
	struct inventory *inventory = data;
	while (await_sweep(inventory)) {
		struct vm_list *list = NULL;
		struct err ignored; /* requests meet the same error and report it */
		if (!fetch_list(inventory, true, &list, &ignored))
			free(list);
	}
	return NULL;
}

struct inventory *inventory_new(struct host *host)
{
	struct inventory *inventory = calloc(1, sizeof *inventory);
	if (!inventory)
		return NULL;
	inventory->host = host;
	(void)pthread_mutex_init(&inventory->lock, NULL);
	cond_init_monotonic(&inventory->stopping);
	if (pthread_create(&inventory->sweeper, NULL, run_sweeper, inventory)) {
		free(inventory);
		return NULL;
	}
	return inventory;
}

void inventory_free(struct inventory *inventory)
{
	{
		LOCK(&inventory->lock);
		inventory->stop = true;
		(void)pthread_cond_signal(&inventory->stopping);
	}
	(void)pthread_join(inventory->sweeper, NULL);
	(void)pthread_cond_destroy(&inventory->stopping);
	(void)pthread_mutex_destroy(&inventory->lock);
	free(inventory->sizes);
	free(inventory);
}

struct host *inventory_host(const struct inventory *inventory)
{
	return inventory->host;
}
