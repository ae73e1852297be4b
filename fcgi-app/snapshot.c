/* SPDX-License-Identifier: MIT */
#include "snapshot.h"

#include "guard.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Reads libvirt's description of one snapshot. */
static int describe(
	struct lease *lease, virDomainSnapshotPtr snap, struct snapshot *ret, struct err *err)
{
	AUTO(free) char *text = virDomainSnapshotGetXMLDesc(snap, 0);
	AUTO(xml_free) struct xml *doc = NULL;
	if (!text)
		return virt_fail(lease, VIRT_SNAPSHOT_READ, err);
	if (xml_parse_trusted(text, &doc, err) < 0)
		return -1;
	const struct xml_node *root = xml_root(doc);
	struct snapshot s = { 0 };
	char created[32];
	xml_copy_text(root, "name", s.name, sizeof s.name);
	xml_copy_text(root, "parent/name", s.parent, sizeof s.parent);
	xml_copy_text(root, "description", s.description, sizeof s.description);
	xml_copy_text(root, "state", s.state, sizeof s.state);
	xml_copy_text(root, "creationTime", created, sizeof created);
	s.created = strtoll(created, NULL, 10);
	int current = virDomainSnapshotIsCurrent(snap, 0);
	if (current < 0)
		return virt_fail(lease, VIRT_SNAPSHOT_READ, err);
	s.current = current;
	*ret = s;
	return 0;
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

static int read_list(struct lease *lease, void *data, struct err *err)
{
	struct list_args *args = data;
	AUTO(virDomainFree) virDomainPtr dom = NULL;
	__attribute__((cleanup(snapshots_done))) struct snapshots all = { 0 };
	if (domain_lookup(lease, args->ref, &dom, err) < 0)
		return -1;
	all.count = virDomainListAllSnapshots(dom, &all.list, VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL);
	if (all.count < 0) {
		all.count = 0;
		return virt_fail(lease, VIRT_SNAPSHOT_READ, err);
	}
	AUTO(free) struct snapshot *list = calloc((size_t)all.count + 1, sizeof *list);
	size_t count = 0;
	if (!list)
		return err_memory(err);
	for (int i = 0; i < all.count; i++) {
		if (!describe(lease, all.list[i], &list[count], err))
			count++;
		else if (err->kind != ERR_SNAPSHOT_NOT_FOUND) /* deleted meanwhile */
			return -1;
	}
	args->list = TAKE(list);
	args->count = count;
	return 0;
}

int snapshot_list(struct host *host, const char *ref, struct snapshot **ret, size_t *ret_count,
	struct err *err)
{
	struct list_args args = { .ref = ref };
	if (virt_read(host, read_list, &args, err) < 0)
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
	return describe(lease, snap, &args->snapshot, err);
}

int snapshot_get(
	struct host *host, const char *ref, const char *name, struct snapshot *ret, struct err *err)
{
	struct get_args args = { .ref = ref, .name = name };
	if (virt_read(host, read_one, &args, err) < 0)
		return -1;
	*ret = args.snapshot;
	return 0;
}

/* libvirt's own default, the time in seconds, gives two snapshots of one second one name. */
static void make_name(char *ret, size_t size)
{
	char uuid[UUID_SIZE];
	struct tm tm;
	time_t now = time(NULL);
	char when[32] = "";
	uuid_make(uuid);
	if (gmtime_r(&now, &tm))
		(void)strftime(when, sizeof when, "%Y%m%d-%H%M%S", &tm);
	(void)snprintf(ret, size, "snap-%s-%.8s", when, uuid);
}

static int settle_name(const struct xml *doc, struct err *err)
{
	char made[64];
	struct xml_node *root = xml_root(doc);
	struct xml_node *node = xml_child(root, "name");
	AUTO(free) char *name = node ? xml_node_text(node) : NULL;
	if (name && *name && !text_is_name(name))
		return err_set(
			err, ERR_INVALID_SPEC, "name: '%.64s' is not %s", name, TEXT_NAME_RULE);
	make_name(made, sizeof made);
	if (!node)
		return xml_add(root, "name", made) ? 0 : err_memory(err);
	return xml_set_text(node, name && *name ? name : made) < 0 ? err_memory(err) : 0;
}

int snapshot_xml_read(const char *text, size_t len, struct xml **ret, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	if (xml_parse(text, len, "snapshot XML", &doc, err) < 0)
		return -1;
	if (!xml_is(xml_root(doc), "domainsnapshot"))
		return err_set(err, ERR_INVALID_XML,
			"snapshot XML: the outermost element is not <domainsnapshot>");
	if (settle_name(doc, err) < 0)
		return -1;
	*ret = TAKE(doc);
	return 0;
}

int snapshot_xml_make(const char *name, const char *description, struct xml **ret, struct err *err)
{
	AUTO(xml_free) struct xml *doc = xml_new("domainsnapshot");
	if (!doc || (name && !xml_add(xml_root(doc), "name", name)) ||
		(description && !xml_add(xml_root(doc), "description", description)))
		return err_memory(err);
	if (settle_name(doc, err) < 0)
		return -1;
	*ret = TAKE(doc);
	return 0;
}

static bool says(
	const struct xml_node *node, const char *child, const char *attr, const char *value)
{
	const struct xml_node *at = child ? xml_child(node, child) : node;
	AUTO(free) char *text = at ? xml_attr(at, attr) : NULL;
	return text && !strcmp(text, value);
}

/* Where a snapshot would lie: in every disk that the guest may write to. */
struct places {
	size_t disks;
	char raw[16]; /* the first that is not qcow2, or "" */
	bool shares;
};

static struct places find_places(const struct xml_node *domain)
{
	struct places found = { 0 };
	const struct xml_node *disk = xml_find(domain, "devices/disk");
	for (; disk; disk = xml_next(disk)) {
		const struct xml_node *target = xml_child(disk, "target");
		AUTO(free) char *dev = target ? xml_attr(target, "dev") : NULL;
		if (xml_child(disk, "readonly") || says(disk, NULL, "device", "cdrom") ||
			says(disk, NULL, "device", "floppy"))
			continue;
		found.disks++;
		if (!found.raw[0] && !says(disk, "driver", "type", "qcow2"))
			(void)snprintf(found.raw, sizeof found.raw, "%s", dev ? dev : "?");
	}
	found.shares = xml_find(domain, "devices/filesystem");
	return found;
}

static const char qcow2_hint[] =
	"a snapshot lies in the VM's own qcow2 disks; a spec's carrier_disk adds a small one";

/* What can be known before QEMU is asked. Who says which disks takes it up with QEMU. */
static int refuse_impossible(
	struct hold *hold, const struct xml *doc, struct places *ret, struct err *err)
{
	if (virt_is_test(&hold->lease) || xml_child(xml_root(doc), "disks") ||
		xml_child(xml_root(doc), "memory"))
		return 0;
	AUTO(xml_free) struct xml *domain = NULL;
	if (domain_read_xml(&hold->lease, hold->dom, 0, &domain, err) < 0)
		return -1;
	*ret = find_places(xml_root(domain));
	if (ret->disks && !ret->raw[0])
		return 0;
	if (!ret->disks)
		(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
			"the VM has no disk that a snapshot could lie in");
	else
		(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
			"disk %s is not of format qcow2, and only that can hold a snapshot",
			ret->raw);
	return err_hint(err, ret->disks ? "convert it: qemu-img convert -O qcow2" : qcow2_hint);
}

/* libvirt's refusal of a running guest that has a share mounted says it in words of migration. */
static int explain_unsupported(
	const struct hold *hold, const struct places *places, struct err *err)
{
	if (err->kind != ERR_SNAPSHOT_UNSUPPORTED)
		return -1;
	if (!places->shares || !hold->vm.active || err->libvirt_code != VIR_ERR_OPERATION_INVALID)
		return err_hint(err, "%s", qcow2_hint);
	(void)snprintf(err->text, sizeof err->text,
		"the guest has a 9p share mounted, and QEMU cannot save its state");
	return err_hint(err, "unmount it in the guest, or shut the VM off first");
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
	return guard_enter(guard, hold->lease.host, xml_root(doc), config, true, err);
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

int snapshot_create(const struct config *config, struct host *host, const struct target *target,
	const struct xml *doc, struct snapshot *ret, struct err *err)
{
	struct snapshot made = { .created = time(NULL), .current = true };
	xml_copy_text(xml_root(doc), "name", made.name, sizeof made.name);
	xml_copy_text(xml_root(doc), "description", made.description, sizeof made.description);
	AUTO(free) char *xml = xml_text(doc);
	if (!xml)
		return err_memory(err);
	AUTO_HOLD struct hold hold = { 0 };
	AUTO_GUARD struct guard guard = { 0 };
	struct places places = { 0 };
	if (domain_hold(host, target, &hold, err) < 0 || refuse_same(&hold, made.name, err) < 0 ||
		refuse_too_many(&hold, err) < 0 ||
		refuse_impossible(&hold, doc, &places, err) < 0 ||
		guard_off(&hold, config, &guard, err) < 0)
		return -1;
	AUTO(virDomainSnapshotFree) virDomainSnapshotPtr snap =
		virDomainSnapshotCreateXML(hold.dom, xml, VIR_DOMAIN_SNAPSHOT_CREATE_VALIDATE);
	if (!snap) {
		(void)virt_fail(&hold.lease, VIRT_SNAPSHOT_CREATE, err);
		return explain_unsupported(&hold, &places, err);
	}
	/* It is there, so not being able to read it back is no failure. */
	struct err ignored;
	*ret = made;
	(void)describe(&hold.lease, snap, ret, &ignored);
	return 0;
}

/* It goes back to the domain that it was, too, which the snapshot keeps. */
static int guard_snapshot(struct hold *hold, virDomainSnapshotPtr snap, const struct config *config,
	struct guard *guard, struct err *err)
{
	AUTO(free) char *text = virDomainSnapshotGetXMLDesc(snap, 0);
	AUTO(xml_free) struct xml *doc = NULL;
	if (!text)
		return virt_fail(&hold->lease, VIRT_SNAPSHOT_READ, err);
	if (xml_parse_trusted(text, &doc, err) < 0)
		return -1;
	const struct xml_node *domain = xml_child(xml_root(doc), "domain");
	if (!domain)
		return err_set(err, ERR_INTERNAL, "libvirt's snapshot has no domain");
	return guard_enter(guard, hold->lease.host, domain, config, !hold->vm.active, err);
}

int snapshot_delete(const struct config *config, struct host *host, const struct target *target,
	const char *name, struct err *err)
{
	AUTO_HOLD struct hold hold = { 0 };
	AUTO_GUARD struct guard guard = { 0 };
	AUTO(virDomainSnapshotFree) virDomainSnapshotPtr snap = NULL;
	if (domain_hold(host, target, &hold, err) < 0 ||
		lookup(&hold.lease, hold.dom, name, &snap, err) < 0 ||
		guard_off(&hold, config, &guard, err) < 0)
		return -1;
	if (!hold.vm.active && guard_snapshot(&hold, snap, config, &guard, err) < 0)
		return -1;
	if (virDomainSnapshotDelete(snap, 0) < 0)
		return virt_fail(&hold.lease, VIRT_SNAPSHOT_DELETE, err);
	return 0;
}

int snapshot_revert(const struct config *config, struct inventory *inventory,
	const struct target *target, const char *name, struct vm *ret, struct err *err)
{
	AUTO_HOLD struct hold hold = { 0 };
	AUTO_GUARD struct guard guard = { 0 };
	AUTO(virDomainSnapshotFree) virDomainSnapshotPtr snap = NULL;
	if (domain_hold(inventory_host(inventory), target, &hold, err) < 0 ||
		lookup(&hold.lease, hold.dom, name, &snap, err) < 0 ||
		guard_snapshot(&hold, snap, config, &guard, err) < 0)
		return -1;
	if (virDomainRevertToSnapshot(snap, 0) < 0) {
		(void)virt_fail(&hold.lease, VIRT_SNAPSHOT_REVERT, err);
		if (err->kind == ERR_WRONG_STATE)
			(void)snprintf(err->state, sizeof err->state, "%s",
				vm_state_name(domain_read_state(hold.dom)));
		return -1;
	}
	inventory_touch(inventory, hold.vm.uuid);
	struct err ignored;
	if (!domain_read(&hold.lease, hold.dom, ret, &ignored))
		return 0;
	*ret = hold.vm;
	ret->state = VM_UNKNOWN;
	ret->reason = "unknown";
	return 0;
}
