/* SPDX-License-Identifier: MIT */
#include "vm/snapshot.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/text.h"
#include "definition/snapshot_check.h"
#include "storage/guard.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* The request's line */

static const char request_mark[] = "virtgate:request=";
_Static_assert(sizeof request_mark + UUID_SIZE + HASH_SIZE <= SNAPSHOT_REQUEST_MAX, "it fits");

/* Takes the line off the description, if it ends with one. */
static void split_request(char *description, struct snapshot_request *ret)
{
	static const size_t mark_len = sizeof request_mark - 1;
	char *end = strrchr(description, '\n');
	char *line = end ? end + 1 : description;
	const char *uuid = line + mark_len;
	if (strncmp(line, request_mark, mark_len) != 0 ||
		strlen(uuid) != UUID_SIZE - 1 + 1 + HASH_SIZE - 1 || uuid[UUID_SIZE - 1] != ':')
		return;
	(void)snprintf(ret->uuid, sizeof ret->uuid, "%.*s", UUID_SIZE - 1, uuid);
	(void)snprintf(ret->body, sizeof ret->body, "%s", uuid + UUID_SIZE);
	size_t n = end ? (size_t)(end - description) : 0;
	while (n && strchr(" \t\r\n", description[n - 1]))
		n--;
	description[n] = '\0';
}

static int add_request(
	struct xml_node *root, const struct snapshot_request *request, struct err *err)
{
	struct xml_node *node = xml_child(root, "description");
	AUTO(free) char *said = node ? xml_raw_text(node) : strdup("");
	AUTO(free) char *text = NULL;
	if (!said)
		return err_memory(err);
	if (asprintf(&text, "%s%s%s%s:%s", said, *said ? "\n" : "", request_mark, request->uuid,
		    request->body) < 0)
		return err_memory(err);
	if (node ? xml_set_text(node, text) < 0 : !xml_add(root, "description", text))
		return err_memory(err);
	return 0;
}

/* A client that could write one could pass its snapshot off as the answer to another's request. */
static int refuse_request_line(const struct xml_node *root, struct err *err)
{
	const struct xml_node *node = xml_child(root, "description");
	AUTO(free) char *text = node ? xml_raw_text(node) : strdup("");
	if (!text)
		return err_memory(err);
	if (!strstr(text, request_mark))
		return 0;
	return err_set(err, ERR_INVALID_SPEC,
		"description: must not hold '%s', which virtgate uses for itself", request_mark);
}

/* Reading */

static const char *read_state(const struct xml_node *root)
{
	static const struct {
		const char *libvirts, *ours;
	} states[] = {
		{ "running", "running" },
		{ "blocked", "running" },
		{ "paused", "paused" },
		{ "shutdown", "shutdown" },
		{ "shutoff", "shutoff" },
		{ "crashed", "crashed" },
		{ "pmsuspended", "pmsuspended" },
		{ "disk-snapshot", "disk-snapshot" },
	};
	char state[16];
	xml_copy_text(root, "state", state, sizeof state);
	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		if (!strcmp(state, states[i].libvirts))
			return states[i].ours;
	return "unknown";
}

static bool is_kind(const struct xml_node *node, const char *kind)
{
	AUTO(free) char *has = node ? xml_attr(node, "snapshot") : NULL;
	return has && !strcmp(has, kind);
}

static enum snapshot_disks read_disks(const struct xml_node *root)
{
	enum snapshot_disks found = SNAPSHOT_DISKS_NONE;
	const struct xml_node *disk = xml_find(root, "disks/disk");
	for (; disk; disk = xml_next(disk)) {
		if (is_kind(disk, "external"))
			return SNAPSHOT_DISKS_EXTERNAL;
		if (is_kind(disk, "internal"))
			found = SNAPSHOT_DISKS_INTERNAL;
	}
	return found;
}

static void read_document(const struct xml_node *root, struct snapshot *ret)
{
	char created[32];
	const struct xml_node *memory = xml_child(root, "memory");
	xml_copy_text(root, "name", ret->name, sizeof ret->name);
	xml_copy_text(root, "parent/name", ret->parent, sizeof ret->parent);
	xml_copy_text(root, "creationTime", created, sizeof created);
	xml_copy_text(root, "description", ret->description, sizeof ret->description);
	split_request(ret->description, &ret->request);
	ret->state = read_state(root);
	ret->created = strtoll(created, NULL, 10);
	ret->memory = is_kind(memory, "internal") || is_kind(memory, "external");
	ret->disks = read_disks(root);
}

static int read_xml(
	struct lease *lease, virDomainSnapshotPtr snap, struct xml **ret, struct err *err)
{
	AUTO(free) char *text = virDomainSnapshotGetXMLDesc(snap, 0);
	return text ? xml_parse_trusted(text, ret, err) : virt_fail(lease, VIRT_SNAPSHOT_READ, err);
}

/* All but the number of its children. */
static int describe(
	struct lease *lease, virDomainSnapshotPtr snap, struct snapshot *ret, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	struct snapshot s = { 0 };
	if (read_xml(lease, snap, &doc, err) < 0)
		return -1;
	read_document(xml_root(doc), &s);
	int current = virDomainSnapshotIsCurrent(snap, 0);
	if (current < 0)
		return virt_fail(lease, VIRT_SNAPSHOT_READ, err);
	s.current = current;
	*ret = s;
	return 0;
}

static int describe_whole(
	struct lease *lease, virDomainSnapshotPtr snap, struct snapshot *ret, struct err *err)
{
	struct snapshot s;
	if (describe(lease, snap, &s, err) < 0)
		return -1;
	s.children = virDomainSnapshotNumChildren(snap, 0);
	if (s.children < 0)
		return virt_fail(lease, VIRT_SNAPSHOT_READ, err);
	*ret = s;
	return 0;
}

void snapshot_etag(const struct snapshot *s, char ret[static ETAG_SIZE])
{
	char text[sizeof *s + 128];
	int len = snprintf(text, sizeof text, "%s\n%s\n%s\n%lld %d %d %d %d\n%s", s->name,
		s->parent, s->state, (long long)s->created, s->children, (int)s->disks, s->memory,
		s->current, s->description);
	etag_make(text, (size_t)len, ret);
}

struct list_args {
	const char *ref;
	struct snapshot *list;
	size_t count;
};

struct snapshots {
	virDomainSnapshotPtr *list;
	int count;
};

static void snapshots_done(struct snapshots *snapshots)
{
	for (int i = 0; i < snapshots->count; i++)
		(void)virDomainSnapshotFree(snapshots->list[i]);
	free(snapshots->list);
}
#define AUTO_SNAPSHOTS __attribute__((cleanup(snapshots_done)))

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

/* What the tree's links say needs no question to libvirt for each. */
static int count_children(struct snapshot *list, size_t count, struct err *err)
{
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

struct listing {
	struct snapshot *list;
	size_t count;
	size_t room;
};

static int add_described(
	struct lease *lease, virDomainSnapshotPtr snap, struct listing *listing, struct err *err)
{
	if (listing->count == listing->room) {
		size_t room = listing->room ? 2 * listing->room : 16;
		struct snapshot *list = reallocarray(listing->list, room, sizeof *list);
		if (!list)
			return err_memory(err);
		listing->list = list;
		listing->room = room;
	}
	if (!describe(lease, snap, &listing->list[listing->count], err))
		listing->count++;
	else if (err->kind != ERR_SNAPSHOT_NOT_FOUND) /* deleted meanwhile */
		return -1;
	return 0;
}

static int list_children(
	struct lease *lease, virDomainSnapshotPtr root, struct snapshots *ret, struct err *err)
{
	ret->count = virDomainSnapshotListAllChildren(root, &ret->list,
		VIR_DOMAIN_SNAPSHOT_LIST_DESCENDANTS | VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL);
	if (ret->count >= 0)
		return 0;
	ret->count = 0;
	return virt_fail(lease, VIRT_SNAPSHOT_READ, err);
}

static int describe_tree(
	struct lease *lease, virDomainSnapshotPtr root, struct listing *listing, struct err *err)
{
	AUTO_SNAPSHOTS struct snapshots below = { 0 };
	if (list_children(lease, root, &below, err) < 0)
		return err->kind == ERR_SNAPSHOT_NOT_FOUND ? 0 : -1;
	if (add_described(lease, root, listing, err) < 0)
		return -1;
	for (int i = 0; i < below.count; i++)
		if (add_described(lease, below.list[i], listing, err) < 0)
			return -1;
	return 0;
}

static int refuse_long_list(struct lease *lease, virDomainPtr dom, struct err *err)
{
	int n = virDomainSnapshotNum(dom, 0);
	if (n < 0)
		return virt_fail(lease, VIRT_SNAPSHOT_READ, err);
	if (n <= SNAPSHOTS_LISTED_MAX)
		return 0;
	(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
		"VM '%s' has %d snapshots, and no more than %d can be listed",
		virDomainGetName(dom), n, SNAPSHOTS_LISTED_MAX);
	return err_hint(err, "delete some: by name each can be shown and deleted still");
}

static int describe_trees(struct lease *lease, const struct snapshots *roots,
	struct listing *listing, struct err *err)
{
	for (int i = 0; i < roots->count; i++)
		if (describe_tree(lease, roots->list[i], listing, err) < 0)
			return -1;
	return count_children(listing->list, listing->count, err);
}

/*
 * Root by root: libvirt 9.0.0 fails to list all in the tree's order while one is being made, which
 * it counts though it is not in the tree yet. So one that is being made is not listed.
 */
static int describe_all(struct lease *lease, virDomainPtr dom, struct snapshot **ret,
	size_t *ret_count, struct err *err)
{
	AUTO_SNAPSHOTS struct snapshots roots = { 0 };
	struct listing listing = { 0 };
	if (refuse_long_list(lease, dom, err) < 0)
		return -1;
	roots.count = virDomainListAllSnapshots(dom, &roots.list, VIR_DOMAIN_SNAPSHOT_LIST_ROOTS);
	if (roots.count < 0) {
		roots.count = 0;
		return virt_fail(lease, VIRT_SNAPSHOT_READ, err);
	}
	if (describe_trees(lease, &roots, &listing, err) < 0) {
		free(listing.list);
		return -1;
	}
	*ret = listing.list;
	*ret_count = listing.count;
	return 0;
}

static int read_list(struct lease *lease, void *data, struct err *err)
{
	struct list_args *args = data;
	AUTO(virDomainFree) virDomainPtr dom = NULL;
	if (domain_lookup(lease, args->ref, &dom, err) < 0)
		return -1;
	return describe_all(lease, dom, &args->list, &args->count, err);
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

static int lookup(struct lease *lease, virDomainPtr dom, const char *name,
	virDomainSnapshotPtr *ret, struct err *err)
{
	virDomainSnapshotPtr snap = name ? virDomainSnapshotLookupByName(dom, name, 0)
					 : virDomainSnapshotCurrent(dom, 0);
	if (!snap) {
		(void)virt_fail(lease, VIRT_SNAPSHOT_READ, err);
		if (err->kind == ERR_SNAPSHOT_NOT_FOUND && name)
			(void)err_set(err, ERR_SNAPSHOT_NOT_FOUND, "VM '%s' has no snapshot '%s'",
				virDomainGetName(dom), name);
		else if (err->kind == ERR_SNAPSHOT_NOT_FOUND)
			(void)err_set(err, ERR_SNAPSHOT_NOT_FOUND,
				"VM '%s' has no current snapshot", virDomainGetName(dom));
		return -1;
	}
	*ret = snap;
	return 0;
}

struct get_args {
	const char *ref;
	const char *name;
	struct snapshot snapshot;
};

static int read_one(struct lease *lease, void *data, struct err *err)
{
	struct get_args *args = data;
	AUTO(virDomainFree) virDomainPtr dom = NULL;
	AUTO(virDomainSnapshotFree) virDomainSnapshotPtr snap = NULL;
	if (domain_lookup(lease, args->ref, &dom, err) < 0 ||
		lookup(lease, dom, args->name, &snap, err) < 0)
		return -1;
	return describe_whole(lease, snap, &args->snapshot, err);
}

int snapshot_get(
	struct host *host, const char *ref, const char *name, struct snapshot *ret, struct err *err)
{
	struct get_args args = { .ref = ref, .name = name };
	if (lease_read(host->hypervisor, read_one, &args, err) < 0)
		return -1;
	*ret = args.snapshot;
	return 0;
}

/* Making documents */

/*
 * libvirt's own default, the time in seconds, gives two snapshots of one second one name. Of a
 * request, every virtgate makes the same.
 */
static void make_name(const struct snapshot_request *request, char *ret, size_t size)
{
	char uuid[UUID_SIZE];
	struct tm tm;
	time_t now = time(NULL);
	char when[32] = "";
	if (request->uuid[0]) {
		(void)snprintf(ret, size, "snap-%.18s", request->uuid);
		return;
	}
	uuid_make(uuid);
	if (gmtime_r(&now, &tm))
		(void)strftime(when, sizeof when, "%Y%m%d-%H%M%S", &tm);
	(void)snprintf(ret, size, "snap-%s-%.8s", when, uuid);
}

static int settle_name(
	struct xml_node *root, const struct snapshot_request *request, struct err *err)
{
	char made[64];
	struct xml_node *node = xml_child(root, "name");
	AUTO(free) char *name = node ? xml_node_text(node) : NULL;
	if (name && *name && !text_is_name(name))
		return err_set(
			err, ERR_INVALID_SPEC, "name: '%.64s' is not %s", name, TEXT_NAME_RULE);
	make_name(request, made, sizeof made);
	if (!node)
		return xml_add(root, "name", made) ? 0 : err_memory(err);
	return xml_set_text(node, name && *name ? name : made) < 0 ? err_memory(err) : 0;
}

static int settle(struct xml_node *root, const struct snapshot_request *request, struct err *err)
{
	return refuse_request_line(root, err) < 0 ? -1 : settle_name(root, request, err);
}

int snapshot_xml_read(const char *text, size_t len, const struct snapshot_request *request,
	struct xml **ret, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	if (xml_parse(text, len, "snapshot XML", &doc, err) < 0)
		return -1;
	if (!xml_is(xml_root(doc), "domainsnapshot"))
		return err_set(err, ERR_INVALID_XML,
			"snapshot XML: the outermost element is not <domainsnapshot>");
	if (settle(xml_root(doc), request, err) < 0)
		return -1;
	*ret = TAKE(doc);
	return 0;
}

int snapshot_xml_make(const char *name, const char *description,
	const struct snapshot_request *request, struct xml **ret, struct err *err)
{
	AUTO(xml_free) struct xml *doc = xml_new("domainsnapshot");
	if (!doc || (name && !xml_add(xml_root(doc), "name", name)) ||
		(description && !xml_add(xml_root(doc), "description", description)))
		return err_memory(err);
	if (settle(xml_root(doc), request, err) < 0)
		return -1;
	*ret = TAKE(doc);
	return 0;
}

/* Creating */

static int refuse_impossible(
	struct hold *hold, const struct xml *doc, bool *ret_shares, struct err *err)
{
	AUTO(xml_free) struct xml *domain = NULL;
	if (snapshot_check_memory(xml_root(doc), hold->vm.active, err) < 0)
		return -1;
	if (virt_is_test(&hold->lease))
		return 0;
	if (domain_read_xml(&hold->lease, hold->dom, 0, &domain, err) < 0)
		return -1;
	*ret_shares = xml_find(xml_root(domain), "devices/filesystem");
	bool chosen = xml_child(xml_root(doc), "disks") || xml_child(xml_root(doc), "memory");
	return snapshot_check_create(xml_root(domain), chosen, err);
}

/* libvirt's refusal of a running guest that has a share mounted says it in words of migration. */
static int explain_unsupported(const struct hold *hold, bool shares, struct err *err)
{
	if (err->kind != ERR_SNAPSHOT_UNSUPPORTED)
		return -1;
	if (!shares || !hold->vm.active || err->libvirt_code != VIR_ERR_OPERATION_INVALID)
		return err_hint(err, "leave out disks and memory: all of them are taken then");
	(void)snprintf(err->text, sizeof err->text,
		"the guest has a 9p share mounted, and QEMU cannot save its state");
	return err_hint(err, "unmount it in the guest, or shut the VM off first");
}

/*
 * libvirt's code for a name that is taken is also that of a QEMU that failed at the snapshot, and
 * its code for anything that of a qemu-img that did, which it runs for a VM that is off.
 */
static int explain_failed(struct err *err)
{
	bool qemu = err->kind == ERR_ALREADY_EXISTS && err->libvirt_domain == VIR_FROM_QEMU;
	bool qemu_img = err->libvirt_code == VIR_ERR_INTERNAL_ERROR &&
		err->libvirt_domain == VIR_FROM_NONE && strstr(err->private, "qemu-img");
	if (!qemu && !qemu_img)
		return -1;
	err->kind = ERR_STORAGE_UNAVAILABLE;
	(void)snprintf(err->text, sizeof err->text, "QEMU could not write the snapshot");
	return err_hint(err, "is there room where the VM's disks are?");
}

static int refuse_same(struct hold *hold, const char *name, struct err *err)
{
	AUTO(virDomainSnapshotFree) virDomainSnapshotPtr same =
		virDomainSnapshotLookupByName(hold->dom, name, 0);
	if (!same)
		return 0;
	return err_set(err, ERR_ALREADY_EXISTS, "VM '%s' has a snapshot '%s' already",
		hold->vm.name, name);
}

/* libvirt lets qemu-img loose on the images of a VM that is off, as root, to guess their formats.
 */
static int guard_off(
	struct hold *hold, const struct config *config, struct guard *guard, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	if (hold->vm.active)
		return 0;
	if (domain_read_xml(&hold->lease, hold->dom, VIR_DOMAIN_XML_INACTIVE, &doc, err) < 0)
		return -1;
	return guard_enter(guard, hold->lease.hypervisor, xml_root(doc), config, true, err);
}

/* Each list of them costs libvirt and us so much again. */
static int refuse_too_many(struct hold *hold, struct err *err)
{
	if (virDomainSnapshotNum(hold->dom, 0) < SNAPSHOTS_MAX)
		return 0;
	return err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
		"VM '%s' has %d snapshots, which is the most; delete one first", hold->vm.name,
		SNAPSHOTS_MAX);
}

/* Has the same user's request with this key made one? ERR_KEY_REUSED when it was another request.
 */
static int find_request(struct hold *hold, const struct snapshot_request *request,
	struct snapshot *ret, bool *ret_found, struct err *err)
{
	AUTO(free) struct snapshot *list = NULL;
	size_t count = 0;
	size_t i = 0;
	if (!request->uuid[0])
		return 0;
	if (describe_all(&hold->lease, hold->dom, &list, &count, err) < 0)
		return -1;
	while (i < count && strcmp(list[i].request.uuid, request->uuid) != 0)
		i++;
	if (i == count)
		return 0;
	if (strcmp(list[i].request.body, request->body) != 0) {
		(void)err_set(err, ERR_KEY_REUSED,
			"this Idempotency-Key came with another body before, which made snapshot "
			"'%.64s'",
			list[i].name);
		return err_hint(err, "a new request has a new key");
	}
	*ret = list[i];
	*ret_found = true;
	return 0;
}

static int create(struct hold *hold, const struct config *config, const struct xml *doc,
	struct snapshot *ret, struct err *err)
{
	struct snapshot made = { .state = "unknown", .created = time(NULL), .current = true };
	AUTO_GUARD struct guard guard = { 0 };
	AUTO(free) char *xml = xml_text(doc);
	bool shares = false;
	if (!xml)
		return err_memory(err);
	read_document(xml_root(doc), &made);
	if (refuse_same(hold, made.name, err) < 0 || refuse_too_many(hold, err) < 0 ||
		refuse_impossible(hold, doc, &shares, err) < 0 ||
		guard_off(hold, config, &guard, err) < 0)
		return -1;
	AUTO(virDomainSnapshotFree) virDomainSnapshotPtr snap =
		virDomainSnapshotCreateXML(hold->dom, xml, VIR_DOMAIN_SNAPSHOT_CREATE_VALIDATE);
	if (!snap) {
		(void)virt_fail(&hold->lease, VIRT_SNAPSHOT_CREATE, err);
		(void)explain_unsupported(hold, shares, err);
		return explain_failed(err);
	}
	/* It is there, so not being able to read it back is no failure. */
	struct err ignored;
	*ret = made;
	(void)describe_whole(&hold->lease, snap, ret, &ignored);
	return 0;
}

/* Is there one of that name that is of the request, or none at all? */
static bool is_being_made(
	struct hold *hold, const char *name, const struct snapshot_request *request)
{
	struct snapshot other = { 0 };
	struct err ignored;
	AUTO(xml_free) struct xml *doc = NULL;
	AUTO(virDomainSnapshotFree) virDomainSnapshotPtr snap =
		virDomainSnapshotLookupByName(hold->dom, name, 0);
	if (!snap || read_xml(&hold->lease, snap, &doc, &ignored) < 0)
		return true;
	read_document(xml_root(doc), &other);
	return !strcmp(other.request.uuid, request->uuid);
}

/*
 * It could not be made: by a virtgate elsewhere the same request may have been answered meanwhile,
 * or be worked on.
 */
static int find_request_again(struct hold *hold, const char *name,
	const struct snapshot_request *request, struct snapshot *ret, bool *ret_found,
	struct err *err)
{
	static const struct timespec step = { .tv_nsec = 20000000 };
	int64_t deadline = clock_ms() + GATE_WAIT_MS;
	struct err failed;
	while (!hold->lease.broken && request->uuid[0]) {
		if (find_request(hold, request, ret, ret_found, &failed) < 0) {
			*err = failed;
			return -1;
		}
		if (*ret_found)
			return 0;
		if (err->kind != ERR_ALREADY_EXISTS || !is_being_made(hold, name, request))
			return -1;
		if (clock_ms() > deadline)
			return err_set(err, ERR_VM_BUSY, "the same request is being worked on");
		(void)nanosleep(&step, NULL);
	}
	return -1;
}

int snapshot_create(const struct config *config, struct host *host, const struct target *target,
	struct xml *doc, const struct snapshot_request *request, struct snapshot *ret,
	bool *ret_replayed, struct err *err)
{
	/* What a request changed itself does not keep it from being answered again. */
	const struct target any = { .ref = target->ref, .if_match = "" };
	AUTO_LONG struct long_work work = { 0 };
	AUTO_HOLD struct hold hold = { 0 };
	*ret_replayed = false;
	if (domain_hold(host->hypervisor, &any, &hold, err) < 0 ||
		find_request(&hold, request, ret, ret_replayed, err) < 0)
		return -1;
	if (*ret_replayed)
		return 0;
	if (domain_check_version(&hold, target->if_match, err) < 0 ||
		(request->uuid[0] && add_request(xml_root(doc), request, err) < 0))
		return -1;
	if (long_enter(host->hypervisor, LONG_CALL, &work, err) < 0)
		return -1;
	if (!create(&hold, config, doc, ret, err))
		return 0;
	char name[sizeof ret->name];
	xml_copy_text(xml_root(doc), "name", name, sizeof name);
	return find_request_again(&hold, name, request, ret, ret_replayed, err);
}

/* Deleting and reverting */

/* It goes back to the domain that it was, too, which the snapshot keeps. */
static int guard_snapshot(struct hold *hold, const struct xml *doc, const struct config *config,
	struct guard *guard, struct err *err)
{
	const struct xml_node *domain = xml_child(xml_root(doc), "domain");
	if (!domain)
		return err_set(err, ERR_INTERNAL, "libvirt's snapshot has no domain");
	return guard_enter(guard, hold->lease.hypervisor, domain, config, !hold->vm.active, err);
}

static int check_snapshot_version(
	struct lease *lease, virDomainSnapshotPtr snap, const char *if_match, struct err *err)
{
	char etag[ETAG_SIZE];
	struct snapshot now = { .state = "unknown" };
	if (!*if_match)
		return 0;
	if (describe_whole(lease, snap, &now, err) < 0)
		return -1;
	snapshot_etag(&now, etag);
	if (etag_is_listed(if_match, etag))
		return 0;
	(void)err_set(err, ERR_PRECONDITION_FAILED,
		"snapshot '%.64s' has changed since: its entity tag is %s now", now.name, etag);
	return err_hint(err, "get it again and repeat your change");
}

/* Itself and, with children, all that descend from it. */
static int name_doomed(struct lease *lease, virDomainSnapshotPtr snap, bool children,
	struct snapshot_deleted *ret, struct err *err)
{
	AUTO_SNAPSHOTS struct snapshots below = { 0 };
	if (children && list_children(lease, snap, &below, err) < 0)
		return -1;
	size_t count = (size_t)below.count + 1;
	char(*names)[256] = calloc(count, sizeof *names);
	if (!names)
		return err_memory(err);
	for (size_t i = 0; i < count; i++)
		(void)snprintf(names[i], sizeof names[i], "%s",
			virDomainSnapshotGetName(i ? below.list[i - 1] : snap));
	ret->names = names;
	ret->count = count;
	return 0;
}

static int guard_one(struct hold *hold, virDomainSnapshotPtr snap, const struct config *config,
	struct guard *guard, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	if (read_xml(&hold->lease, snap, &doc, err) < 0)
		return -1;
	return guard_snapshot(hold, doc, config, guard, err);
}

/* What a full guard does not hold it does not tell. */
static int guard_children(struct hold *hold, virDomainSnapshotPtr snap, const struct config *config,
	struct guard *guard, struct err *err)
{
	AUTO_SNAPSHOTS struct snapshots below = { 0 };
	if (list_children(&hold->lease, snap, &below, err) < 0)
		return -1;
	bool few = below.count <= SNAPSHOTS_LISTED_MAX;
	for (int i = 0; few && i < below.count; i++)
		if (guard_one(hold, below.list[i], config, guard, err) < 0)
			return -1;
	if (few && (!below.count || guard->count < GUARD_IMAGES_MAX))
		return 0;
	(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
		"the VM is off, and the snapshots are more than %d or have %d disk images or more",
		SNAPSHOTS_LISTED_MAX, GUARD_IMAGES_MAX);
	return err_hint(err, "delete them one by one, or their metadata only");
}

/* Of a VM that is off libvirt opens the images of now and, to delete from, those of then. */
static int guard_deletion(struct hold *hold, virDomainSnapshotPtr snap, const struct config *config,
	bool children, struct guard *guard, struct err *err)
{
	if (hold->vm.active)
		return 0;
	if (guard_off(hold, config, guard, err) < 0 ||
		guard_one(hold, snap, config, guard, err) < 0)
		return -1;
	return children ? guard_children(hold, snap, config, guard, err) : 0;
}

static int explain_deletion(
	struct hold *hold, const struct snapshot_deleted *doomed, struct err *err)
{
	size_t gone = 0;
	(void)virt_fail(&hold->lease, VIRT_SNAPSHOT_DELETE, err);
	for (size_t i = 0; !hold->lease.broken && i < doomed->count; i++) {
		AUTO(virDomainSnapshotFree) virDomainSnapshotPtr left =
			virDomainSnapshotLookupByName(hold->dom, doomed->names[i], 0);
		gone += !left;
	}
	if (err->kind == ERR_SNAPSHOT_UNSUPPORTED)
		(void)err_hint(err, "with metadata_only=1 libvirt forgets it, and the disks stay");
	size_t n = strlen(err->text);
	if (gone && gone < doomed->count)
		(void)snprintf(err->text + n, sizeof err->text - n, "; %zu of %zu were deleted",
			gone, doomed->count);
	return -1;
}

static int delete_held(struct hold *hold, virDomainSnapshotPtr snap, const struct config *config,
	const struct snapshot_delete *how, const struct snapshot_deleted *doomed, struct err *err)
{
	AUTO_GUARD struct guard guard = { 0 };
	unsigned flags = how->children ? VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN : 0;
	/* The test driver has nothing but metadata, and does not know the flag. */
	if (how->metadata_only && !virt_is_test(&hold->lease))
		flags |= VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY;
	if (!how->metadata_only &&
		guard_deletion(hold, snap, config, how->children, &guard, err) < 0)
		return -1;
	if (virDomainSnapshotDelete(snap, flags) < 0)
		return explain_deletion(hold, doomed, err);
	return 0;
}

int snapshot_delete(const struct config *config, struct host *host, const struct target *target,
	const char *name, const struct snapshot_delete *how, struct snapshot_deleted *ret,
	struct err *err)
{
	const struct target vm = { .ref = target->ref, .if_match = "" };
	AUTO_LONG struct long_work work = { 0 };
	struct snapshot_deleted doomed = { 0 };
	AUTO_HOLD struct hold hold = { 0 };
	AUTO(virDomainSnapshotFree) virDomainSnapshotPtr snap = NULL;
	if (domain_hold(host->hypervisor, &vm, &hold, err) < 0 ||
		lookup(&hold.lease, hold.dom, name, &snap, err) < 0 ||
		check_snapshot_version(&hold.lease, snap, target->if_match, err) < 0 ||
		name_doomed(&hold.lease, snap, how->children, &doomed, err) < 0)
		return -1;
	if (long_enter(host->hypervisor, LONG_CALL, &work, err) < 0 ||
		delete_held(&hold, snap, config, how, &doomed, err) < 0) {
		free(doomed.names);
		return -1;
	}
	*ret = doomed;
	return 0;
}

/* A revert that fails after libvirt has stopped the VM leaves it off. */
static int explain_revert(struct hold *hold, enum virt_op op, struct err *err)
{
	(void)virt_fail(&hold->lease, op, err);
	if (hold->lease.broken)
		return -1;
	enum vm_state state = domain_read_state(hold->dom);
	if (err->kind == ERR_REVERT_NEEDS_FORCE)
		(void)err_hint(err, "repeat it with \"force\": true");
	if (err->kind == ERR_WRONG_STATE || state != hold->vm.state)
		(void)snprintf(err->state, sizeof err->state, "%s", vm_state_name(state));
	if (state != hold->vm.state && !err->hint[0])
		(void)err_hint(err, "the VM is %s now: libvirt had stopped it already",
			vm_state_name(state));
	return -1;
}

/*
 * The test driver forgets which state was asked for when the snapshot is of a VM that was off; and
 * it cannot start one paused, but there is no guest that would run meanwhile.
 */
static int reach(virDomainPtr dom, enum snapshot_state wanted)
{
	if (wanted == SNAPSHOT_AS_SAVED)
		return 0;
	if (domain_read_state(dom) == VM_SHUTOFF && virDomainCreate(dom) < 0)
		return -1;
	enum vm_state state = domain_read_state(dom);
	if (wanted == SNAPSHOT_RUNNING && state == VM_PAUSED)
		return virDomainResume(dom);
	if (wanted == SNAPSHOT_PAUSED && state == VM_RUNNING)
		return virDomainSuspend(dom);
	return 0;
}

static int revert_held(struct hold *hold, virDomainSnapshotPtr snap,
	const struct snapshot_revert *how, struct err *err)
{
	static const unsigned states[] = {
		[SNAPSHOT_AS_SAVED] = 0,
		[SNAPSHOT_RUNNING] = VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING,
		[SNAPSHOT_PAUSED] = VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED,
	};
	unsigned flags = states[how->state] | (how->force ? VIR_DOMAIN_SNAPSHOT_REVERT_FORCE : 0U);
	if (virDomainRevertToSnapshot(snap, flags) < 0)
		return explain_revert(hold, VIRT_SNAPSHOT_REVERT, err);
	if (reach(hold->dom, how->state) < 0)
		return explain_revert(hold, VIRT_START, err);
	return 0;
}

int snapshot_revert(const struct config *config, struct host *host, const struct target *target,
	const char *name, const struct snapshot_revert *how, struct vm *ret, struct err *err)
{
	AUTO_HOLD struct hold hold = { 0 };
	AUTO_GUARD struct guard guard = { 0 };
	AUTO(virDomainSnapshotFree) virDomainSnapshotPtr snap = NULL;
	AUTO(xml_free) struct xml *doc = NULL;
	AUTO_LONG struct long_work work = { 0 };
	if (domain_hold(host->hypervisor, target, &hold, err) < 0 ||
		lookup(&hold.lease, hold.dom, name, &snap, err) < 0 ||
		read_xml(&hold.lease, snap, &doc, err) < 0 ||
		guard_snapshot(&hold, doc, config, &guard, err) < 0 ||
		snapshot_check_revert(xml_root(doc), !virt_is_test(&hold.lease), err) < 0)
		return -1;
	if (long_enter(host->hypervisor, LONG_CALL, &work, err) < 0)
		return -1;
	int rc = revert_held(&hold, snap, how, err);
	inventory_touch(host->inventory, hold.vm.uuid);
	if (rc < 0)
		return -1;
	struct err ignored;
	if (!domain_read(&hold.lease, hold.dom, ret, &ignored))
		return 0;
	*ret = hold.vm;
	ret->state = VM_UNKNOWN;
	ret->reason = "unknown";
	return 0;
}
