/* SPDX-License-Identifier: MIT */
#include "definition/snapshot_check.h"

#include <stdio.h>
#include <string.h>

/* Is the attribute of the element, or of its child (NULL: none), this value? */
static bool attribute_is(
	const struct xml_node *node, const char *child, const char *attr, const char *value)
{
	const struct xml_node *at = child ? xml_child(node, child) : node;
	AUTO(free) char *text = at ? xml_attr(at, attr) : NULL;
	return text && !strcmp(text, value);
}

static bool is_cdrom(const struct xml_node *disk)
{
	return attribute_is(disk, NULL, "device", "cdrom");
}

/* Creating */

/* An internal snapshot has to include each disk that the guest may write to. */
static int check_writable_disk(const struct xml_node *disk, bool chosen, struct err *err)
{
	const struct xml_node *target = xml_child(disk, "target");
	AUTO(free) char *text = target ? xml_attr(target, "dev") : NULL;
	AUTO(free) char *kind = xml_attr(disk, "snapshot");
	const char *dev = text ? text : "";
	if (kind && *kind && strcmp(kind, "internal") != 0) {
		(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
			"disk %.15s is defined with snapshot='%.15s', but libvirt can only revert "
			"to an internal snapshot of all disks",
			dev, kind);
		return err_hint(err, "remove that setting from the VM's definition");
	}
	if (chosen || attribute_is(disk, "driver", "type", "qcow2"))
		return 0;
	(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
		"disk %.15s is not qcow2, and no other format can store a snapshot", dev);
	return err_hint(err, "convert its image: qemu-img convert -O qcow2");
}

static int check_firmware(const struct xml_node *domain, struct err *err)
{
	const struct xml_node *os = xml_child(domain, "os");
	if (!os || !attribute_is(os, "loader", "type", "pflash"))
		return 0;
	(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
		"the VM has UEFI firmware (pflash), whose variables (nvram) are in a raw file that "
		"cannot store a snapshot");
	return err_hint(err,
		"use BIOS firmware, or copy the disks and the nvram file on the host while the VM "
		"is off");
}

int snapshot_check_create(const struct xml_node *domain, bool chosen, struct err *err)
{
	size_t disks = 0;
	size_t writable = 0;
	const struct xml_node *disk = xml_find(domain, "devices/disk");
	if (check_firmware(domain, err) < 0)
		return -1;
	for (; disk; disk = xml_next(disk)) {
		if (!xml_child(disk, "source") || is_cdrom(disk))
			continue;
		disks++;
		if (xml_child(disk, "readonly"))
			continue;
		writable++;
		if (check_writable_disk(disk, chosen, err) < 0)
			return -1;
	}
	if (writable || chosen)
		return 0;
	(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED, "%s",
		disks ? "all disks of the VM are read-only, so none can store a snapshot"
		      : "the VM has no disk that could store a snapshot");
	return err_hint(err,
		"a snapshot is stored in the VM's own qcow2 disks; a spec's carrier_disk adds a "
		"small one");
}

int snapshot_check_memory(const struct xml_node *snapshot, bool active, struct err *err)
{
	if (active && attribute_is(snapshot, "memory", "snapshot", "no")) {
		(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
			"a snapshot of a running VM cannot leave out its memory");
		return err_hint(err, "leave out memory, or shut the VM off first");
	}
	if (!active && attribute_is(snapshot, "memory", "snapshot", "internal")) {
		(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
			"the VM is off, so a snapshot cannot include its memory");
		return err_hint(err, "leave out memory, or start the VM first");
	}
	return 0;
}

/* Reverting */

bool snapshot_is_external(const struct xml_node *snapshot)
{
	if (attribute_is(snapshot, "memory", "snapshot", "external"))
		return true;
	const struct xml_node *disk = xml_find(snapshot, "disks/disk");
	for (; disk; disk = xml_next(disk))
		if (attribute_is(disk, NULL, "snapshot", "external"))
			return true;
	return false;
}

int snapshot_check_revert(const struct xml_node *snapshot, struct err *err)
{
	if (!snapshot_is_external(snapshot))
		return 0;
	(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
		"the snapshot is external, and libvirt cannot revert to an external snapshot");
	return err_hint(
		err, "on the host, put the overlay's backing file back into the VM's definition");
}
