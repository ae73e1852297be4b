/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A libvirt daemon that virtgate talks to: its connections (lease.h), its locks (gate.h), and its
 * limit of long operations (long_work.h).
 *
 * All functions may be called from any thread between virt_start() and virt_stop().
 */
#include "libvirt/gate.h"
#include "libvirt/lease.h"
#include "libvirt/long_work.h"

/*
 * At most max_connections are opened, each when first needed. At most max_long long operations run
 * at a time, and at most half as many as there are connections keep one all that time. NULL: no
 * memory, or no thread.
 */
struct hypervisor *hypervisor_new(
	const char *name, const char *uri, int max_connections, int max_long);
void hypervisor_free(struct hypervisor *hypervisor); /* no lease may be out */
DEFINE_AUTO(struct hypervisor *, hypervisor_free)
const char *hypervisor_name(const struct hypervisor *hypervisor);

/*
 * Does libvirtd run on this machine, so that its file names are ours? Read from the URI: it is
 * remote if it names a host after the "//". The empty URI, libvirt's default, is local, as are
 * "qemu:///system", "qemu+unix:///system?socket=…" and "test:///default".
 */
bool hypervisor_is_local(const struct hypervisor *hypervisor);

/* What is in use now. Does not ask libvirt. */
struct hypervisor_load {
	struct leases_load leases;
	struct gates_load gates;
	struct long_works_load long_works;
};
struct hypervisor_load hypervisor_load(struct hypervisor *hypervisor);
