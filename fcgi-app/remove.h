/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The end of a VM. May be called from any thread.
 */
#include "config.h"
#include "inventory.h"

struct removed {
	struct vm_ref ref;
	bool stopped;
	bool definition;
	bool managed_save;
	bool snapshots; /* their metadata: what lies inside disk images stays there */
	bool nvram;
	bool carrier;
};
/*
 * Stops the VM and removes its definition with all that libvirt keeps of it, and its carrier disk,
 * but no other.
 */
int remove_vm(const struct config *config, struct inventory *inventory, const struct target *target,
	struct removed *ret, struct err *err);
