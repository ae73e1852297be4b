/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The door to libvirt (written for 9.0.0): starts its client library, and is the only file that
 * includes its headers. Errors are translated in virt_error.h.
 */
#include "base/err.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

DEFINE_AUTO(virDomainPtr, virDomainFree)
DEFINE_AUTO(virDomainSnapshotPtr, virDomainSnapshotFree)
DEFINE_AUTO(virNetworkPtr, virNetworkFree)
DEFINE_AUTO(virDomainStatsRecordPtr *, virDomainStatsRecordListFree)
DEFINE_AUTO(virStreamPtr, virStreamFree)

/*
 * Starts libvirt's event loop, without which a connection's keepalive closes it, ignores SIGPIPE,
 * and silences libvirt's own messages. Call it once, before the first hypervisor_new(); all other
 * functions of this room may be called from any thread between virt_start() and virt_stop().
 * ERR_INTERNAL.
 */
int virt_start(struct err *err);
void virt_stop(void);

/* A libvirt daemon. hypervisor.h makes it; its parts belong to the files that are named here. */
struct hypervisor {
	char *name;
	bool local;                    /* hypervisor_is_local() */
	struct leases *leases;         /* lease.c */
	struct gates *gates;           /* gate.c */
	struct long_works *long_works; /* long_work.c */
};

/* A connection to libvirt that one thread has for itself: lease.h. */
struct lease {
	struct hypervisor *hypervisor;
	virConnectPtr conn; /* NULL: nothing is leased */
	bool broken;        /* the connection is lost: it is closed when the lease ends */

	/* for lease.c alone */
	int slot;
	unsigned epoch;
};

/* Is it libvirt's test driver, which only pretends to run VMs? */
bool virt_is_test(const struct lease *lease);
