/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Leased connections to a hypervisor.
 *
 * A connection is leased to one thread for one sequence of calls and used by no other meanwhile:
 * libvirt 9.0.0's client corrupts its event loop when two threads are inside calls on one
 * connection (CVE-2024-4418), and its daemon starves the keepalive of one with five in flight.
 *
 * All functions may be called from any thread between virt_start() and virt_stop().
 */
#include "libvirt/lease_slots.h"
#include "libvirt/opener.h"
#include "libvirt/virt_error.h"

#include <stdatomic.h>

/* All connections to one hypervisor: at most max, for hypervisor.c alone. NULL: memory, no thread.
 */
struct leases *leases_new(const char *uri, int max);
void leases_free(struct leases *leases); /* no lease may be out */
int leases_max(const struct leases *leases);

/*
 * A connection for the holder alone, given back at the end of the scope:
 *	AUTO_LEASE struct lease lease = { 0 };
 *	if (lease_take(host, LEASE_READ, &lease, err) < 0)
 *		return -1;
 * Who comes first is served first, within LEASE_WAIT_MS. Nobody waits in vain:
 * ERR_HYPERVISOR_UNAVAILABLE at once while the host cannot be reached, or does not answer for that
 * long already; ERR_HOST_BUSY at once when those that are out come back too slowly.
 */
enum { LEASE_WAIT_MS = 2000 };
int lease_take(
	struct hypervisor *hypervisor, enum lease_class class, struct lease *ret, struct err *err);
/* For a change that begins with no read: the connection has just answered. */
int lease_take_sure(
	struct hypervisor *hypervisor, enum lease_class class, struct lease *ret, struct err *err);
void lease_give(struct lease *lease);
/* From now on it is for something else; false: it is not, for that would have to be waited for. */
bool lease_turn(struct lease *lease, enum lease_class class);
#define AUTO_LEASE __attribute__((cleanup(lease_give)))

/*
 * A connection of the caller's own, beside the leases: for what stays, such as events. Waits until
 * there is one; NULL when *stop is true, which lease_wake() makes it look at.
 */
virConnectPtr lease_connect(struct hypervisor *hypervisor, const atomic_bool *stop);
void lease_wake(struct hypervisor *hypervisor);

/*
 * Runs a read on a leased connection; if that is lost meanwhile, once more on a fresh one. A read
 * changes nothing at the host, and on failure nothing in data.
 */
typedef int lease_read_fn(struct lease *lease, void *data, struct err *err);
int lease_read(struct hypervisor *hypervisor, lease_read_fn *read, void *data, struct err *err);
/* The same of one that may hang. */
int lease_read_as(struct hypervisor *hypervisor, enum lease_class class, lease_read_fn *read,
	void *data, struct err *err);

/* How many connections are in use now. Never asks libvirt. */
struct leases_load {
	int open; /* connections, also one that is being opened */
	int idle; /* of them: not leased */
	int max;
	int leased[LEASE_CLASS_COUNT];
	int waiting;      /* for a lease */
	uint64_t refused; /* ever: no lease could be expected, or none came */
	struct opener_load opener;
};
struct leases_load leases_load(struct leases *leases);
