/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What can be known of a snapshot before libvirt is asked, whose refusals are riddles, and whose
 * failed reverts leave the VM off. It is about QEMU: libvirt's test driver takes nearly anything.
 * Thread-safe: no state.
 */
#include "base/err.h"
#include "format/xml.h"

/*
 * Could an internal snapshot be made of this <domain>, which is the live one of a VM that runs?
 * `chosen`: the client says itself which disks, and libvirt has the last word on those.
 * ERR_SNAPSHOT_UNSUPPORTED, with the reason and what would make it possible.
 */
int snapshot_check_create(const struct xml_node *domain, bool chosen, struct err *err);

/*
 * Does what a client's <domainsnapshot> says of the memory go with a VM that runs, or is off? This
 * the test driver passes over. ERR_SNAPSHOT_UNSUPPORTED.
 */
int snapshot_check_memory(const struct xml_node *snapshot, bool active, struct err *err);

/*
 * Could the VM be put back to this <domainsnapshot>? Not to an external one, and not to one that
 * is no longer in the images, as far as they can be read; without `images`, which the test driver
 * leaves alone, these are not asked. ERR_SNAPSHOT_UNSUPPORTED.
 */
int snapshot_check_revert(const struct xml_node *snapshot, bool images, struct err *err);

/* Is any of it outside the VM's own disks? */
bool snapshot_is_external(const struct xml_node *snapshot);
