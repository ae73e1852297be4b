/* SPDX-License-Identifier: MIT */
#include "vm/inventory.h"

#include "base/clock.h"
#include "base/combiner.h"
#include "base/uuid.h"
#include "definition/metadata.h"
#include "libvirt/hypervisor.h"

#include <stdio.h>
#include <string.h>

/*
 * What libvirt has no bulk call for. It is read once per VM and kept from list to list; readings
 * that are older than INVENTORY_SWEEP_MS are replaced when nobody waits, or a few with each list.
 */
struct details {
	char uuid[UUID_SIZE];
	int vcpus;
	int64_t memory_kib;
	struct labels *labels;
	int64_t read_at;  /* clock_ms(); 0: must be read again */
	unsigned touched; /* inventory->touches at the last inventory_touch() of this VM */
};

enum {
	WANT_REREAD = 1, /* of a combiner's turn: use no kept details */
	/* Old details are read again once nobody has asked for a list for so long. */
	IDLE_MS = 200,
	/* While lists are asked for all the time, each rereads this part of the old details. */
	SWEEP_PARTS = 16,
};

struct inventory {
	struct hypervisor *hypervisor;
	struct combiner *combiner;
	int64_t wait_ms;
	/* For the combiner's thread alone. */
	struct vm_list *list; /* the last */
	int64_t asked_at;

	pthread_mutex_t lock; /* of what follows */
	struct details *kept; /* by uuid */
	size_t kept_count;
	unsigned touches;
};

/* Where the details of a listed VM come from. */
struct reading {
	struct details *kept; /* those of the last list; NULL: none */
	int64_t at;           /* when they were read; clock_ms() */
};

/* A fetch that is under way. */
struct fetch {
	struct inventory *inventory;
	const struct combiner_turn *turn;
	struct vm_list *list;
	struct reading *readings; /* one per VM, in the order of the statistics */
	int64_t oldest;           /* the least of their times */
	size_t budget;            /* so many details may still be reread that could be kept */
	unsigned touches;         /* inventory->touches when the fetch began */
};

static int compare_details(const void *a, const void *b)
{
	return strcmp(((const struct details *)a)->uuid, ((const struct details *)b)->uuid);
}

static int compare_with_uuid(const void *uuid, const void *details)
{
	return strcmp(uuid, ((const struct details *)details)->uuid);
}

static struct details *find_details(const struct inventory *inventory, const char *uuid)
{
	if (!inventory->kept_count)
		return NULL;
	return bsearch(uuid, inventory->kept, inventory->kept_count, sizeof inventory->kept[0],
		compare_with_uuid);
}

static void free_details(struct details *details, size_t count)
{
	for (size_t i = 0; i < count; i++)
		labels_give(details[i].labels);
	free(details);
}

/* Filtered lists */

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

/* What libvirt reports only by listing the domains that have it, or those that do not. */
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

/* Did most VMs have it in the last list? Then the list of those that do not is shorter. */
static bool most_have(struct vm_list *last, const struct flag *flag)
{
	size_t count = 0;
	for (size_t i = 0; last && i < last->count; i++)
		count += *flag_of(&last->vms[i], flag);
	return last && count > last->count / 2;
}

/* By name, which is quick, unless the VM was renamed after the statistics were read. */
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
	__attribute__((cleanup(domains_done))) struct domains domains = { 0 };
	domains.count = virConnectListAllDomains(
		lease->conn, &domains.list, most ? flag->without : flag->with);
	if (domains.count < 0) {
		domains.count = 0;
		return virt_fail(lease, VIRT_READ, err);
	}
	for (size_t i = 0; i < list->count; i++)
		*flag_of(&list->vms[i], flag) = most;
	for (int i = 0; i < domains.count; i++) {
		struct vm *vm = find_listed(list, domains.list[i]);
		if (vm)
			*flag_of(vm, flag) = !most;
	}
	return 0;
}

/* Details */

/* Must the details be read again for this list? */
static bool is_outdated(const struct fetch *fetch, const struct details *details)
{
	int64_t age = clock_ms() - details->read_at;
	if (!details->read_at || fetch->turn->wants & WANT_REREAD ||
		age > (int64_t)2 * INVENTORY_SWEEP_MS)
		return true;
	if (age <= INVENTORY_SWEEP_MS)
		return false;
	/* A sweep while nobody waits ends when somebody asks. */
	if (!fetch->turn->asked)
		return !combiner_is_asked(fetch->inventory->combiner);
	return fetch->budget && age > INVENTORY_SWEEP_MS * 3 / 2;
}

/* Fills in the VM's kept details. false: there are none, or they are outdated. */
static bool use_kept(struct fetch *fetch, size_t i)
{
	struct vm *vm = &fetch->list->vms[i];
	LOCK(&fetch->inventory->lock);
	struct details *kept = find_details(fetch->inventory, vm->uuid);
	fetch->readings[i].kept = kept;
	if (!kept || is_outdated(fetch, kept))
		return false;
	vm->sized = true;
	vm->vcpus = kept->vcpus;
	vm->memory_kib = kept->memory_kib;
	vm->labels = labels_share(kept->labels);
	fetch->readings[i].at = kept->read_at;
	return true;
}

/* The labels of the definition, or, since a transient VM has none, of the domain that runs. */
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

static int read_details(struct lease *lease, virDomainPtr dom, struct vm *vm, struct err *err)
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

/* A VM that cannot be read stays in the list, with the reason. */
static int fill_details(
	struct lease *lease, struct fetch *fetch, virDomainStatsRecordPtr *stats, struct err *err)
{
	for (size_t i = 0; i < fetch->list->count; i++) {
		struct vm *vm = &fetch->list->vms[i];
		if (use_kept(fetch, i))
			continue;
		fetch->budget -= fetch->budget > 0;
		fetch->readings[i].at = clock_ms();
		if (!read_details(lease, stats[i]->dom, vm, err))
			continue;
		vm->why = err->kind;
		if (lease->broken)
			return -1;
	}
	return 0;
}

static void keep_details(struct fetch *fetch, struct details *details, size_t i)
{
	const struct vm *vm = &fetch->list->vms[i];
	bool touched = (int)(details->touched - fetch->touches) > 0;
	struct labels *labels = labels_share(vm_list_labels(vm));
	labels_give(details->labels);
	details->vcpus = vm->vcpus;
	details->memory_kib = vm->memory_kib;
	details->labels = labels;
	details->read_at = touched ? 0 : fetch->readings[i].at;
	if (details->read_at < fetch->oldest)
		fetch->oldest = details->read_at;
}

/* Are details of exactly the listed VMs kept already? */
static bool is_all_kept(const struct fetch *fetch)
{
	if (fetch->list->count != fetch->inventory->kept_count)
		return false;
	for (size_t i = 0; i < fetch->list->count; i++)
		if (!fetch->readings[i].kept || !fetch->list->vms[i].sized)
			return false;
	return true;
}

/* NULL: memory; then the next fetch reads the new ones again. */
static struct details *new_details(struct fetch *fetch, size_t *ret_count)
{
	struct inventory *inventory = fetch->inventory;
	struct details *all = calloc(fetch->list->count + 1, sizeof *all);
	size_t n = 0;
	for (size_t i = 0; all && i < fetch->list->count; i++) {
		const struct vm *vm = &fetch->list->vms[i];
		const struct details *kept = fetch->readings[i].kept;
		if (!vm->sized)
			continue;
		memcpy(all[n].uuid, vm->uuid, UUID_SIZE);
		/* A VM that is new here may have been touched during the fetch: then it was. */
		all[n].touched = kept ? kept->touched : inventory->touches;
		keep_details(fetch, &all[n++], i);
	}
	if (all)
		qsort(all, n, sizeof *all, compare_details);
	*ret_count = n;
	return all;
}

static void keep_all_details(struct fetch *fetch)
{
	struct inventory *inventory = fetch->inventory;
	size_t count = 0;
	LOCK(&inventory->lock);
	if (is_all_kept(fetch)) {
		for (size_t i = 0; i < fetch->list->count; i++)
			keep_details(fetch, fetch->readings[i].kept, i);
		return;
	}
	struct details *all = new_details(fetch, &count);
	if (!all)
		return;
	free_details(inventory->kept, inventory->kept_count);
	inventory->kept = all;
	inventory->kept_count = count;
}

/* The list */

/* Drops the VMs that went away while their details were read. */
static void drop_gone(struct vm_list *list)
{
	size_t n = 0;
	for (size_t i = 0; i < list->count; i++)
		if (list->vms[i].sized || list->vms[i].why != ERR_VM_NOT_FOUND)
			list->vms[n++] = list->vms[i];
	list->count = n;
}

static int fill_list(struct fetch *fetch, struct lease *lease, virDomainStatsRecordPtr *stats,
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
	fetch->budget = list->count / SWEEP_PARTS + SWEEP_PARTS;
	if (fill_details(lease, fetch, stats, err) < 0)
		return -1;
	keep_all_details(fetch);
	drop_gone(list);
	vm_list_sort(list);
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (mark_flag(lease, list, &flags[i], most_have(fetch->inventory->list, &flags[i]),
			    err) < 0)
			return -1;
	return vm_list_seal(list, err);
}

static int fetch_list(struct lease *lease, void *data, struct err *err)
{
	struct fetch *fetch = data;
	AUTO(virDomainStatsRecordListFree) virDomainStatsRecordPtr *stats = NULL;
	int count = virConnectGetAllDomainStats(lease->conn, VIR_DOMAIN_STATS_STATE, &stats, 0);
	if (count < 0)
		return virt_fail(lease, VIRT_READ, err);
	AUTO(vm_list_give) struct vm_list *list = vm_list_new((size_t)count);
	if (!list)
		return err_memory(err);
	if (fill_list(fetch, lease, stats, list, err) < 0)
		return -1;
	fetch->list = TAKE(list);
	return 0;
}

/* The last list if the new one equals it: the last may have been rendered already. */
static struct vm_list *replace_list(struct inventory *inventory, struct vm_list *list)
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

/* When the oldest details are to be read again; 0: not until somebody asks for a list. */
static int64_t sweep_due(const struct inventory *inventory, int64_t oldest)
{
	int64_t now = clock_ms();
	if (now - inventory->asked_at > INVENTORY_SWEEP_MS || oldest == INT64_MAX)
		return 0;
	int64_t old = oldest + INVENTORY_SWEEP_MS;
	return old > now + IDLE_MS ? old : now + IDLE_MS;
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
	if (lease_read(inventory->hypervisor, fetch_list, &fetch, err) < 0)
		return -1;
	turn->due = sweep_due(inventory, fetch.oldest);
	*(struct vm_list **)ret = vm_list_share(replace_list(inventory, fetch.list));
	return 0;
}

int inventory_list(struct inventory *inventory, enum inventory_need need, struct vm_list **ret,
	int *ret_age, struct err *err)
{
	const struct combiner_terms terms = {
		.wants = need == INVENTORY_REREAD ? WANT_REREAD : 0,
		.wait_ms = INVENTORY_WAIT_MS,
		.stale_ms = need == INVENTORY_STALE_OK ? INVENTORY_STALE_MS : 0,
		.patience_ms = inventory->wait_ms,
	};
	int64_t ms = 0;
	switch (combiner_ask(inventory->combiner, &terms, ret, &ms, err)) {
	case COMBINED_FRESH:
		*ret_age = 0;
		return 0;
	case COMBINED_STALE:
		*ret_age = (int)(ms / 1000) + 1;
		return 0;
	case COMBINED_LATE:
		return err_set(err,
			need == INVENTORY_STALE_OK ? ERR_HYPERVISOR_UNAVAILABLE
						   : ERR_DEADLINE_EXCEEDED,
			"listing VMs on host '%s' timed out after %.1f s",
			hypervisor_name(inventory->hypervisor), (double)inventory->wait_ms / 1000);
	case COMBINED_CROWD:
		return err_set(err, ERR_HOST_BUSY,
			"host '%s' has been listing its VMs for %.1f s, and as many requests as "
			"may wait "
			"for that do",
			hypervisor_name(inventory->hypervisor), (double)ms / 1000);
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
	struct details *kept = find_details(inventory, uuid);
	inventory->touches++;
	if (!kept)
		return;
	kept->read_at = 0;
	kept->touched = inventory->touches;
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
	free_details(inventory->kept, inventory->kept_count);
	free(inventory);
}
