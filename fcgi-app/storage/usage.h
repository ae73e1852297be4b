/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Who refers to an image of the host: by its path, by another name of the same file, or by an image
 * that has it as its backing file, however far down. What cannot be told counts as a use. May be
 * called from any thread.
 */
#include "format/xml.h"
#include "libvirt/virt.h"

struct used_file {
	const char *path;
	uint64_t dev, inode;
	char user[192]; /* who refers to it, in words; "": nobody was found */
};

/* Does a disk refer to one? `who` is its owner, in words. */
void usage_look_at_disk(
	const struct xml_node *disk, const char *who, struct used_file *files, size_t count);

/*
 * Do the definitions and guests of all VMs but this one, their managed saves, or the domains that
 * their snapshots keep? Of no more than 4096 snapshots in all can it be told.
 */
int usage_find(struct lease *lease, const char *except_uuid, struct used_file *files, size_t count,
	struct err *err);
