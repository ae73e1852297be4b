/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Can QEMU start this at all? A kernel that is missing, that is none, or that the memory cannot
 * hold makes a VM that fails with a riddle or runs and does nothing; it is found out here. What
 * lies outside of the directories, or is not on this machine, is left to QEMU. Thread-safe: no
 * state.
 */
#include "base/config.h"
#include "format/xml.h"
#include "libvirt/hypervisor.h"

/* Of a <domain> with absolute paths. ERR_NOT_BOOTABLE says what is wrong and what is right. */
int bootable_check(const struct hypervisor *hypervisor, const struct xml_node *domain,
	const struct config *config, struct err *err);
