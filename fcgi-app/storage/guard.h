/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Checks a VM's files just before libvirt opens them, and locks its images until the guard is left.
 * The check: the files and their backing files lie where the policy allows, and no other VM
 * writes to the images. The locks (gate.h)
 * keep everybody who shares them from letting libvirt open the same images meanwhile: a guest that
 * starts in between could write a header into one, and libvirt would follow it as root.
 *	AUTO_GUARD struct guard guard = { 0 };
 *	if (guard_enter(&guard, hypervisor, domain, config, true, err) < 0)
 *		return -1;
 */
#include "base/config.h"
#include "format/xml.h"
#include "libvirt/gate.h"

enum { GUARD_IMAGES_MAX = 32 }; /* the policy allows no more; the rest is checked, not locked */
struct guard {
	struct gate gates[GUARD_IMAGES_MAX];
	size_t count;
};

/*
 * Checks and locks the files of a <domain>. With `off` the VM does not run, so nobody may be
 * writing to its images. ERR_POLICY_DENIED, ERR_STORAGE_UNAVAILABLE, ERR_VM_BUSY. After a failure
 * guard_leave() releases the locks that were taken. A guard may be entered twice, for two domains.
 */
int guard_enter(struct guard *guard, struct hypervisor *hypervisor, const struct xml_node *domain,
	const struct config *config, bool off, struct err *err);

/* Locks images without a check. ERR_VM_BUSY. */
struct image_id {
	uint64_t dev, inode;
};
int guard_hold(struct guard *guard, struct hypervisor *hypervisor, const struct image_id *ids,
	size_t count, struct err *err);

void guard_leave(struct guard *guard);
#define AUTO_GUARD __attribute__((cleanup(guard_leave)))
