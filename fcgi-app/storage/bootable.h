/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Can QEMU start this VM? A kernel that is missing, is not a kernel, or does not fit into the
 * memory makes a VM that fails with an error that is hard to understand, or runs and does nothing.
 * What lies outside the directories of the settings, or cannot be seen on this machine (local.h),
 * is left to QEMU. Thread-safe: no state.
 */
#include "base/config.h"
#include "format/xml.h"
#include "libvirt/hypervisor.h"

/* Checks a <domain> with absolute paths. ERR_NOT_BOOTABLE names what is wrong and what is right. */
int bootable_check(const struct hypervisor *hypervisor, const struct xml_node *domain,
	const struct config *config, struct err *err);
