/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Carrier disks: a small empty qcow2 image that stores the snapshots of a VM without disks of its
 * own. The guest need not use it. It lies in config->images, and has the VM's UUID in its name. The
 * VM's metadata, not that name, says that virtgate made it (metadata.h), so that it is removed with
 * the VM. Thread-safe: no state.
 */
#include "base/config.h"

/* The path of a VM's carrier disk, whether there is one or not. */
enum { CARRIER_PATH_SIZE = 1024 };
void carrier_path(
	const struct config *config, const char *uuid, char ret[static CARRIER_PATH_SIZE]);

/* Makes the image. ERR_STORAGE_UNAVAILABLE if virtgate cannot, or the file exists. */
int carrier_make(const struct config *config, const char *uuid, struct err *err);

/* Removes the image that was just made. false: it cannot be removed. */
bool carrier_remove(const struct config *config, const char *uuid);
