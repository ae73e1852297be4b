/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Images that virtgate makes along with a VM: empty, sparse, at the path beneath config->images
 * that the spec gives. The VM's definition records them (metadata.h), so that they can be removed
 * with the VM. Thread-safe: no state.
 */
#include "base/config.h"
#include "format/field.h"
#include "format/xml.h"

enum { DISK_PATH_SIZE = 1024, DISKS_MAX = 16 };
struct disk {
	size_t index; /* in the spec's list */
	char path[DISK_PATH_SIZE];
	uint64_t capacity;
	bool raw;         /* else qcow2 */
	uint64_t dev, id; /* device and inode, once it is made */
};
struct disks {
	struct disk disks[DISKS_MAX];
	size_t count;
	size_t made; /* this many, from the first on, exist */
};

/*
 * Lists those disks of a spec (NULL: there is none) that are to be made, and records them in the
 * settled <domain> that was made from it. ERR_INVALID_SPEC if two have one path.
 */
int disk_plan(const struct json *spec, struct xml_node *domain, struct disks *ret, struct err *err);

/* The disk with this path; NULL: it is not to be made. */
const struct disk *disk_find(const struct disks *disks, const char *path);

/*
 * Makes the images. ERR_ALREADY_EXISTS if a file exists, ERR_STORAGE_UNAVAILABLE if virtgate cannot
 * make one; then disk_unmake() removes those that were made before.
 */
int disk_make(struct disks *disks, const struct config *config, struct err *err);

/* Removes the images that were made, the last one first. */
void disk_unmake(struct disks *disks, const struct config *config);
