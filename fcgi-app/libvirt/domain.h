/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One VM: found by its ref, read as a value, held for a change. A ref is a uuid or a name; a VM
 * with that uuid comes before one with that name. All functions may be called from any thread.
 * All fail with ERR_VM_NOT_FOUND if the VM does not exist, or has disappeared.
 */
#include "base/uuid.h"
#include "format/etag.h"
#include "format/xml.h"
#include "libvirt/gate.h"
#include "libvirt/lease.h"
#include "libvirt/vm.h"

/* Finds a VM on a leased connection. The caller frees the domain. */
int domain_lookup(struct lease *lease, const char *ref, virDomainPtr *ret, struct err *err);

/* Reads a VM's uuid and name on a connection of its own. */
int domain_resolve(
	struct hypervisor *hypervisor, const char *ref, struct vm_ref *ret, struct err *err);

/*
 * The version of a VM, of which entity tags are made: a hash of its definition and its state, which
 * changes when anybody changes the VM, and does not when the VM only runs. The second function
 * takes the definition, as virDomainGetXMLDesc(VIR_DOMAIN_XML_INACTIVE) returns it.
 */
int domain_version(struct lease *lease, virDomainPtr dom, const struct vm *vm,
	char ret[static HASH_SIZE], struct err *err);
int domain_version_of(
	const struct vm *vm, const char *xml, char ret[static HASH_SIZE], struct err *err);

int domain_read(struct lease *lease, virDomainPtr dom, struct vm *ret, struct err *err);

/*
 * Reads the VM again after an action that changes only its state. vm was read just before: only
 * state and reason are read now, unless the VM has started or stopped.
 */
int domain_read_again(struct lease *lease, virDomainPtr dom, struct vm *vm, struct err *err);

/* The state alone; VM_UNKNOWN if it cannot be read. */
enum vm_state domain_read_state(virDomainPtr dom);

/*
 * The state in which libvirt refused an operation; err says why it did. It is VM_SHUTOFF if QEMU
 * ended before it answered, even if libvirt has not noticed that yet.
 */
enum vm_state domain_read_state_after(virDomainPtr dom, const struct err *err);

/*
 * The domain's XML, with the flags of virDomainGetXMLDesc(). ERR_VM_BUSY while another call waits
 * for the VM's QEMU, if libvirt 11.0 or later would keep this call waiting, too, for up to 30 s.
 * The caller frees the text.
 */
int domain_read_xml_text(
	struct lease *lease, virDomainPtr dom, unsigned flags, char **ret, struct err *err);
/*
 * The same XML, parsed; and the XML of the domain's managed save, which may be broken:
 * ERR_START_FAILED. The caller frees the document.
 */
int domain_read_xml(
	struct lease *lease, virDomainPtr dom, unsigned flags, struct xml **ret, struct err *err);
int domain_read_saved_xml(struct lease *lease, virDomainPtr dom, struct xml **ret, struct err *err);

/* Has it a file of EFI variables? libvirt removes that file with the domain only if asked to. */
int domain_has_nvram(struct lease *lease, virDomainPtr dom, bool *ret, struct err *err);

/*
 * A VM that is held for a change: its gate, so that nobody else changes it; a connection; the
 * domain; and the VM as it was read after the gate was entered. While the gate is waited for,
 * nothing is leased: a hung VM keeps no connection from other requests.
 *	AUTO_HOLD struct hold hold = { 0 };
 *	if (domain_hold(hypervisor, &target, &hold, err) < 0)
 *		return -1;
 */
struct hold {
	struct gate gate;
	struct lease lease;
	virDomainPtr dom;
	struct vm vm;
};

/* Which VM is to be held, and what must be true of it. */
typedef int target_check(struct hold *hold, const void *data, struct err *err);
struct target {
	const char *ref;
	const char *if_match; /* If-Match (RFC 9110 section 13.1.1) with versions, or "" */
	target_check *check;  /* called when the VM is held; NULL: nothing more is checked */
	const void *data;     /* for check */
	bool kill;  /* a kill: does not wait for other changes of the VM, nor for LEASE_CALL */
	bool fresh; /* looks the VM up only after the wait, so that dom is the present run's */
	bool brief; /* hold->vm.reason need not be read: it is "unknown" */
	const char *user; /* for whom: see long_work.h */
};

/*
 * Waits for the VM's turn and holds it. If ref is a name, the VM that had the name when the request
 * came must still have it then, else ERR_VM_NOT_FOUND. ERR_PRECONDITION_FAILED: if_match does not
 * list the VM's version. ERR_VM_BUSY and ERR_HOST_BUSY: see gate_enter() and lease_take().
 */
int domain_hold(struct hypervisor *hypervisor, const struct target *target, struct hold *ret,
	struct err *err);

/*
 * Like domain_hold(), but the caller already holds a different lock, in ret->gate, instead of the
 * VM's own: for operations that may run beside a change of the VM.
 */
int domain_reach(
	struct hypervisor *hypervisor, const char *uuid, struct hold *ret, struct err *err);

/* The check of if_match by itself, on a VM that is held. */
int domain_check_version(struct hold *hold, const char *if_match, struct err *err);

void domain_release(struct hold *hold); /* does nothing if nothing is held */
#define AUTO_HOLD __attribute__((cleanup(domain_release)))
