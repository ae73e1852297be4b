/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Creating a VM. All functions may be called from any thread.
 */
#include "definition/domain_xml.h"
#include "storage/disk.h"
#include "storage/guard.h"
#include "vm/host.h"

struct create_how {
	bool persistent;     /* the VM survives its stop and the host's restart */
	bool start;          /* always true for a transient VM */
	bool carrier;        /* make the carrier disk that the document names */
	struct disks *disks; /* make these disks too; NULL: none */
	/*
	 * With an Idempotency-Key: the hash that identifies the request. The document records it,
	 * and has the uuid that follows from the key. "": no key.
	 */
	char request[HASH_SIZE];
	const char *user; /* for whom: see long_work.h */
};
/*
 * Creates the VM of a document that policy_check() has accepted, and chooses its type. A failure
 * leaves no VM behind; an nvram file stays, because it may have existed before. *ret_replayed: the
 * VM was made before, by the same request. ERR_ALREADY_EXISTS leaves the existing VM untouched;
 * ERR_NOT_BOOTABLE when the VM is to start and has no kernel that can; ERR_KEY_REUSED when another
 * request has used the key.
 */
int create_vm(const struct config *config, struct host *host, struct domain_xml *domain,
	const struct create_how *how, struct vm *ret, bool *ret_replayed, struct err *err);

/* ERR_ALREADY_EXISTS if there is a VM with the document's name or uuid. */
int create_check_free(struct lease *lease, const struct domain_xml *domain, struct err *err);

/*
 * ERR_POLICY_DENIED if a serial log of the document is not the VM's alone (serial_log.h), unless
 * the VM's present definition has it.
 */
int create_check_logs(struct lease *lease, const struct domain_xml *domain,
	const struct config *config, struct err *err);

/*
 * Before libvirt gets the document as a definition: locks its images, compares their formats with
 * those of all VMs, and then checks their headers, which no guest can write any longer. The wait
 * for the locks may have taken seconds since the policy looked at them.
 */
int create_guard_images(struct guard *guard, struct lease *lease, const struct domain_xml *domain,
	const struct config *config, struct err *err);
