/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Disks that virtgate makes along with a VM: empty and sparse images beneath config->images, where
 * their spec says. The VM's definition records them (metadata.h), so that they can go with it.
 * Thread-safe: no state.
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
	uint64_t dev, id; /* of the file that was made */
};
struct disks {
	struct disk disks[DISKS_MAX];
	size_t count;
	size_t made; /* the first so many */
};

/*
 * Those disks of a spec (NULL: none) that are to be made, recorded in the document that has them
 * with their paths settled. ERR_INVALID_SPEC for two at one path.
 */
int disk_plan(const struct json *spec, struct xml_node *domain, struct disks *ret, struct err *err);

const struct disk *disk_find(const struct disks *disks, const char *path); /* NULL: it is none */

/*
 * Makes them. ERR_ALREADY_EXISTS for a file that is there; ERR_STORAGE_UNAVAILABLE when virtgate
 * cannot. What was made before a failure disk_unmake() removes.
 */
int disk_make(struct disks *disks, const struct config *config, struct err *err);

/* Removes those that were made, the last one first. */
void disk_unmake(struct disks *disks, const struct config *config);
