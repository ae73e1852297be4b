/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * How many VMs there may be, and how large: VIRTGATE_MAX_VMS, VIRTGATE_MAX_MEMORY,
 * VIRTGATE_MAX_VCPUS and VIRTGATE_MAX_DISK. They hold for requests of every role, since the host's
 * owner sets them, and an admin is not the owner. A VM that is larger already, because virsh made
 * it or a setting was lowered, still starts and can be changed, but not grow.
 *
 * All functions may be called from any thread. A refusal is ERR_POLICY_DENIED.
 */
#include "base/config.h"
#include "format/xml.h"
#include "libvirt/virt.h"
#include "storage/disk.h"

/* May a <domain> become so large, if it was as `before` (NULL: it is new)? */
int limits_check_size(const struct config *config, struct lease *lease,
	const struct xml_node *domain, const struct xml_node *before, struct err *err);

/*
 * May a VM be made, with these images (NULL: none)? Two requests that ask at the same time get the
 * same answer, so that each request that is worked on at the same time may make one VM too many.
 */
int limits_check_new(const struct config *config, struct lease *lease,
	const struct xml_node *domain, const struct disks *disks, struct err *err);
