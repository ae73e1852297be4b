/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Who uses an image of this machine: by its path, by another name of the same file, or by an image
 * that has it in its backing chain. What cannot be read counts as a use. Only for a libvirt on this
 * machine (local.h). May be called from any thread.
 */
#include "format/xml.h"
#include "libvirt/virt.h"

struct used_file {
	const char *path;
	uint64_t dev, inode;
	char user[192]; /* who uses it, or may use it, in words; "": nobody was found */
};

/* Searches a disk; `owner` names it in words. Files that have a user already keep it. */
void usage_look_at_disk(
	const struct xml_node *disk, const char *owner, struct used_file *files, size_t count);

/* Searches the documents (documents.h) of all VMs but this one. */
int usage_find(struct lease *lease, const char *except_uuid, struct used_file *files, size_t count,
	struct err *err);
