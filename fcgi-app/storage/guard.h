/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Checks a VM's files just before libvirt opens them or takes them into a definition, and locks its
 * images, with their whole chains, until the guard is left. The check: the files and their backing
 * files lie where the policy allows, and no other VM writes to the images. The locks (gate.h) keep
 * everybody who shares them from letting libvirt open or name the same images meanwhile: a guest
 * that starts in between could write a header into one, and libvirt would follow it as root. A
 * VM that writes to an image has it alone; VMs that only read it, as a backing file or a cdrom,
 * share it.
 *	AUTO_GUARD struct guard guard = { 0 };
 *	if (guard_enter(&guard, lease, domain, config, GUARD_OFF, err) < 0)
 *		return -1;
 */
#include "base/config.h"
#include "format/xml.h"
#include "libvirt/gate.h"

struct guard {
	LIST_HEAD(, guarded) gates; /* owned */
	size_t count;
};

enum guard_for {
	GUARD_DEFINE,  /* a definition: virtgate has to read all headers */
	GUARD_OFF,     /* the VM does not run, so nobody may be writing to its images */
	GUARD_RUNNING, /* the VM runs, and its QEMU may be writing to them */
};

/*
 * Locks and checks the files of a <domain>. ERR_POLICY_DENIED, ERR_STORAGE_UNAVAILABLE,
 * ERR_VM_BUSY. After a failure guard_leave() releases the locks that were taken. A guard may be
 * entered again, also for another domain.
 */
int guard_enter(struct guard *guard, struct lease *lease, const struct xml_node *domain,
	const struct config *config, enum guard_for what, struct err *err);

/* The two halves of guard_enter(). An image that does not exist is locked by its path. */
int guard_lock(
	struct guard *guard, struct lease *lease, const struct xml_node *domain, struct err *err);
int guard_check(const struct xml_node *domain, const struct config *config, enum guard_for what,
	struct err *err);

/* Locks images for a writer, without a check. ERR_VM_BUSY. */
struct image_id {
	uint64_t dev, inode;
};
int guard_hold(struct guard *guard, struct hypervisor *hypervisor, const struct image_id *ids,
	size_t count, struct err *err);

void guard_leave(struct guard *guard);
#define AUTO_GUARD __attribute__((cleanup(guard_leave)))
