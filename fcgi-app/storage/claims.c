/* SPDX-License-Identifier: MIT */
#include "storage/claims.h"

#include "files/image_chain.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

DEFINE_AUTO(virStoragePoolPtr, virStoragePoolFree)

struct claim_walk {
	struct lease *lease;
	claim_fn *each;
	void *data;
	struct err *err;
};

static int claim_file(
	const struct claim_walk *walk, const char *path, const char *format, bool writes)
{
	struct stat st;
	struct claim claim = { .path = path, .writes = writes };
	(void)snprintf(claim.format, sizeof claim.format, "%s", format);
	if (!stat(path, &st)) {
		claim.exists = true;
		claim.dev = st.st_dev;
		claim.inode = st.st_ino;
	}
	return walk->each(&claim, walk->data, walk->err);
}

/* What cannot be read leads nowhere that could be known; QEMU may still open the image itself. */
static int claim_chain(
	const struct claim_walk *walk, const char *path, const char *format, bool writes)
{
	struct image_chain chain;
	const char *why = NULL;
	enum image_step step = IMAGE_STEP_BACKING;
	if (strcmp(format, "qcow2") != 0)
		return claim_file(walk, path, format, writes);
	if (!image_chain_start(&chain, path, IMAGE_QCOW2))
		return 0;
	while (step == IMAGE_STEP_BACKING) {
		format = chain.format == IMAGE_RAW ? "raw" : "qcow2";
		if (claim_file(walk, chain.path, format, writes && !chain.depth) < 0)
			return -1;
		AUTO(close) int fd = open(chain.path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		step = fd < 0 ? IMAGE_STEP_END : image_chain_next(&chain, fd, &why);
	}
	return 0;
}

/*
 * The file of a storage volume: libvirt's pools of files and of logical volumes name each by its
 * pool's directory and its own name. NULL: the pool does not exist, so that the VM cannot start.
 */
static char *volume_path(const struct claim_walk *walk, const struct xml_node *source)
{
	AUTO(free) char *pool_name = xml_attr(source, "pool");
	AUTO(free) char *name = xml_attr(source, "volume");
	AUTO(xml_free) struct xml *doc = NULL;
	struct err ignored;
	char *path = NULL;
	if (!pool_name || !name || !walk->lease)
		return NULL;
	AUTO(virStoragePoolFree) virStoragePoolPtr pool =
		virStoragePoolLookupByName(walk->lease->conn, pool_name);
	AUTO(free) char *text = pool ? virStoragePoolGetXMLDesc(pool, 0) : NULL;
	if (!text || xml_parse_trusted(text, &doc, &ignored) < 0)
		return NULL;
	const struct xml_node *target = xml_find(xml_root(doc), "target/path");
	AUTO(free) char *directory = target ? xml_node_text(target) : NULL;
	if (!directory || asprintf(&path, "%s/%s", directory, name) < 0)
		return NULL;
	return path;
}

/* The path that a <source> names; NULL: none, so that it is no file. */
static char *source_path(const struct claim_walk *walk, const struct xml_node *source)
{
	static const char *const names[] = { "file", "dev", "path" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		AUTO(free) char *path = xml_attr(source, names[i]);
		if (path && *path == '/')
			return TAKE(path);
	}
	return volume_path(walk, source);
}

/*
 * A disk, or what libvirt lists inside one with a source of its own: the images beneath it, the
 * copy that it is mirrored to, the file that an image keeps its data in.
 */
static int claim_image(
	const struct claim_walk *walk, const struct xml_node *node, const char *format, bool writes)
{
	const struct xml_node *source = xml_child(node, "source");
	AUTO(free) char *path = source ? source_path(walk, source) : NULL;
	return path ? claim_chain(walk, path, format ? format : "raw", writes) : 0;
}

static int claim_inner_images(const struct claim_walk *walk, const struct xml_node *node)
{
	for (const struct xml_node *n = xml_first(node); n; n = xml_sibling(n)) {
		const struct xml_node *said = xml_child(n, "format");
		AUTO(free) char *format = said ? xml_attr(said, "type") : NULL;
		bool writes = !xml_is(n, "backingStore");
		if (claim_image(walk, n, format, writes) < 0 || claim_inner_images(walk, n) < 0)
			return -1;
	}
	return 0;
}

static int claim_disks(
	const struct claim_walk *walk, const struct xml_node *root, const char *place)
{
	for (const struct xml_node *n = xml_find(root, place); n; n = xml_next(n)) {
		const struct xml_node *driver = xml_child(n, "driver");
		AUTO(free) char *format = driver ? xml_attr(driver, "type") : NULL;
		AUTO(free) char *device = xml_attr(n, "device");
		bool writes = !xml_child(n, "readonly") && !(device && !strcmp(device, "cdrom"));
		if (claim_image(walk, n, format, writes) < 0 || claim_inner_images(walk, n) < 0)
			return -1;
	}
	return 0;
}

/* A regular file that gets a guest's bytes as they are: a serial log, a file behind a port. */
static int claim_written(const struct claim_walk *walk, const char *path)
{
	struct stat st;
	if (!path || *path != '/' || (!stat(path, &st) && !S_ISREG(st.st_mode)))
		return 0;
	return claim_file(walk, path, "raw", true);
}

static int claim_ports(const struct claim_walk *walk, const struct xml_node *devices)
{
	for (const struct xml_node *n = devices ? xml_first(devices) : NULL; n;
		n = xml_sibling(n)) {
		const struct xml_node *log = xml_child(n, "log");
		const struct xml_node *source = xml_child(n, "source");
		AUTO(free) char *type = xml_attr(n, "type");
		AUTO(free) char *written = log ? xml_attr(log, "file") : NULL;
		AUTO(free) char *behind = source ? xml_attr(source, "path") : NULL;
		if (claim_written(walk, written) < 0)
			return -1;
		if (type && !strcmp(type, "file") && !xml_is(n, "disk") &&
			claim_written(walk, behind) < 0)
			return -1;
	}
	return 0;
}

/* The firmware's variables, which the guest writes; and the firmware, if it is not read-only. */
static int claim_firmware(const struct claim_walk *walk, const struct xml_node *domain)
{
	static const char *const places[] = { "os/nvram", "os/loader" };
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		const struct xml_node *n = xml_find(domain, places[i]);
		AUTO(free) char *path = n ? xml_node_text(n) : NULL;
		AUTO(free) char *format = n ? xml_attr(n, "format") : NULL;
		AUTO(free) char *readonly = n ? xml_attr(n, "readonly") : NULL;
		bool writes = !i || (readonly && !strcmp(readonly, "no"));
		if (path && *path == '/' &&
			claim_chain(walk, path, format ? format : "raw", writes) < 0)
			return -1;
	}
	return 0;
}

static int claim_domain(const struct claim_walk *walk, const struct xml_node *domain)
{
	if (claim_disks(walk, domain, "devices/disk") < 0 || claim_firmware(walk, domain) < 0)
		return -1;
	return claim_ports(walk, xml_child(domain, "devices"));
}

int claims_each(struct lease *lease, const struct xml_node *root, claim_fn *each, void *data,
	struct err *err)
{
	static const char *const inside[] = { "domain", "inactiveDomain" };
	const struct claim_walk walk = { lease, each, data, err };
	if (!xml_is(root, "domainsnapshot"))
		return claim_domain(&walk, root);
	for (size_t i = 0; i < ARRAY_LEN(inside); i++) {
		const struct xml_node *domain = xml_child(root, inside[i]);
		if (domain && claim_domain(&walk, domain) < 0)
			return -1;
	}
	/* The overlays of an external snapshot. */
	return claim_disks(&walk, root, "disks/disk");
}
