/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Carrier disks: a small empty qcow2 image that a VM without a disk of its own gets, for its
 * snapshots to lie in. The guest need not know it. One belongs to one VM, whose uuid is in its
 * name, lies in config->images, and goes when the VM is deleted. Thread-safe: no state.
 */
#include "base/config.h"

/* The path of a VM's carrier disk, whether there is one or not. */
enum { CARRIER_PATH_SIZE = 1024 };
void carrier_path(
	const struct config *config, const char *uuid, char ret[static CARRIER_PATH_SIZE]);

/* Makes it; ERR_STORAGE_UNAVAILABLE when virtgate cannot, or it is there. */
int carrier_make(const struct config *config, const char *uuid, struct err *err);

/* Removes it; false: there was none, or it cannot be removed. */
bool carrier_remove(const struct config *config, const char *uuid);
