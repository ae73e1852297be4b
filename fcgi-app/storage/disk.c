/* SPDX-License-Identifier: MIT */
#include "storage/disk.h"

#include "definition/metadata.h"
#include "files/hostpath.h"
#include "files/qcow2.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int read_image_path(const struct xml_node *node, struct disk *disk, struct err *err)
{
	const struct xml_node *source = xml_child(node, "source");
	const struct xml_node *driver = xml_child(node, "driver");
	AUTO(free) char *path = source ? xml_attr(source, "file") : NULL;
	AUTO(free) char *format = driver ? xml_attr(driver, "type") : NULL;
	if (!path || !format)
		return err_memory(err); /* a disk with a capacity has both (spec.c) */
	if (strlen(path) >= sizeof disk->path)
		return err_set(err, ERR_INVALID_SPEC, "disks[%zu].source: longer than %zu bytes",
			disk->index, sizeof disk->path - 1);
	memcpy(disk->path, path, strlen(path) + 1);
	disk->raw = !strcmp(format, "raw");
	return 0;
}

/* spec_apply() added an element for each disk of the spec, in the same order. */
int disk_plan(const struct json *spec, struct xml_node *domain, struct disks *ret, struct err *err)
{
	const struct json *list = json_member(spec, "disks");
	const struct xml_node *node = xml_find(domain, "devices/disk");
	struct disks plan = { 0 };
	for (size_t i = 0; node && i < json_length(list); i++, node = xml_next(node)) {
		const struct json *capacity = json_member(json_item(list, i), "capacity_bytes");
		struct disk disk = { .index = i };
		if (!capacity || plan.count == DISKS_MAX) /* no spec has more (spec.c) */
			continue;
		disk.capacity = (uint64_t)json_get_int(capacity);
		if (read_image_path(node, &disk, err) < 0)
			return -1;
		if (disk_find(&plan, disk.path))
			return err_set(err, ERR_INVALID_SPEC,
				"disks[%zu].source: another disk of the spec has the same path", i);
		if (metadata_add_disk(domain, disk.path, err) < 0)
			return -1;
		plan.disks[plan.count++] = disk;
	}
	*ret = plan;
	return 0;
}

const struct disk *disk_find(const struct disks *disks, const char *path)
{
	for (size_t i = 0; i < disks->count; i++)
		if (!strcmp(disks->disks[i].path, path))
			return &disks->disks[i];
	return NULL;
}

static bool write_image(int fd, const struct disk *disk)
{
	return disk->raw ? !ftruncate(fd, (off_t)disk->capacity)
			 : qcow2_write_empty(fd, disk->capacity);
}

static int disk_not_made(const struct disk *disk, int why, struct err *err)
{
	if (why == EEXIST)
		(void)err_set(err, ERR_ALREADY_EXISTS,
			"disks[%zu].source: the file exists already, so virtgate does not make it",
			disk->index);
	else if (why == ENOENT)
		(void)err_set(err, ERR_STORAGE_UNAVAILABLE,
			"disks[%zu].source: its directory does not exist", disk->index);
	else
		(void)err_set(err, ERR_STORAGE_UNAVAILABLE,
			"disks[%zu]: virtgate cannot make the image beneath VIRTGATE_IMAGES: %s",
			disk->index, strerror(why));
	(void)snprintf(err->private, sizeof err->private, "%.400s: %s", disk->path, strerror(why));
	return -1;
}

static int make_next_disk(struct disks *disks, const struct config *config, struct err *err)
{
	struct disk *disk = &disks->disks[disks->made];
	struct stat st;
	AUTO(close) int fd = hostpath_create(config->images, disk->path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return disk_not_made(disk, errno, err);
	disk->dev = st.st_dev;
	disk->id = st.st_ino;
	disks->made++;
	return write_image(fd, disk) ? 0 : disk_not_made(disk, errno, err);
}

int disk_make(struct disks *disks, const struct config *config, struct err *err)
{
	while (disks->made < disks->count)
		if (make_next_disk(disks, config, err) < 0)
			return -1;
	return 0;
}

void disk_unmake(struct disks *disks, const struct config *config)
{
	while (disks->made) {
		const struct disk *disk = &disks->disks[--disks->made];
		(void)hostpath_remove(config->images, disk->path, disk->dev, disk->id);
	}
}
