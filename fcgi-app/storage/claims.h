/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Which files a VM's document names as images, and the format that each is opened in: every image
 * with all files of its chain (image_chain.h), as libvirt and QEMU find them, and the files that
 * they write bytes of a guest to. Not kernels, which are only read, whatever their content; nor
 * shares, which are directories. Thread-safe: no state.
 */
#include "format/xml.h"
#include "libvirt/virt.h"

enum { CLAIM_FORMAT_SIZE = 16 };
struct claim {
	const char *path;
	bool exists;
	uint64_t dev, inode;            /* links followed; 0 if it does not exist */
	char format[CLAIM_FORMAT_SIZE]; /* "raw", "qcow2", …; what is not stated is raw, to libvirt
					 */
	bool writes;                    /* the guest may write to it */
};

/* Calls each() for every file of a <domain> or <domainsnapshot>; a -1 from it ends the walk. */
typedef int claim_fn(const struct claim *claim, void *data, struct err *err);
int claims_each(struct lease *lease, const struct xml_node *root, claim_fn *each, void *data,
	struct err *err);
