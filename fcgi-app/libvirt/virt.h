/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The door to libvirt (written for 9.0.0): its event loop and its errors. Its header comes in here,
 * for the domain layer alone.
 *
 * All functions may be called from any thread between virt_start() and virt_stop().
 */
#include "base/err.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

DEFINE_AUTO(virDomainPtr, virDomainFree)
DEFINE_AUTO(virDomainSnapshotPtr, virDomainSnapshotFree)
DEFINE_AUTO(virStreamPtr, virStreamFree)

/*
 * Starts libvirt's event loop, without which a connection's keepalive kills it, and turns off
 * SIGPIPE and libvirt's own messages. Before the first host is made; once.
 */
int virt_start(struct err *err);
void virt_stop(void);

/* A libvirt daemon: hypervisor.h makes it; only lease.c and gate.c look into its parts. */
struct hypervisor {
	char *name;
	bool local; /* hypervisor_is_local() */
	struct leases *leases;
	struct gates *gates;
};

/* A connection that one thread has for itself: lease.h. */
struct lease {
	struct hypervisor *hypervisor;
	virConnectPtr conn;
	bool broken; /* the connection is lost: not given back but closed */

	/* for lease.c alone */
	int slot;
	unsigned epoch;
};

/* Is it libvirt's test driver, which only pretends to run VMs? */
bool virt_is_test(const struct lease *lease);

/* Can it run guests of this architecture with KVM? NULL: of its own. */
int virt_has_kvm(struct lease *lease, const char *arch, bool *ret, struct err *err);

/*
 * What was being done when libvirt failed: its codes mean different things by it.
 * virt_fail() reads libvirt's last error, which any other libvirt call would wipe, and turns it
 * into ours: call it first of all. Always -1.
 */
enum virt_op {
	VIRT_READ,
	VIRT_DEFINE,
	VIRT_CREATE, /* and start */
	VIRT_START,
	VIRT_SAVE,
	VIRT_ACT,
	VIRT_DELETE,
	VIRT_SNAPSHOT_READ,
	VIRT_SNAPSHOT_CREATE,
	VIRT_SNAPSHOT_REVERT,
	VIRT_SNAPSHOT_DELETE,
};
int virt_fail(struct lease *lease, enum virt_op op, struct err *err);
