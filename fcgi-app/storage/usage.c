/* SPDX-License-Identifier: MIT */
#include "storage/usage.h"

#include "base/uuid.h"
#include "files/image_chain.h"
#include "libvirt/domain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Each costs a question to libvirt, which takes a millisecond or two. */
enum { SNAPSHOTS_MAX = 4096 }; /* stated in usage.h */

struct search {
	struct used_file *files;
	size_t count;
	char owner[96]; /* in words, of the XML that is searched */
	bool out_of_memory;
	/* usage_find() alone: */
	struct lease *lease;
	const char *except_uuid;
	size_t snapshots; /* of all VMs so far */
};

static void mark_unknown(const struct search *search)
{
	for (size_t i = 0; i < search->count; i++)
		if (!search->files[i].user[0])
			(void)snprintf(search->files[i].user, sizeof search->files[i].user,
				"whether %s uses it is not known", search->owner);
}

/* A text that is not an absolute path names no file. */
static void match_path(const struct search *search, const char *path)
{
	struct stat st;
	bool exists = *path == '/' && !stat(path, &st);
	for (size_t i = 0; i < search->count; i++) {
		struct used_file *file = &search->files[i];
		bool same = exists && st.st_dev == file->dev && st.st_ino == file->inode;
		if (!file->user[0] && (same || !strcmp(path, file->path)))
			(void)snprintf(file->user, sizeof file->user, "%s uses it", search->owner);
	}
}

/* The owner of an image uses every file of its chain. */
static void match_chain(const struct search *search, const char *path)
{
	struct image_chain chain;
	const char *why = NULL;
	enum image_step step = IMAGE_STEP_BACKING;
	if (*path != '/')
		return;
	if (!image_chain_start(&chain, path, IMAGE_UNSTATED))
		step = IMAGE_STEP_UNKNOWN;
	while (step == IMAGE_STEP_BACKING) {
		match_path(search, chain.path);
		AUTO(close) int fd = open(chain.path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd >= 0)
			step = image_chain_next(&chain, fd, &why);
		else /* a file that does not exist leads nowhere */
			step = errno == ENOENT || errno == ENOTDIR ? IMAGE_STEP_END
								   : IMAGE_STEP_UNKNOWN;
	}
	if (step == IMAGE_STEP_UNKNOWN)
		mark_unknown(search);
}

static void match_attribute(const char *name, const char *value, bool foreign, void *data)
{
	(void)name;
	(void)foreign;
	match_path(data, value);
}

/*
 * Every text and attribute, whatever its place: many places name files, and new libvirts add more.
 */
static void match_tree(struct search *search, const struct xml_node *node)
{
	AUTO(free) char *text = xml_first(node) ? NULL : xml_node_text(node);
	if (text)
		match_path(search, text);
	else if (!xml_first(node))
		search->out_of_memory = true;
	if (xml_each_attr(node, match_attribute, search) < 0)
		search->out_of_memory = true;
	for (const struct xml_node *n = xml_first(node); n; n = xml_sibling(n))
		match_tree(search, n);
}

/* A disk's image and those beneath it that libvirt lists. */
static void match_sources(const struct search *search, const struct xml_node *node)
{
	static const char *const names[] = { "file", "dev" };
	for (const struct xml_node *n = xml_first(node); n; n = xml_sibling(n)) {
		for (size_t i = 0; xml_is(n, "source") && i < ARRAY_LEN(names); i++) {
			AUTO(free) char *path = xml_attr(n, names[i]);
			if (path)
				match_chain(search, path);
		}
		match_sources(search, n);
	}
}

/*
 * Where an image leads is known for raw, which leads nowhere, and for qcow2; an image without a
 * stated format may be either.
 */
static void match_disk(struct search *search, const struct xml_node *disk)
{
	const struct xml_node *driver = xml_child(disk, "driver");
	AUTO(free) char *type = xml_attr(disk, "type");
	AUTO(free) char *format = driver ? xml_attr(driver, "type") : NULL;
	bool raw = format && !strcmp(format, "raw");
	bool known = !format || raw || !strcmp(format, "qcow2") || !xml_child(disk, "source");
	match_tree(search, disk);
	if (!raw)
		match_sources(search, disk);
	if (!known || search->out_of_memory || (type && !strcmp(type, "volume")))
		mark_unknown(search);
}

void usage_look_at_disk(
	const struct xml_node *disk, const char *owner, struct used_file *files, size_t count)
{
	struct search search = { .files = files, .count = count };
	(void)snprintf(search.owner, sizeof search.owner, "%s", owner);
	match_disk(&search, disk);
}

/* Searches a <domain>, or a <domainsnapshot>, which contains the domain of that time. */
static int search_document(struct search *search, const struct xml_node *root, struct err *err)
{
	static const char *const places[] = { "devices/disk", "disks/disk", "domain/devices/disk",
		"inactiveDomain/devices/disk" };
	match_tree(search, root);
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		for (const struct xml_node *n = xml_find(root, places[i]); n; n = xml_next(n))
			match_disk(search, n);
	return search->out_of_memory ? err_memory(err) : 0;
}

static int search_definition(struct search *search, virDomainPtr dom, struct err *err)
{
	static const unsigned flags[] = { VIR_DOMAIN_XML_INACTIVE, 0 };
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		AUTO(xml_free) struct xml *doc = NULL;
		if (domain_read_xml(search->lease, dom, flags[i], &doc, err) < 0)
			return err->kind == ERR_VM_NOT_FOUND ? 0 : -1; /* deleted meanwhile */
		if (search_document(search, xml_root(doc), err) < 0)
			return -1;
	}
	return 0;
}

/* After a failed read. What libvirt has and does not show may use any file. */
static int search_unreadable(const struct search *search, const struct err *err)
{
	if (search->lease->broken)
		return -1;
	if (err->kind != ERR_VM_NOT_FOUND && err->kind != ERR_SNAPSHOT_NOT_FOUND)
		mark_unknown(search);
	return 0;
}

static int search_save(struct search *search, virDomainPtr dom, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	if (domain_read_saved_xml(search->lease, dom, &doc, err) < 0)
		return search_unreadable(search, err);
	return search_document(search, xml_root(doc), err);
}

static int search_snapshot(struct search *search, virDomainSnapshotPtr snap, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	AUTO(free) char *text = virDomainSnapshotGetXMLDesc(snap, 0);
	if (!text) {
		(void)virt_fail(search->lease, VIRT_SNAPSHOT_READ, err);
		return search_unreadable(search, err);
	}
	if (xml_parse_trusted(text, &doc, err) < 0)
		return -1;
	return search_document(search, xml_root(doc), err);
}

static int search_snapshots(struct search *search, virDomainPtr dom, struct err *err)
{
	virDomainSnapshotPtr *all = NULL;
	int n = virDomainListAllSnapshots(dom, &all, 0);
	if (n < 0) {
		(void)virt_fail(search->lease, VIRT_SNAPSHOT_READ, err);
		return search_unreadable(search, err);
	}
	search->snapshots += (size_t)n;
	if (search->snapshots > SNAPSHOTS_MAX)
		mark_unknown(search);
	int rc = 0;
	for (int i = 0; i < n; i++) {
		if (!rc && search->snapshots <= SNAPSHOTS_MAX)
			rc = search_snapshot(search, all[i], err);
		(void)virDomainSnapshotFree(all[i]);
	}
	free(all);
	return rc;
}

/* A VM uses the files that it can return to as much as those that it has now. */
static const struct owner_kind {
	unsigned filter;   /* lists the VMs that have it */
	const char *words; /* before the VM */
	int (*search)(struct search *search, virDomainPtr dom, struct err *err);
} owner_kinds[] = {
	{ 0, "", search_definition },
	{ VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE, "the managed save of ", search_save },
	{ VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT, "a snapshot of ", search_snapshots },
};

static int search_vm(
	struct search *search, const struct owner_kind *kind, virDomainPtr dom, struct err *err)
{
	char uuid[UUID_SIZE];
	if (virDomainGetUUIDString(dom, uuid) < 0 || !strcmp(uuid, search->except_uuid))
		return 0;
	(void)snprintf(search->owner, sizeof search->owner, "%sVM '%.64s'", kind->words,
		virDomainGetName(dom));
	return kind->search(search, dom, err);
}

static int search_vms(struct search *search, const struct owner_kind *kind, struct err *err)
{
	virDomainPtr *all = NULL;
	int n = virConnectListAllDomains(search->lease->conn, &all, kind->filter);
	if (n < 0)
		return virt_fail(search->lease, VIRT_READ, err);
	int rc = 0;
	for (int i = 0; i < n; i++) {
		if (!rc)
			rc = search_vm(search, kind, all[i], err);
		(void)virDomainFree(all[i]);
	}
	free(all);
	return rc;
}

int usage_find(struct lease *lease, const char *except_uuid, struct used_file *files, size_t count,
	struct err *err)
{
	struct search search = {
		.files = files,
		.count = count,
		.lease = lease,
		.except_uuid = except_uuid,
	};
	for (size_t i = 0; i < ARRAY_LEN(owner_kinds); i++)
		if (search_vms(&search, &owner_kinds[i], err) < 0)
			return -1;
	return 0;
}
