/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A libvirt host and the connections to it.
 *
 * A connection is leased to one thread for one sequence of calls and used by no other meanwhile:
 * libvirt 9.0.0's client corrupts its event loop when two threads are inside calls on one
 * connection (CVE-2024-4418), and its daemon starves the keepalive of one with five in flight.
 *
 * All functions may be called from any thread between virt_start() and virt_stop().
 */
#include "libvirt/lease_slots.h"
#include "libvirt/opener.h"

#include <stdatomic.h>

/*
 * A libvirt host with its pool of at most max_connections, which are opened when first needed, and
 * room for max_long long works at a time, or for one.
 */
struct host *virt_host_new(const char *name, const char *uri, int max_connections, int max_long);
void virt_host_free(struct host *host); /* no lease may be out */
const char *virt_host_name(const struct host *host);

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
int lease_take(struct host *host, enum lease_class class, struct lease *ret, struct err *err);
/* For a change that begins with no read: the connection has just answered. */
int lease_take_sure(struct host *host, enum lease_class class, struct lease *ret, struct err *err);
void lease_give(struct lease *lease);
/* From now on it is for something else; false: it is not, for that would have to be waited for. */
bool lease_turn(struct lease *lease, enum lease_class class);
#define AUTO_LEASE __attribute__((cleanup(lease_give)))

/*
 * A connection of the caller's own, beside the pool: for what stays, such as events. Waits until
 * there is one; NULL when *stop is true, which virt_wake() makes it look at.
 */
virConnectPtr virt_connect(struct host *host, const atomic_bool *stop);
void virt_wake(struct host *host);

/*
 * Runs a read on a leased connection; if that is lost meanwhile, once more on a fresh one. A read
 * changes nothing at the host, and on failure nothing in data.
 */
typedef int virt_read_fn(struct lease *lease, void *data, struct err *err);
int virt_read(struct host *host, virt_read_fn *read, void *data, struct err *err);
/* The same of one that may hang. */
int virt_read_as(
	struct host *host, enum lease_class class, virt_read_fn *read, void *data, struct err *err);

/* What of a host is in use now. Never asks libvirt. */
struct host_load {
	int open; /* connections, also one that is being opened */
	int idle; /* of them: not leased */
	int max;
	int leased[LEASE_CLASS_COUNT];
	int waiting;      /* for a lease */
	uint64_t refused; /* ever: no lease could be expected, or none came */
	struct opener_load opener;
	int long_works, max_long;
	int gates;         /* held, one for each VM */
	int gates_waiting; /* for those */
};
struct host_load virt_host_load(struct host *host);
