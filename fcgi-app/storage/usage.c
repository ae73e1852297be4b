/* SPDX-License-Identifier: MIT */
#include "storage/usage.h"

#include "files/image_chain.h"
#include "storage/documents.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct search {
	struct used_file *files;
	size_t count;
	char owner[96]; /* in words, of the XML that is searched */
	bool out_of_memory;
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
static int search_document(
	const struct xml_node *root, const char *owner, void *data, struct err *err)
{
	struct search *search = data;
	static const char *const places[] = { "devices/disk", "disks/disk", "domain/devices/disk",
		"inactiveDomain/devices/disk" };
	(void)snprintf(search->owner, sizeof search->owner, "%s", owner);
	match_tree(search, root);
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		for (const struct xml_node *n = xml_find(root, places[i]); n; n = xml_next(n))
			match_disk(search, n);
	return search->out_of_memory ? err_memory(err) : 0;
}

/* What libvirt has and does not show may use any file. */
static int search_unreadable(
	enum document_kind kind, const char *owner, void *data, struct err *err)
{
	struct search *search = data;
	(void)kind;
	(void)err;
	(void)snprintf(search->owner, sizeof search->owner, "%s", owner);
	mark_unknown(search);
	return 0;
}

int usage_find(struct lease *lease, const char *except_uuid, struct used_file *files, size_t count,
	struct err *err)
{
	struct search search = { .files = files, .count = count };
	const struct documents documents = {
		.except_uuid = except_uuid,
		.snapshots = true,
		.each = search_document,
		.unreadable = search_unreadable,
		.data = &search,
	};
	return documents_each(lease, &documents, err);
}
