/* SPDX-License-Identifier: MIT */
#include "definition/snapshot_check.h"

#include "files/qcow2.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* The attribute of the element, or of its child. */
static void copy_attr(
	const struct xml_node *node, const char *child, const char *attr, char *ret, size_t size)
{
	const struct xml_node *at = child ? xml_child(node, child) : node;
	AUTO(free) char *text = at ? xml_attr(at, attr) : NULL;
	(void)snprintf(ret, size, "%s", text ? text : "");
}

static bool says(
	const struct xml_node *node, const char *child, const char *attr, const char *value)
{
	char text[32];
	copy_attr(node, child, attr, text, sizeof text);
	return !strcmp(text, value);
}

/* Creating */

static const char no_disk_hint[] =
	"a snapshot lies in the VM's own qcow2 disks; a spec's carrier_disk adds a small one";

/* One that the guest may write to: libvirt wants all of those in an internal snapshot. */
static bool is_writable(const struct xml_node *disk)
{
	return xml_child(disk, "source") && !xml_child(disk, "readonly") &&
		!says(disk, NULL, "device", "cdrom");
}

static int refuse_setting(const struct xml_node *disk, const char *dev, struct err *err)
{
	char set[16];
	copy_attr(disk, NULL, "snapshot", set, sizeof set);
	if (!set[0] || !strcmp(set, "internal"))
		return 0;
	(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
		"disk %s is defined with snapshot='%s', and only an internal snapshot of all disks "
		"can be gone back to",
		dev, set);
	return err_hint(err, "take that setting out of the VM's definition");
}

static int refuse_format(const struct xml_node *disk, const char *dev, struct err *err)
{
	if (says(disk, "driver", "type", "qcow2"))
		return 0;
	(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
		"disk %s is not of format qcow2, and only that can hold a snapshot", dev);
	return err_hint(err, "convert it: qemu-img convert -O qcow2");
}

static int refuse_without_place(size_t disks, struct err *err)
{
	(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED, "%s",
		disks ? "all disks of the VM are read-only, and a snapshot could lie in none"
		      : "the VM has no disk that a snapshot could lie in");
	return err_hint(err, "%s", no_disk_hint);
}

static int refuse_pflash(const struct xml_node *domain, struct err *err)
{
	const struct xml_node *os = xml_child(domain, "os");
	if (!os || !says(os, "loader", "type", "pflash"))
		return 0;
	(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
		"the VM has UEFI firmware (pflash), whose variables (nvram) lie in a raw file that "
		"cannot hold a snapshot");
	return err_hint(err,
		"with BIOS firmware it is possible; else copy disks and nvram on the "
		"host, while the VM is off");
}

int snapshot_check_create(const struct xml_node *domain, bool chosen, struct err *err)
{
	size_t disks = 0;
	size_t places = 0;
	const struct xml_node *disk = xml_find(domain, "devices/disk");
	if (refuse_pflash(domain, err) < 0)
		return -1;
	for (; disk; disk = xml_next(disk)) {
		char dev[16];
		copy_attr(disk, "target", "dev", dev, sizeof dev);
		disks += xml_child(disk, "source") && !says(disk, NULL, "device", "cdrom");
		if (!is_writable(disk))
			continue;
		places++;
		if (refuse_setting(disk, dev, err) < 0 ||
			(!chosen && refuse_format(disk, dev, err) < 0))
			return -1;
	}
	return places || chosen ? 0 : refuse_without_place(disks, err);
}

int snapshot_check_memory(const struct xml_node *snapshot, bool active, struct err *err)
{
	if (active && says(snapshot, "memory", "snapshot", "no")) {
		(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
			"an internal snapshot of a VM that runs holds its memory, too");
		return err_hint(err, "leave out memory, or shut the VM off first");
	}
	if (!active && says(snapshot, "memory", "snapshot", "internal")) {
		(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
			"a VM that is off has no memory that a snapshot could hold");
		return err_hint(err, "leave out memory, or start the VM first");
	}
	return 0;
}

/* Reverting */

bool snapshot_is_external(const struct xml_node *snapshot)
{
	if (says(snapshot, "memory", "snapshot", "external"))
		return true;
	const struct xml_node *disk = xml_find(snapshot, "disks/disk");
	for (; disk; disk = xml_next(disk))
		if (says(disk, NULL, "snapshot", "external"))
			return true;
	return false;
}

/* The image of the disk of that name, when it can be opened, else -1. */
static int open_image(const struct xml_node *domain, const char *dev)
{
	const struct xml_node *disk = xml_find(domain, "devices/disk");
	for (; disk; disk = xml_next(disk)) {
		if (!says(disk, "target", "dev", dev))
			continue;
		const struct xml_node *source = xml_child(disk, "source");
		AUTO(free) char *file = source ? xml_attr(source, "file") : NULL;
		return file ? open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	}
	return -1;
}

static int refuse_lost(const struct xml_node *snapshot, const struct xml_node *disk,
	const char *name, struct err *err)
{
	char dev[16];
	copy_attr(disk, NULL, "name", dev, sizeof dev);
	const struct xml_node *domain = xml_child(snapshot, "domain");
	AUTO(close) int fd = domain ? open_image(domain, dev) : -1;
	if (fd < 0 || !qcow2_lacks_snapshot(fd, name))
		return 0;
	(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
		"the image of disk %s does not hold snapshot '%.64s': it has been replaced, or the "
		"snapshot was deleted from it",
		dev, name);
	return err_hint(err, "DELETE it with metadata_only=1");
}

int snapshot_check_revert(const struct xml_node *snapshot, bool images, struct err *err)
{
	char name[256];
	if (snapshot_is_external(snapshot)) {
		(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
			"it is an external snapshot, and libvirt cannot go back to one");
		return err_hint(err,
			"on the host, put the overlay's backing file back into the "
			"VM's definition");
	}
	xml_copy_text(snapshot, "name", name, sizeof name);
	const struct xml_node *disk = xml_find(snapshot, "disks/disk");
	for (; images && disk; disk = xml_next(disk))
		if (says(disk, NULL, "snapshot", "internal") &&
			refuse_lost(snapshot, disk, name, err) < 0)
			return -1;
	return 0;
}
