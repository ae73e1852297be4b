/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The files of VMs, looked at on this machine. vm/ asks here and opens none itself.
 *
 * libvirt may run on another machine (hypervisor_is_local() is false), whose files are not seen
 * here: what lies at the same path on this machine may be another file, and what is missing here
 * may be there. What the questions of this room answer then:
 *
 *	local_look()            LOCAL_UNSEEN
 *	local_measure()         not known
 *	local_check_snapshot()  no objection: libvirt decides
 *	local_claim()           the image stays
 *	bootable_check()        the memory alone is checked: QEMU decides
 *	guard_enter()           no image is locked; the policy still checks paths
 *	formats_check()         no objection
 *
 * disk_make() and carrier_make() write beneath VIRTGATE_IMAGES of this machine even then, as both
 * machines may share it. They fail if it does not exist.
 *
 * Thread-safe: no state.
 */
#include "base/config.h"
#include "definition/policy.h"
#include "libvirt/hypervisor.h"
#include "storage/usage.h"

/*
 * What clients of every role see of a path: its part below VIRTGATE_IMAGES; of an absolute path
 * elsewhere only the last component. Points into the path.
 */
const char *local_shown(const char *images, const char *path);

enum local_state {
	LOCAL_UNSEEN,       /* another machine's, or the directory of its setting is not here */
	LOCAL_PRESENT,      /* mode is set */
	LOCAL_ABSENT,       /* its directory exists */
	LOCAL_NO_DIRECTORY, /* its directory is missing, too */
	LOCAL_UNREADABLE,   /* virtgate may not look: why is set */
};
struct local_file {
	enum local_state state;
	unsigned mode; /* st_mode */
	int why;       /* errno */
};
/* What is at a path of a VM's definition, links followed? */
struct local_file local_look(const struct hypervisor *hypervisor, const struct policy_path *path);

/* Bytes of an image as the guest sees it, and as the host stores it; -1: not known. */
struct local_size {
	int64_t capacity, allocation;
};
/*
 * Measures an image beneath images; format is the one of the definition (may be NULL). The capacity
 * is known of raw and, if virtgate may read its header, of qcow2.
 */
struct local_size local_measure(const struct hypervisor *hypervisor, const char *images,
	const char *path, const char *format);

/*
 * Do the images of a <domainsnapshot> with internal snapshots still hold it? An image that cannot
 * be read passes. ERR_SNAPSHOT_UNSUPPORTED.
 */
int local_check_snapshot(
	const struct hypervisor *hypervisor, const struct xml_node *snapshot, struct err *err);

/*
 * May the image be removed, as far as only the file counts? NULL, and *ret is set but for its user
 * (its path is the one given); else the reason why not.
 */
const char *local_claim(const struct hypervisor *hypervisor, const char *images, const char *path,
	struct used_file *ret);

/* Removes an image that was claimed. NULL, or the reason why it stays: a QEMU may be writing to it.
 */
const char *local_remove(const char *images, const struct used_file *file);
