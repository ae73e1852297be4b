/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * No file has two formats on a host: what any VM's document (documents.h) names in one format, no
 * other may name in another, the VM's own included. A guest can write what it likes into a raw
 * image, also the header of a qcow2 image with any backing file; so only what nobody has as raw may
 * be read as qcow2. A header that passed the policy while this holds was then last written by QEMU
 * itself, and nobody has to look at it again: not even libvirt when it starts VMs with the host.
 *
 * To be called with the images locked (guard_lock()), so that nobody names them anew meanwhile, and
 * before the headers are checked: a guest may be writing as long as its VM is found here.
 * May be called from any thread.
 */
#include "base/config.h"
#include "format/xml.h"
#include "libvirt/virt.h"

enum formats_for {
	/*
	 * For a new definition, or one that libvirt may start by itself. ERR_VM_BUSY if a VM's
	 * document cannot be read now.
	 */
	FORMATS_DEFINE,
	/*
	 * For a VM that is about to start. Leaves out snapshots, whose formats a revert compares,
	 * and VMs that cannot be read now: they run, and QEMU's locks keep their images from being
	 * opened in another way.
	 */
	FORMATS_START,
};

/*
 * Compares the images of a <domain> or <domainsnapshot> with those of all documents, and with each
 * other. ERR_POLICY_DENIED names the image and the VM. Does nothing without a policy, or for a
 * libvirt on another machine.
 */
int formats_check(struct lease *lease, const struct xml_node *root, const struct config *config,
	enum formats_for what, struct err *err);
