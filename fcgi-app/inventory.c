/* SPDX-License-Identifier: MIT */
#include "inventory.h"

#include "metadata.h"

#include <errno.h>
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

struct inventory {
	struct host *host;
	pthread_mutex_t lock;
	struct known *known;
	size_t known_count;
	unsigned touches;
	int64_t listed_at;

	pthread_t sweeper;
	pthread_cond_t stopping;
	bool stop;
};

static int compare_uuid(const void *a, const void *b)
{
	return strcmp(((const struct known *)a)->uuid, ((const struct known *)b)->uuid);
}

static int compare_vm_name(const void *a, const void *b)
{
	return strcmp(((const struct vm *)a)->name, ((const struct vm *)b)->name);
}

static int compare_vm_uuid(const void *a, const void *b)
{
	return strcmp(((const struct vm *)a)->uuid, ((const struct vm *)b)->uuid);
}

static struct known *find_known(const struct inventory *inventory, const char *uuid)
{
	struct known key = { 0 };
	(void)snprintf(key.uuid, sizeof key.uuid, "%s", uuid);
	if (!inventory->known_count)
		return NULL;
	return bsearch(&key, inventory->known, inventory->known_count, sizeof key, compare_uuid);
}

static void forget_all(struct known *known, size_t count)
{
	for (size_t i = 0; i < count; i++)
		labels_give(known[i].labels);
	free(known);
}

static struct labels *labels_of(const struct vm *vm)
{
	return (struct labels *)(uintptr_t)vm->labels; /* the list's own, of which it is a part */
}

void vm_list_free(struct vm_list *list)
{
	for (size_t i = 0; list && i < list->count; i++)
		labels_give(labels_of(&list->vms[i]));
	free(list);
}

void vm_list_count(const struct vm_list *list, size_t ret_counts[static VM_STATE_COUNT])
{
	memset(ret_counts, 0, VM_STATE_COUNT * sizeof ret_counts[0]);
	for (size_t i = 0; i < list->count; i++)
		ret_counts[list->vms[i].state]++;
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
	bool sweep; /* read again what is known */
	struct vm_list *list;
	int64_t *read_at; /* of each VM in the list: when that was */
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
 * What is known and fresh. When nobody has asked for a while the sweep rests, and what it left is
 * too old.
 */
static bool recall(struct fetch *fetch, size_t i)
{
	struct vm *vm = &fetch->list->vms[i];
	LOCK(&fetch->inventory->lock);
	const struct known *known = find_known(fetch->inventory, vm->uuid);
	if (fetch->sweep || !known || !known->read_at ||
		clock_ms() - known->read_at > (int64_t)2 * INVENTORY_SWEEP_MS)
		return false;
	vm->sized = true;
	vm->vcpus = known->vcpus;
	vm->memory_kib = known->memory_kib;
	vm->labels = labels_share(known->labels);
	fetch->read_at[i] = known->read_at;
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
			fetch->read_at[i] = now;
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

static void remember(const struct fetch *fetch)
{
	struct inventory *inventory = fetch->inventory;
	struct known *known = calloc(fetch->list->count + 1, sizeof *known);
	if (!known)
		return; /* the next fetch reads them again */
	LOCK(&inventory->lock);
	size_t n = 0;
	for (size_t i = 0; i < fetch->list->count; i++) {
		const struct vm *vm = &fetch->list->vms[i];
		const struct known *old = find_known(inventory, vm->uuid);
		bool touched = old && (int)(old->touched - fetch->touches) > 0;
		if (!vm->sized)
			continue;
		memcpy(known[n].uuid, vm->uuid, UUID_SIZE);
		known[n].vcpus = vm->vcpus;
		known[n].memory_kib = vm->memory_kib;
		known[n].labels = labels_share(labels_of(vm));
		known[n].read_at = touched ? 0 : fetch->read_at[i];
		known[n++].touched = old ? old->touched : 0;
	}
	qsort(known, n, sizeof *known, compare_uuid);
	forget_all(inventory->known, inventory->known_count);
	inventory->known = known;
	inventory->known_count = n;
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

static int fetch_all(struct lease *lease, void *data, struct err *err)
{
	struct fetch *fetch = data;
	__attribute__((cleanup(auto_stats))) virDomainStatsRecordPtr *stats = NULL;
	int count = virConnectGetAllDomainStats(lease->conn, VIR_DOMAIN_STATS_STATE, &stats, 0);
	if (count < 0)
		return virt_fail(lease, VIRT_READ, err);
	AUTO(vm_list_free) struct vm_list *list =
		calloc(1, sizeof *list + (size_t)count * sizeof list->vms[0]);
	AUTO(free) int64_t *read_at = calloc((size_t)count + 1, sizeof *read_at);
	if (!list || !read_at)
		return err_memory(err);
	list->count = (size_t)count;
	for (int i = 0; i < count; i++)
		set_from_stats(&list->vms[i], stats[i]);
	fetch->list = list;
	fetch->read_at = read_at;
	int rc = fill_known(lease, fetch, stats, err);
	if (!rc)
		remember(fetch);
	fetch->list = NULL;
	fetch->read_at = NULL;
	if (rc < 0)
		return -1;
	drop_gone(list);
	qsort(list->vms, list->count, sizeof list->vms[0], compare_vm_uuid);
	if (mark_flags(lease, list, err) < 0)
		return -1;
	qsort(list->vms, list->count, sizeof list->vms[0], compare_vm_name);
	if (set_version(list, err) < 0)
		return -1;
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

int inventory_list_fresh(struct inventory *inventory, struct vm_list **ret, struct err *err)
{
	return fetch_list(inventory, true, ret, err);
}

void inventory_touch(struct inventory *inventory, const char *uuid)
{
	LOCK(&inventory->lock);
	struct known *known = find_known(inventory, uuid);
	if (!known)
		return;
	known->read_at = 0;
	known->touched = ++inventory->touches;
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
			vm_list_free(list);
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
	forget_all(inventory->known, inventory->known_count);
	free(inventory);
}

struct host *inventory_host(const struct inventory *inventory)
{
	return inventory->host;
}
