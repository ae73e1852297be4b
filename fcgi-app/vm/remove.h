/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The end of a VM. May be called from any thread.
 */
#include "base/config.h"
#include "vm/host.h"

/* A disk of the definition that went. */
struct removed_disk {
	char *target; /* owned; NULL: it has none */
	char *source; /* owned; relative to config->images, if it lies there; NULL: it is empty */
	bool removed;
	char reason[192]; /* of its being kept, in words; "": it went */
};

struct removed {
	struct vm_ref ref;
	bool stopped;
	bool definition;
	bool managed_save;
	bool snapshots; /* their metadata: what lies inside disk images stays there */
	bool nvram;
	bool carrier;
	struct removed_disk *disks; /* owned */
	size_t disk_count;
};
void removed_done(struct removed *removed);
#define AUTO_REMOVED __attribute__((cleanup(removed_done)))

/*
 * Stops the VM and removes its definition with all that libvirt keeps of it, and its carrier disk.
 * Then, `disks`, the images that virtgate has made for it, except those that others refer to; that
 * one of them stays, for whatever reason, is no failure.
 */
int remove_vm(const struct config *config, struct host *host, const struct target *target,
	bool disks, struct removed *ret, struct err *err);
