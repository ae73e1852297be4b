/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Before libvirt opens a VM's files: do they lead nowhere else still, and does no other VM write
 * to its images? And until it has opened them, nobody who shares the gates (virt.h) lets libvirt
 * open the same images: a guest that starts meanwhile could write another header into one, which
 * libvirt, as root, would follow.
 *	AUTO_GUARD struct guard guard = { 0 };
 *	if (guard_enter(&guard, host, domain, config, true, err) < 0)
 *		return -1;
 */
#include "base/config.h"
#include "format/xml.h"
#include "libvirt/gate.h"

enum { GUARD_IMAGES_MAX = 32 }; /* what the policy allows; of more the rest is not held */
struct guard {
	struct gate gates[GUARD_IMAGES_MAX];
	size_t count;
};

/*
 * `off`: the VM does not run, so nobody may be writing to its images. ERR_POLICY_DENIED,
 * ERR_STORAGE_UNAVAILABLE, ERR_VM_BUSY. What was entered before a failure is left by guard_leave()
 * too. A guard may be entered twice, for two domains.
 */
int guard_enter(struct guard *guard, struct hypervisor *hypervisor, const struct xml_node *domain,
	const struct config *config, bool off, struct err *err);
/* The same for images alone, at which nobody looks. ERR_VM_BUSY. */
struct image_id {
	uint64_t dev, inode;
};
int guard_hold(struct guard *guard, struct hypervisor *hypervisor, const struct image_id *ids,
	size_t count, struct err *err);
void guard_leave(struct guard *guard);
#define AUTO_GUARD __attribute__((cleanup(guard_leave)))
