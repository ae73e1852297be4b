/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Making a VM. May be called from any thread.
 */
#include "definition/domain_xml.h"
#include "storage/disk.h"
#include "vm/host.h"

struct create_how {
	bool persistent;     /* survives its stop and the host's restart */
	bool start;          /* always true of a transient VM */
	bool carrier;        /* the document has a carrier disk, which is made along with it */
	struct disks *disks; /* and these; NULL: none */
	/*
	 * Of a request with an Idempotency-Key, which the document records and has its uuid of:
	 * what it is known by. "": there is no key.
	 */
	char request[HASH_SIZE];
};
/*
 * The document is one that policy_check() has passed; its type is chosen here.
 * ERR_NOT_BOOTABLE when it shall start and cannot. ERR_ALREADY_EXISTS leaves the existing VM
 * untouched. *ret_replayed: the same request has made the VM before; ERR_KEY_REUSED: another has. A
 * failure leaves no VM behind; an nvram file, which may have been there before, stays.
 */
int create_vm(const struct config *config, struct host *host, struct domain_xml *domain,
	const struct create_how *how, struct vm *ret, bool *ret_replayed, struct err *err);

/* Is there no VM of the document's name or uuid? Else ERR_ALREADY_EXISTS. */
int create_check_free(struct lease *lease, const struct domain_xml *domain, struct err *err);

/* Is no serial log one that libvirt itself keeps of a VM? Else ERR_POLICY_DENIED. */
int create_check_logs(struct lease *lease, const struct domain_xml *domain,
	const struct config *config, struct err *err);
