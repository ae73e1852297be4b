/* SPDX-License-Identifier: MIT */
#include "storage/local.h"

#include "files/hostpath.h"
#include "files/qcow2.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const char *local_shown(const char *images, const char *path)
{
	const char *below = hostpath_below(images, path);
	const char *slash = *path == '/' ? strrchr(path, '/') : NULL;
	return below ? below : slash ? slash + 1 : path;
}

static bool has_directory(const char *path)
{
	struct stat st;
	char directory[PATH_MAX];
	const char *slash = strrchr(path, '/');
	(void)snprintf(directory, sizeof directory, "%.*s", (int)(slash ? slash - path : 0), path);
	return !stat(directory, &st) && S_ISDIR(st.st_mode);
}

struct local_file local_look(const struct hypervisor *hypervisor, const struct policy_path *path)
{
	struct stat st;
	if (!hypervisor_is_local(hypervisor) || stat(path->root, &st) < 0)
		return (struct local_file){ .state = LOCAL_UNSEEN };
	if (!stat(path->value, &st))
		return (struct local_file){ .state = LOCAL_PRESENT, .mode = st.st_mode };
	int why = errno;
	if (why != ENOENT && why != ENOTDIR)
		return (struct local_file){ .state = LOCAL_UNREADABLE, .why = why };
	return (struct local_file){
		.state = has_directory(path->value) ? LOCAL_ABSENT : LOCAL_NO_DIRECTORY,
	};
}

struct local_size local_measure(const struct hypervisor *hypervisor, const char *images,
	const char *path, const char *format)
{
	enum { STAT_BLOCK = 512 };
	struct local_size size = { -1, -1 };
	struct stat st;
	if (!hypervisor_is_local(hypervisor) || hostpath_stat(images, path, &st) < 0 ||
		!S_ISREG(st.st_mode))
		return size;
	size.allocation = (int64_t)st.st_blocks * STAT_BLOCK;
	if (format && !strcmp(format, "raw"))
		size.capacity = st.st_size;
	if (!format || strcmp(format, "qcow2") != 0)
		return size;
	AUTO(close) int fd = hostpath_open(images, path);
	if (fd >= 0)
		size.capacity = qcow2_capacity(fd);
	return size;
}

/* The image of the domain's disk with this target; NULL: none, or not a file. */
static char *image_of_target(const struct xml_node *domain, const char *dev)
{
	const struct xml_node *disk = xml_find(domain, "devices/disk");
	for (; disk; disk = xml_next(disk)) {
		const struct xml_node *target = xml_child(disk, "target");
		const struct xml_node *source = xml_child(disk, "source");
		AUTO(free) char *name = target ? xml_attr(target, "dev") : NULL;
		if (name && !strcmp(name, dev))
			return source ? xml_attr(source, "file") : NULL;
	}
	return NULL;
}

static int check_image_holds(const struct xml_node *domain, const struct xml_node *disk,
	const char *snapshot, struct err *err)
{
	AUTO(free) char *kind = xml_attr(disk, "snapshot");
	AUTO(free) char *dev = xml_attr(disk, "name");
	if (!kind || strcmp(kind, "internal") != 0 || !dev)
		return 0;
	AUTO(free) char *path = image_of_target(domain, dev);
	AUTO(close) int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	if (fd < 0 || !qcow2_lacks_snapshot(fd, snapshot))
		return 0;
	(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
		"the image of disk %.16s does not contain snapshot '%.64s': the image was "
		"replaced, or the snapshot was deleted from it",
		dev, snapshot);
	return err_hint(err, "delete the snapshot with metadata_only=1");
}

int local_check_snapshot(
	const struct hypervisor *hypervisor, const struct xml_node *snapshot, struct err *err)
{
	char name[256];
	const struct xml_node *domain = xml_child(snapshot, "domain");
	const struct xml_node *disk = xml_find(snapshot, "disks/disk");
	xml_copy_text(snapshot, "name", name, sizeof name);
	if (!hypervisor_is_local(hypervisor) || !domain)
		return 0;
	for (; disk; disk = xml_next(disk))
		if (check_image_holds(domain, disk, name, err) < 0)
			return -1;
	return 0;
}

const char *local_claim(const struct hypervisor *hypervisor, const char *images, const char *path,
	struct used_file *ret)
{
	struct stat st;
	if (!hostpath_below(images, path))
		return "it is outside VIRTGATE_IMAGES";
	if (!hypervisor_is_local(hypervisor))
		return "it is on another machine than virtgate";
	if (lstat(path, &st) < 0)
		return "virtgate does not find it";
	if (!S_ISREG(st.st_mode))
		return "it is not a regular file";
	*ret = (struct used_file){ .path = path, .dev = st.st_dev, .inode = st.st_ino };
	return NULL;
}

const char *local_remove(const char *images, const struct used_file *file)
{
	AUTO(close) int fd = hostpath_open(images, file->path);
	/* A file that is missing or behind a link stays, too, for the reason of hostpath_remove().
	 */
	if (fd < 0 && errno != ENOENT && errno != EXDEV)
		return "virtgate cannot read it, so it may be in use";
	if (fd >= 0 && qcow2_is_written(fd))
		return "a QEMU process is writing to it";
	return hostpath_remove(images, file->path, file->dev, file->inode);
}
