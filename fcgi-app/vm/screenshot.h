/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a VM's screen shows. QEMU's monitor is asked for it, so the VM's gate is taken. May be
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
 * Screens are numbered from 0 through all heads of all video devices. ERR_WRONG_STATE of a VM that
 * is off, ERR_UNSUPPORTED when it has no such screen or the picture is larger than the maximum,
 * ERR_NOT_SUPPORTED_BY_DRIVER when it is no PNG, ERR_VM_BUSY when something holds the VM.
 */
int screenshot_take(struct host *host, const char *ref, unsigned screen, struct screenshot *ret,
	struct err *err);
