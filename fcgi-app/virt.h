/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The door to libvirt (written for 9.0.0): connections, errors, and one mutation per VM at a time.
 * Its header comes in here, for the domain layer alone.
 *
 * A connection is leased to one thread for one sequence of calls and used by no other meanwhile:
 * libvirt 9.0.0's client corrupts its event loop when two threads are inside calls on one
 * connection (CVE-2024-4418), and its daemon starves the keepalive of one with five in flight.
 *
 * All functions may be called from any thread between virt_start() and virt_stop().
 */
#include "err.h"

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

/*
 * A libvirt host with its pool of at most max_connections, which are opened when first needed, and
 * room for max_long long works at a time, or for one.
 */
struct host;
struct host *virt_host_new(const char *name, const char *uri, int max_connections, int max_long);
void virt_host_free(struct host *host); /* no lease may be out */
const char *virt_host_name(const struct host *host);

/*
 * A connection for the holder alone, given back at the end of the scope:
 *	AUTO_LEASE struct lease lease = { 0 };
 *	if (lease_take(host, &lease, err) < 0)
 *		return -1;
 * ERR_HYPERVISOR_UNAVAILABLE at once when the host cannot be reached, or after a short wait when
 * reaching it takes long; ERR_HOST_BUSY when all connections stay leased for LEASE_WAIT_MS.
 */
enum { LEASE_WAIT_MS = 2000 };
struct lease {
	struct host *host;
	virConnectPtr conn;
	bool broken; /* the connection is lost: not given back but closed */
};
int lease_take(struct host *host, struct lease *ret, struct err *err);
void lease_give(struct lease *lease);
#define AUTO_LEASE __attribute__((cleanup(lease_give)))

/*
 * A connection of the caller's own, beside the pool: for what stays, such as events. Opening has no
 * timeout. NULL: the host cannot be reached.
 */
virConnectPtr virt_connect(const struct host *host);

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

/*
 * Runs a read on a leased connection; if that is lost meanwhile, once more on a fresh one. A read
 * changes nothing at the host, and on failure nothing in data.
 */
typedef int virt_read_fn(struct lease *lease, void *data, struct err *err);
int virt_read(struct host *host, virt_read_fn *read, void *data, struct err *err);

/*
 * Shares the gates below with the other processes that have this file, which is made if need be:
 * the virtgates of one host. Once, before the first gate.
 */
int virt_share_gates(struct host *host, const char *path, struct err *err);

/*
 * At most one mutation per VM at a time, from all processes that share the gates; key is the VM's
 * uuid, or the name that is being created. Waits GATE_WAIT_MS at most, then ERR_VM_BUSY.
 *	AUTO_GATE struct gate gate = { 0 };
 *	if (gate_enter(host, uuid, &gate, err) < 0)
 *		return -1;
 */
enum { GATE_WAIT_MS = 2000 };
struct gate {
	struct host *host;
	struct gate *next;
	char key[256];
};
int gate_enter(struct host *host, const char *key, struct gate *ret, struct err *err);
/* One kind of work on a VM apart, which may be done beside a mutation: its own gate. */
int gate_enter_for(
	struct host *host, const char *what, const char *uuid, struct gate *ret, struct err *err);
/* The same with another patience. */
int gate_enter_within(
	struct host *host, const char *key, int ms, struct gate *ret, struct err *err);
void gate_leave(struct gate *gate);
#define AUTO_GATE __attribute__((cleanup(gate_leave)))

/*
 * Long work holds its worker for minutes: only so many of them may at a time, so that the rest stay
 * free for short requests. A call is inside libvirt all that time, with a connection, and takes at
 * most half of these. Waits for a place LONG_WAIT_MS at most, then ERR_HOST_BUSY.
 *	AUTO_LONG struct long_work work = { 0 };
 *	if (long_enter(host, LONG_CALL, &work, err) < 0)
 *		return -1;
 */
enum { LONG_WAIT_MS = 2000 };
enum long_kind { LONG_WAIT, LONG_CALL };
struct long_work {
	struct host *host; /* NULL: it is none, or has been left */
	enum long_kind kind;
};
int long_enter(struct host *host, enum long_kind kind, struct long_work *ret, struct err *err);
bool long_try(struct host *host, enum long_kind kind, struct long_work *ret); /* without waiting */
void long_rest(struct long_work *work); /* from now on it only waits */
void long_leave(struct long_work *work);
#define AUTO_LONG __attribute__((cleanup(long_leave)))

/* What of a host is in use now. Never asks libvirt. */
struct host_load {
	int open; /* connections, also one that is being opened */
	int idle; /* of them: not leased */
	int max;
	int long_works, max_long;
	int gates; /* held, one for each VM */
};
struct host_load virt_host_load(struct host *host);
