/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Whether a VM's XML allows a snapshot, checked before libvirt is asked: libvirt's own refusals are
 * hard to understand, and a revert that fails leaves the VM off. The checks are about QEMU;
 * libvirt's test driver accepts nearly anything. Thread-safe: no state.
 */
#include "base/err.h"
#include "format/xml.h"

/*
 * May this <domain>, the live one if the VM runs, have an internal snapshot? With `chosen` the
 * client names the disks, and libvirt decides about those. ERR_SNAPSHOT_UNSUPPORTED, with the
 * reason and a hint.
 */
int snapshot_check_create(const struct xml_node *domain, bool chosen, struct err *err);

/*
 * Does the <memory> of a client's <domainsnapshot> agree with the VM's state?
 * ERR_SNAPSHOT_UNSUPPORTED. The test driver does not check it.
 */
int snapshot_check_memory(const struct xml_node *snapshot, bool active, struct err *err);

/* Can a VM be reverted to this <domainsnapshot>? ERR_SNAPSHOT_UNSUPPORTED if it is external. */
int snapshot_check_revert(const struct xml_node *snapshot, struct err *err);

/* Does it keep disks or memory in files outside the VM's own disks? */
bool snapshot_is_external(const struct xml_node *snapshot);
