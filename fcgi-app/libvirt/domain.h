/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One VM: found by its ref, read as a value, held for a mutation. A ref is a uuid or a name; a
 * uuid is looked for first. All functions may be called from any thread.
 */
#include "base/uuid.h"
#include "format/etag.h"
#include "format/xml.h"
#include "libvirt/gate.h"
#include "libvirt/lease.h"
#include "libvirt/vm.h"

/* The VM that a mutation is for, and what it must still be (RFC 9110 section 13.1.1). */
struct hold;
typedef int target_check(struct hold *hold, const void *data, struct err *err);
struct target {
	const char *ref;
	const char *if_match; /* a list of entity tags with domain_version(), or "" */
	target_check *check;  /* whatever else must hold of it when its turn has come; or NULL */
	const void *data;     /* for that */
	bool kill;            /* its end: whoever holds it, or hangs in it, is not waited for */
	bool fresh;           /* the handle is of after the wait, and so is the run that it names */
	bool brief;           /* the reason of its state, "unknown" then, is read later */
};

/* The caller frees the domain. ERR_VM_NOT_FOUND names the ref. */
int domain_lookup(struct lease *lease, const char *ref, virDomainPtr *ret, struct err *err);

/* The VM's uuid and name, read on a connection of its own. ERR_VM_NOT_FOUND. */
int domain_resolve(
	struct hypervisor *hypervisor, const char *ref, struct vm_ref *ret, struct err *err);

/*
 * What a change of it by anybody changes: a hash of the definition and of the state, but of nothing
 * that the VM changes by itself while it runs.
 */
int domain_version(struct lease *lease, virDomainPtr dom, const struct vm *vm,
	char ret[static HASH_SIZE], struct err *err);

/* The same of a definition that was read already; it lies in xml as libvirt wrote it. */
int domain_version_of(
	const struct vm *vm, const char *xml, char ret[static HASH_SIZE], struct err *err);

/* ERR_VM_NOT_FOUND when it went away. */
int domain_read(struct lease *lease, virDomainPtr dom, struct vm *ret, struct err *err);
/*
 * After what changes nothing of it but its state: that and the reason alone, of what was read just
 * before. All of it when it runs no more, or again.
 */
int domain_read_again(struct lease *lease, virDomainPtr dom, struct vm *vm, struct err *err);
enum vm_state domain_read_state(virDomainPtr dom); /* VM_UNKNOWN when it cannot be read */
/*
 * The state in which libvirt refused something, for the reason in err: VM_SHUTOFF when QEMU was
 * gone before it answered, which libvirt itself may not have noticed yet.
 */
enum vm_state domain_read_state_after(virDomainPtr dom, const struct err *err);

/*
 * The domain's XML, as virDomainGetXMLDesc() has it by these flags; or that of its managed save,
 * which may be broken (ERR_START_FAILED). The caller frees the document.
 */
int domain_read_xml(
	struct lease *lease, virDomainPtr dom, unsigned flags, struct xml **ret, struct err *err);
int domain_read_saved_xml(struct lease *lease, virDomainPtr dom, struct xml **ret, struct err *err);

/* Does a file of EFI variables go with it, which libvirt removes only if told to? */
int domain_has_nvram(struct lease *lease, virDomainPtr dom, bool *ret, struct err *err);

/*
 * Everything that a mutation needs: the VM's gate, a connection, the domain, what it is now.
 * Nothing is leased while the gate is waited for, so a stuck VM keeps no connection from others.
 *	AUTO_HOLD struct hold hold = { 0 };
 */
struct hold {
	struct gate gate;
	struct lease lease;
	virDomainPtr dom;
	struct vm vm;
};
/*
 * ERR_PRECONDITION_FAILED when the VM is none that the target names. What had the name when the
 * request came must have it when its turn has come, else ERR_VM_NOT_FOUND.
 */
int domain_hold(struct hypervisor *hypervisor, const struct target *target, struct hold *ret,
	struct err *err);
/* The same of a VM that is held. */
int domain_check_version(struct hold *hold, const char *if_match, struct err *err);
/* Of a hold that has another gate the rest. */
int domain_reach(
	struct hypervisor *hypervisor, const char *uuid, struct hold *ret, struct err *err);
void domain_let_go(struct hold *hold);
#define AUTO_HOLD __attribute__((cleanup(domain_let_go)))
