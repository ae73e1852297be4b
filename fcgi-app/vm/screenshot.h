/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A picture of a VM's screen. It comes from QEMU's monitor, so the VM is held meanwhile. May be
 * called from any thread.
 */
#include "libvirt/domain.h"
#include "vm/host.h"

enum { SCREENSHOT_SCREEN_MAX = 15, SCREENSHOT_BYTES_MAX = 32 << 20 };

struct screenshot {
	char *png; /* owned by the caller */
	size_t len;
};

/*
 * Screens are numbered from 0 through all heads of all video devices. ERR_WRONG_STATE if the VM is
 * off; ERR_UNSUPPORTED if it has no such screen or the picture is larger than the maximum;
 * ERR_NOT_SUPPORTED_BY_DRIVER if the picture is not a PNG; ERR_VM_BUSY if the VM is held.
 */
int screenshot_take(struct host *host, const char *ref, unsigned screen, struct screenshot *ret,
	struct err *err);
