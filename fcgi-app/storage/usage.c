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

/* Each is a question to libvirt of a millisecond or two. */
enum { SNAPSHOTS_MAX = 4096 }; /* said in usage.h */

struct look {
	char who[96];
	struct used_file *files;
	size_t count;
	size_t snapshots; /* of all VMs so far */
	bool out_of_memory;
};

static void cannot_tell(const struct look *look)
{
	for (size_t i = 0; i < look->count; i++)
		if (!look->files[i].user[0])
			(void)snprintf(look->files[i].user, sizeof look->files[i].user,
				"it cannot be told whether %s uses it", look->who);
}

/* What is no path names no file. */
static void look_at_path(const struct look *look, const char *path)
{
	struct stat st;
	bool there = *path == '/' && !stat(path, &st);
	for (size_t i = 0; i < look->count; i++) {
		struct used_file *file = &look->files[i];
		bool same = there && st.st_dev == file->dev && st.st_ino == file->inode;
		if (!file->user[0] && (same || !strcmp(path, file->path)))
			(void)snprintf(file->user, sizeof file->user, "%s uses it", look->who);
	}
}

/* Every file of an image's chain is in use by whoever has the image. */
static void look_at_image(const struct look *look, const char *path)
{
	struct image_chain chain;
	const char *why = NULL;
	enum image_step step = IMAGE_STEP_BACKING;
	if (*path != '/')
		return;
	if (!image_chain_start(&chain, path, IMAGE_UNSTATED))
		step = IMAGE_STEP_UNKNOWN;
	while (step == IMAGE_STEP_BACKING) {
		look_at_path(look, chain.path);
		AUTO(close) int fd = open(chain.path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd >= 0)
			step = image_chain_next(&chain, fd, &why);
		else /* what is not there leads nowhere */
			step = errno == ENOENT || errno == ENOTDIR ? IMAGE_STEP_END
								   : IMAGE_STEP_UNKNOWN;
	}
	if (step == IMAGE_STEP_UNKNOWN)
		cannot_tell(look);
}

static void look_at_attr(const char *name, const char *value, bool foreign, void *data)
{
	(void)name;
	(void)foreign;
	look_at_path(data, value);
}

/* Whatever names a file, in whatever place: there are many, and libvirt gets more. */
static void look_at_tree(struct look *look, const struct xml_node *node)
{
	AUTO(free) char *text = xml_first(node) ? NULL : xml_node_text(node);
	if (text)
		look_at_path(look, text);
	if (xml_each_attr(node, look_at_attr, look) < 0)
		look->out_of_memory = true;
	for (const struct xml_node *n = xml_first(node); n; n = xml_sibling(n))
		look_at_tree(look, n);
}

/* A disk's image and those beneath it that libvirt lists. */
static void look_at_sources(const struct look *look, const struct xml_node *node)
{
	static const char *const names[] = { "file", "dev" };
	for (const struct xml_node *n = xml_first(node); n; n = xml_sibling(n)) {
		for (size_t i = 0; xml_is(n, "source") && i < ARRAY_LEN(names); i++) {
			AUTO(free) char *path = xml_attr(n, names[i]);
			if (path)
				look_at_image(look, path);
		}
		look_at_sources(look, n);
	}
}

/*
 * Only of qcow2 it is known here what an image's header leads to; of a raw one it leads nowhere,
 * and without a word of its format it might be either.
 */
static void look_at_disk(struct look *look, const struct xml_node *disk)
{
	const struct xml_node *driver = xml_child(disk, "driver");
	AUTO(free) char *type = xml_attr(disk, "type");
	AUTO(free) char *format = driver ? xml_attr(driver, "type") : NULL;
	bool raw = format && !strcmp(format, "raw");
	bool known = !format || raw || !strcmp(format, "qcow2") || !xml_child(disk, "source");
	look_at_tree(look, disk);
	if (!raw)
		look_at_sources(look, disk);
	if (!known || look->out_of_memory || (type && !strcmp(type, "volume")))
		cannot_tell(look);
}

void usage_look_at_disk(
	const struct xml_node *disk, const char *who, struct used_file *files, size_t count)
{
	struct look look = { .files = files, .count = count };
	(void)snprintf(look.who, sizeof look.who, "%s", who);
	look_at_disk(&look, disk);
}

/* A document of libvirt's: a domain, or a snapshot, which keeps the domain that was. */
static int look_at_document(struct look *look, const struct xml_node *root, struct err *err)
{
	static const char *const places[] = { "devices/disk", "disks/disk", "domain/devices/disk",
		"inactiveDomain/devices/disk" };
	look_at_tree(look, root);
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		for (const struct xml_node *n = xml_find(root, places[i]); n; n = xml_next(n))
			look_at_disk(look, n);
	return look->out_of_memory ? err_memory(err) : 0;
}

static int look_at_definition(
	struct lease *lease, struct look *look, virDomainPtr dom, struct err *err)
{
	static const unsigned flags[] = { VIR_DOMAIN_XML_INACTIVE, 0 };
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		AUTO(xml_free) struct xml *doc = NULL;
		if (domain_read_xml(lease, dom, flags[i], &doc, err) < 0)
			return err->kind == ERR_VM_NOT_FOUND ? 0 : -1; /* it has gone meanwhile */
		if (look_at_document(look, xml_root(doc), err) < 0)
			return -1;
	}
	return 0;
}

/* libvirt has it and does not show it. */
static int explain_unreadable(
	const struct lease *lease, const struct look *look, const struct err *err)
{
	if (lease->broken)
		return -1;
	if (err->kind != ERR_VM_NOT_FOUND && err->kind != ERR_SNAPSHOT_NOT_FOUND)
		cannot_tell(look);
	return 0;
}

static int look_at_save(struct lease *lease, struct look *look, virDomainPtr dom, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	if (domain_read_saved_xml(lease, dom, &doc, err) < 0)
		return explain_unreadable(lease, look, err);
	return look_at_document(look, xml_root(doc), err);
}

static int look_at_snapshot(
	struct lease *lease, struct look *look, virDomainSnapshotPtr snap, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	AUTO(free) char *text = virDomainSnapshotGetXMLDesc(snap, 0);
	if (!text) {
		(void)virt_fail(lease, VIRT_SNAPSHOT_READ, err);
		return explain_unreadable(lease, look, err);
	}
	if (xml_parse_trusted(text, &doc, err) < 0)
		return -1;
	return look_at_document(look, xml_root(doc), err);
}

static int look_at_snapshots(
	struct lease *lease, struct look *look, virDomainPtr dom, struct err *err)
{
	virDomainSnapshotPtr *all = NULL;
	int n = virDomainListAllSnapshots(dom, &all, 0);
	if (n < 0) {
		(void)virt_fail(lease, VIRT_SNAPSHOT_READ, err);
		return explain_unreadable(lease, look, err);
	}
	look->snapshots += (size_t)n;
	if (look->snapshots > SNAPSHOTS_MAX)
		cannot_tell(look);
	int rc = 0;
	for (int i = 0; i < n; i++) {
		if (!rc && look->snapshots <= SNAPSHOTS_MAX)
			rc = look_at_snapshot(lease, look, all[i], err);
		(void)virDomainSnapshotFree(all[i]);
	}
	free(all);
	return rc;
}

/* What a VM may go back to is its own as much as what it is now. */
static const struct kind {
	unsigned filter; /* of the VMs that have it */
	const char *of;  /* it, in words */
	int (*look)(struct lease *lease, struct look *look, virDomainPtr dom, struct err *err);
} kinds[] = {
	{ 0, "", look_at_definition },
	{ VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE, "the managed save of ", look_at_save },
	{ VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT, "a snapshot of ", look_at_snapshots },
};

static int look_at_vm(struct lease *lease, struct look *look, const struct kind *kind,
	virDomainPtr dom, const char *except_uuid, struct err *err)
{
	char uuid[UUID_SIZE];
	if (virDomainGetUUIDString(dom, uuid) < 0 || !strcmp(uuid, except_uuid))
		return 0;
	(void)snprintf(
		look->who, sizeof look->who, "%sVM '%.64s'", kind->of, virDomainGetName(dom));
	return kind->look(lease, look, dom, err);
}

static int look_at_kind(struct lease *lease, struct look *look, const struct kind *kind,
	const char *except_uuid, struct err *err)
{
	virDomainPtr *all = NULL;
	int n = virConnectListAllDomains(lease->conn, &all, kind->filter);
	if (n < 0)
		return virt_fail(lease, VIRT_READ, err);
	int rc = 0;
	for (int i = 0; i < n; i++) {
		if (!rc)
			rc = look_at_vm(lease, look, kind, all[i], except_uuid, err);
		(void)virDomainFree(all[i]);
	}
	free(all);
	return rc;
}

int usage_find(struct lease *lease, const char *except_uuid, struct used_file *files, size_t count,
	struct err *err)
{
	struct look look = { .files = files, .count = count };
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (look_at_kind(lease, &look, &kinds[i], except_uuid, err) < 0)
			return -1;
	return 0;
}
