/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Leased connections to a hypervisor.
 *
 * A lease gives a connection to one thread for one sequence of calls; no other thread uses the
 * connection meanwhile. libvirt 9.0.0's client corrupts its event loop when two threads are inside
 * calls on one connection (CVE-2024-4418), and its daemon starves the keepalive of a connection
 * with five calls in flight.
 *
 * All functions may be called from any thread between virt_start() and virt_stop().
 */
#include "libvirt/lease_slots.h"
#include "libvirt/opener.h"
#include "libvirt/virt_error.h"

#include <stdatomic.h>

/* All connections to one hypervisor, at most max; for hypervisor.c alone. NULL: no memory. */
struct leases *leases_new(const char *uri, int max);
void leases_free(struct leases *leases); /* no lease may be out */
int leases_max(const struct leases *leases);

/*
 * Leases a connection to the end of the scope:
 *	AUTO_LEASE struct lease lease = { 0 };
 *	if (lease_take(hypervisor, LEASE_READ, &lease, err) < 0)
 *		return -1;
 * Waits at most LEASE_WAIT_MS; those who wait are served in the order in which they came. Fails at
 * once where waiting would be in vain:
 * ERR_HYPERVISOR_UNAVAILABLE: the host cannot be reached, or has not answered for LEASE_WAIT_MS.
 * ERR_HOST_BUSY: all connections are leased, and none will probably come back in time, or too many
 * workers wait for one (wait.h).
 */
enum { LEASE_WAIT_MS = 2000 };
int lease_take(
	struct hypervisor *hypervisor, enum lease_class class, struct lease *ret, struct err *err);

/*
 * Like lease_take(), but the connection has just answered a call. For a change that is not preceded
 * by a read: it would find out too late that the connection was lost.
 */
int lease_take_checked(
	struct hypervisor *hypervisor, enum lease_class class, struct lease *ret, struct err *err);

void lease_give(struct lease *lease); /* gives it back; does nothing if nothing is leased */
#define AUTO_LEASE __attribute__((cleanup(lease_give)))

/*
 * Changes the lease's class. Returns false, and leaves the class as it was, if no slot of the new
 * class is free now.
 */
bool lease_change_class(struct lease *lease, enum lease_class class);

/*
 * Runs a read on a leased connection; if the connection is lost meanwhile, once more on a fresh
 * one. The read changes nothing at the host and, if it fails, nothing in data.
 */
typedef int lease_read_fn(struct lease *lease, void *data, struct err *err);
int lease_read(struct hypervisor *hypervisor, lease_read_fn *read, void *data, struct err *err);

/* Like lease_read(), with a class other than LEASE_READ. */
int lease_read_as(struct hypervisor *hypervisor, enum lease_class class, lease_read_fn *read,
	void *data, struct err *err);

/* Like lease_read_as(), but begins on the connection of *lease if there is one, and keeps it. */
int lease_retry(struct hypervisor *hypervisor, enum lease_class class, lease_read_fn *read,
	void *data, struct lease *lease, struct err *err);

/*
 * Opens a connection for long use, such as a subscription to events. The caller owns and closes it.
 * Waits until it is open. Returns NULL if *stop is true; lease_wake() makes all threads that wait
 * here read *stop again.
 */
virConnectPtr lease_connect(struct hypervisor *hypervisor, const atomic_bool *stop);
void lease_wake(struct hypervisor *hypervisor);

/* The version of the libvirt on the host, as virConnectGetLibVersion(). Does not ask libvirt. */
unsigned long lease_libvirt_version(const struct lease *lease);

/* How many connections are in use now. Does not ask libvirt. */
struct leases_load {
	int open; /* connections, and one that is being opened */
	int idle; /* of these: not leased */
	int max;
	int leased[LEASE_CLASS_COUNT];
	int waiting;      /* threads that wait for a lease */
	uint64_t refused; /* since the start: lease_take() that failed */
	struct opener_load opener;
};
struct leases_load leases_load(struct leases *leases);
