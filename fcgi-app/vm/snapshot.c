/* SPDX-License-Identifier: MIT */
#include "vm/snapshot.h"

#include <stdio.h>
#include <string.h>

void snapshot_etag(const struct snapshot *s, char ret[static ETAG_SIZE])
{
	char text[sizeof *s + 128];
	int len = snprintf(text, sizeof text, "%s\n%s\n%s\n%lld %d %d %d %d\n%s", s->name,
		s->parent, s->state, (long long)s->created, s->children, (int)s->disks, s->memory,
		s->current, s->description);
	etag_make(text, (size_t)len, ret);
}

void snapshots_done(struct snapshots *snapshots)
{
	for (int i = 0; i < snapshots->count; i++)
		(void)virDomainSnapshotFree(snapshots->list[i]);
	free(snapshots->list);
}

/* One snapshot */

int snapshot_lookup(struct lease *lease, virDomainPtr dom, const char *name,
	virDomainSnapshotPtr *ret, struct err *err)
{
	virDomainSnapshotPtr snap = name ? virDomainSnapshotLookupByName(dom, name, 0)
					 : virDomainSnapshotCurrent(dom, 0);
	if (snap) {
		*ret = snap;
		return 0;
	}
	(void)virt_fail(lease, VIRT_SNAPSHOT_READ, err);
	if (err->kind != ERR_SNAPSHOT_NOT_FOUND)
		return -1;
	if (!name)
		return err_set(err, ERR_SNAPSHOT_NOT_FOUND, "VM '%s' has no current snapshot",
			virDomainGetName(dom));
	return err_set(err, ERR_SNAPSHOT_NOT_FOUND, "VM '%s' has no snapshot '%s'",
		virDomainGetName(dom), name);
}

int snapshot_read_xml(
	struct lease *lease, virDomainSnapshotPtr snap, struct xml **ret, struct err *err)
{
	AUTO(free) char *text = virDomainSnapshotGetXMLDesc(snap, 0);
	return text ? xml_parse_trusted(text, ret, err) : virt_fail(lease, VIRT_SNAPSHOT_READ, err);
}

static int read_childless(
	struct lease *lease, virDomainSnapshotPtr snap, struct snapshot *ret, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	struct snapshot snapshot = { 0 };
	if (snapshot_read_xml(lease, snap, &doc, err) < 0)
		return -1;
	snapshot_xml_read(xml_root(doc), &snapshot);
	int current = virDomainSnapshotIsCurrent(snap, 0);
	if (current < 0)
		return virt_fail(lease, VIRT_SNAPSHOT_READ, err);
	snapshot.current = current;
	*ret = snapshot;
	return 0;
}

int snapshot_read(
	struct lease *lease, virDomainSnapshotPtr snap, struct snapshot *ret, struct err *err)
{
	struct snapshot snapshot;
	if (read_childless(lease, snap, &snapshot, err) < 0)
		return -1;
	snapshot.children = virDomainSnapshotNumChildren(snap, 0);
	if (snapshot.children < 0)
		return virt_fail(lease, VIRT_SNAPSHOT_READ, err);
	*ret = snapshot;
	return 0;
}

struct get_args {
	const char *ref;
	const char *name;
	struct snapshot snapshot;
};

static int read_named(struct lease *lease, void *data, struct err *err)
{
	struct get_args *args = data;
	AUTO(virDomainFree) virDomainPtr dom = NULL;
	AUTO(virDomainSnapshotFree) virDomainSnapshotPtr snap = NULL;
	if (domain_lookup(lease, args->ref, &dom, err) < 0 ||
		snapshot_lookup(lease, dom, args->name, &snap, err) < 0)
		return -1;
	return snapshot_read(lease, snap, &args->snapshot, err);
}

int snapshot_get(
	struct host *host, const char *ref, const char *name, struct snapshot *ret, struct err *err)
{
	struct get_args args = { .ref = ref, .name = name };
	if (lease_read(host->hypervisor, read_named, &args, err) < 0)
		return -1;
	*ret = args.snapshot;
	return 0;
}

/* All snapshots */

struct listing {
	struct lease *lease;
	struct snapshot *list;
	size_t count, room;
};

static int listing_add(struct listing *listing, virDomainSnapshotPtr snap, struct err *err)
{
	struct snapshot *list =
		base_grow(listing->list, listing->count, &listing->room, sizeof *list);
	if (!list)
		return err_memory(err);
	listing->list = list;
	if (!read_childless(listing->lease, snap, &listing->list[listing->count], err))
		listing->count++;
	else if (err->kind != ERR_SNAPSHOT_NOT_FOUND) /* deleted meanwhile */
		return -1;
	return 0;
}

int snapshot_read_descendants(
	struct lease *lease, virDomainSnapshotPtr snap, struct snapshots *ret, struct err *err)
{
	ret->count = virDomainSnapshotListAllChildren(snap, &ret->list,
		VIR_DOMAIN_SNAPSHOT_LIST_DESCENDANTS | VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL);
	if (ret->count >= 0)
		return 0;
	ret->count = 0;
	return virt_fail(lease, VIRT_SNAPSHOT_READ, err);
}

static int listing_add_tree(struct listing *listing, virDomainSnapshotPtr root, struct err *err)
{
	AUTO_SNAPSHOTS struct snapshots below = { 0 };
	if (snapshot_read_descendants(listing->lease, root, &below, err) < 0)
		return err->kind == ERR_SNAPSHOT_NOT_FOUND ? 0 : -1;
	if (listing_add(listing, root, err) < 0)
		return -1;
	for (int i = 0; i < below.count; i++)
		if (listing_add(listing, below.list[i], err) < 0)
			return -1;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	const struct snapshot *const *x = a;
	const struct snapshot *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

static int compare_with_name(const void *name, const void *element)
{
	const struct snapshot *const *snapshot = element;
	return strcmp(name, (*snapshot)->name);
}

/* From the snapshots' parents: libvirt would have to be asked once for each snapshot. */
static int listing_count_children(struct listing *listing, struct err *err)
{
	struct snapshot *list = listing->list;
	size_t count = listing->count;
	AUTO(free) struct snapshot **by_name = calloc(count + 1, sizeof(struct snapshot *));
	if (!by_name)
		return err_memory(err);
	for (size_t i = 0; i < count; i++)
		by_name[i] = &list[i];
	qsort(by_name, count, sizeof(struct snapshot *), compare_names);
	for (size_t i = 0; i < count; i++) {
		struct snapshot **parent = bsearch(list[i].parent, by_name, count,
			sizeof(struct snapshot *), compare_with_name);
		if (parent)
			(*parent)->children++;
	}
	return 0;
}

static int check_listable(struct lease *lease, virDomainPtr dom, struct err *err)
{
	int n = virDomainSnapshotNum(dom, 0);
	if (n < 0)
		return virt_fail(lease, VIRT_SNAPSHOT_READ, err);
	if (n <= SNAPSHOTS_LISTED_MAX)
		return 0;
	(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
		"VM '%s' has %d snapshots; at most %d can be listed", virDomainGetName(dom), n,
		SNAPSHOTS_LISTED_MAX);
	return err_hint(err, "delete some: each can still be read and deleted by its name");
}

/*
 * Tree by tree: libvirt 9.0.0 fails to list all snapshots in the order of the tree while one is
 * being created, because it counts that one but has not yet put it into the tree. So a snapshot
 * that is being created is not listed.
 */
int snapshot_read_all(struct lease *lease, virDomainPtr dom, struct snapshot **ret,
	size_t *ret_count, struct err *err)
{
	AUTO_SNAPSHOTS struct snapshots roots = { 0 };
	struct listing listing = { .lease = lease };
	if (check_listable(lease, dom, err) < 0)
		return -1;
	roots.count = virDomainListAllSnapshots(dom, &roots.list, VIR_DOMAIN_SNAPSHOT_LIST_ROOTS);
	if (roots.count < 0) {
		roots.count = 0;
		return virt_fail(lease, VIRT_SNAPSHOT_READ, err);
	}
	int rc = 0;
	for (int i = 0; !rc && i < roots.count; i++)
		rc = listing_add_tree(&listing, roots.list[i], err);
	if (rc < 0 || listing_count_children(&listing, err) < 0) {
		free(listing.list);
		return -1;
	}
	*ret = listing.list;
	*ret_count = listing.count;
	return 0;
}

struct list_args {
	const char *ref;
	struct snapshot *list;
	size_t count;
};

static int read_list(struct lease *lease, void *data, struct err *err)
{
	struct list_args *args = data;
	AUTO(virDomainFree) virDomainPtr dom = NULL;
	if (domain_lookup(lease, args->ref, &dom, err) < 0)
		return -1;
	return snapshot_read_all(lease, dom, &args->list, &args->count, err);
}

int snapshot_list(struct host *host, const char *ref, struct snapshot **ret, size_t *ret_count,
	struct err *err)
{
	struct list_args args = { .ref = ref };
	if (lease_read(host->hypervisor, read_list, &args, err) < 0)
		return -1;
	*ret = args.list;
	*ret_count = args.count;
	return 0;
}

/* Guards */

int snapshot_guard_off(
	struct hold *hold, const struct config *config, struct guard *guard, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	if (hold->vm.active)
		return 0;
	if (domain_read_xml(&hold->lease, hold->dom, VIR_DOMAIN_XML_INACTIVE, &doc, err) < 0)
		return -1;
	return guard_enter(guard, &hold->lease, xml_root(doc), config, GUARD_OFF, err);
}

int snapshot_guard(struct hold *hold, const struct xml *doc, const struct config *config,
	struct guard *guard, struct err *err)
{
	const struct xml_node *domain = xml_child(xml_root(doc), "domain");
	if (!domain)
		return err_set(
			err, ERR_INTERNAL, "libvirt's document of the snapshot has no domain");
	return guard_enter(guard, &hold->lease, domain, config,
		hold->vm.active ? GUARD_RUNNING : GUARD_OFF, err);
}
