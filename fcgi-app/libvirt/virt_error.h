/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * libvirt's errors become ours here, and nowhere else: its code, and what was being done when it
 * failed, choose the kind of error by a table.
 */
#include "libvirt/virt.h"

/* What was being done: the same code of libvirt means different things. */
enum virt_op {
	VIRT_READ,
	VIRT_DEFINE,
	VIRT_CREATE, /* define and start */
	VIRT_START,
	VIRT_SAVE,
	VIRT_ACT, /* any other change of a VM */
	VIRT_DELETE,
	VIRT_SNAPSHOT_READ,
	VIRT_SNAPSHOT_CREATE,
	VIRT_SNAPSHOT_REVERT,
	VIRT_SNAPSHOT_DELETE,
};

/*
 * Call it first of all after a libvirt function has failed: the thread's next call into libvirt,
 * even virDomainFree(), erases the error that is read here. Sets lease->broken if the connection is
 * lost: ERR_HYPERVISOR_UNAVAILABLE, and err->unknown if libvirtd may carry out the change all the
 * same. libvirt's own words go to err->private; they are added to err->text only if they speak of
 * the request and name no path of the host. Always -1.
 */
int virt_fail(struct lease *lease, enum virt_op op, struct err *err);
