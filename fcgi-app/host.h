/* SPDX-License-Identifier: MIT */
#pragma once
/* What a libvirt host says of itself. May be called from any thread. */
#include "virt.h"

struct host_info {
	char driver[32];          /* "QEMU", "TEST" */
	char libvirt_version[24]; /* of the daemon */
	char driver_version[24];
};

int host_read(struct host *host, struct host_info *ret, struct err *err);
