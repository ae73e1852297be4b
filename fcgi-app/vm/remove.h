/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Removing a VM. May be called from any thread.
 */
#include "base/config.h"
#include "vm/host.h"

/* A disk of the removed definition. */
struct removed_disk {
	char *target; /* owned; NULL: it has none */
	char *source; /* owned; relative to config->images if it lies there; NULL: no medium */
	bool removed;
	char reason[192]; /* why it was kept, in words; "": it was removed */
};

struct removed {
	struct vm_ref ref;
	bool stopped;
	bool definition;
	bool managed_save;
	bool snapshots; /* their metadata: snapshots inside disk images stay there */
	bool nvram;
	bool carrier;
	struct removed_disk *disks; /* owned */
	size_t disk_count;
};
void removed_done(struct removed *removed);
#define AUTO_REMOVED __attribute__((cleanup(removed_done)))

/*
 * Stops the VM and removes its definition, everything that libvirt keeps for it, and the carrier
 * disk that virtgate has made for it; with `disks`, also the other images that virtgate has made
 * for it. What something else refers to stays; an image that stays, for whatever reason, is no
 * failure.
 */
int remove_vm(const struct config *config, struct host *host, const struct target *target,
	bool disks, struct removed *ret, struct err *err);
