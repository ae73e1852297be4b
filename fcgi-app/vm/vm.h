/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a VM is, and how it comes and goes; what it does meanwhile is power.h's.
 *
 * Mutations go through the VM's gate one at a time and are never sent to libvirt twice. Whether
 * one is needed or possible is told by the VM's state and not by libvirt's error codes, which
 * differ from driver to driver. All functions may be called from any thread.
 */
#include "definition/domain_xml.h"
#include "storage/disk.h"
#include "vm/host.h"

int vm_get(struct host *host, const char *ref, struct vm *ret, struct err *err);

/*
 * The definition, which is what the next start goes by; or, `live`, what the VM that runs is now,
 * with all that libvirt has chosen for it. A transient VM has the latter only, a VM that does not
 * run the former. The caller frees *ret.
 */
int vm_get_xml(struct host *host, const char *ref, bool live, char **ret, struct err *err);

struct vm_create {
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
int vm_create(const struct config *config, struct host *host, struct domain_xml *domain,
	const struct vm_create *how, struct vm *ret, bool *ret_replayed, struct err *err);

/* Is there no VM of the document's name or uuid? Else ERR_ALREADY_EXISTS. */
int vm_check_free(struct lease *lease, const struct domain_xml *domain, struct err *err);

/* Is no serial log one that libvirt itself keeps of a VM? Else ERR_POLICY_DENIED. */
int vm_check_logs(struct lease *lease, const struct domain_xml *domain, const struct config *config,
	struct err *err);

/*
 * Replaces the definition of the VM whose name and uuid the document has; a guest that runs is not
 * touched. The document is one that policy_check() has passed; its type is chosen here.
 * if_match is a list of entity tags of vm_get_xml()'s text, or "": ERR_PRECONDITION_FAILED.
 * ERR_WRONG_STATE for a transient VM, which has no definition. On failure the old one stays.
 */
int vm_replace(const struct config *config, struct host *host, struct domain_xml *domain,
	const char *if_match, struct vm *ret, struct err *err);

/* Would vm_replace() get as far as libvirt? */
int vm_check_replace(
	struct host *host, const struct domain_xml *domain, const char *if_match, struct err *err);
