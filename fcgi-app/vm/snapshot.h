/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A VM's snapshots: reading (snapshot.c), creating (snapshot_create.c), deleting
 * (snapshot_delete.c) and reverting (snapshot_revert.c).
 *
 * libvirt is only sent snapshot XML that policy_check() has passed: other XML could make libvirtd
 * write files of the host as root. Deletions and reverts look again at where the VM's files lead
 * (guard.h): a revert starts the VM, and libvirt opens the images of a VM that is off.
 *
 * A snapshot's name of NULL means the VM's current snapshot. ERR_SNAPSHOT_NOT_FOUND. All functions
 * may be called from any thread.
 */
#include "base/config.h"
#include "format/etag.h"
#include "storage/guard.h"
#include "vm/host.h"
#include "vm/snapshot_xml.h"

enum {
	SNAPSHOTS_MAX = 256, /* of one VM, for virtgate to create another: listing costs as much */
	SNAPSHOTS_LISTED_MAX = 1024, /* others may create more snapshots than SNAPSHOTS_MAX */
};

/* Its entity tag: a hash of all but the request, which never changes. */
void snapshot_etag(const struct snapshot *snapshot, char ret[static ETAG_SIZE]);

/*
 * All snapshots of a VM, parents before children. The caller frees *ret. ERR_SNAPSHOT_UNSUPPORTED
 * for more than SNAPSHOTS_LISTED_MAX; each can still be read and deleted by its name.
 */
int snapshot_list(struct host *host, const char *ref, struct snapshot **ret, size_t *ret_count,
	struct err *err);
int snapshot_get(struct host *host, const char *ref, const char *name, struct snapshot *ret,
	struct err *err);

struct snapshot_create {
	const struct config *config;
	struct host *host;
	struct target target;
	struct xml *doc; /* from snapshot_xml_parse() or snapshot_xml_make(); gets the request */
	const struct snapshot_request *request;
};
/*
 * ERR_SNAPSHOT_UNSUPPORTED explains why the VM cannot have this snapshot. *ret_replayed: an earlier
 * request with the same key and body created the snapshot, which is returned. ERR_KEY_REUSED: the
 * earlier request with that key had another body.
 */
int snapshot_create(const struct snapshot_create *create, struct snapshot *ret, bool *ret_replayed,
	struct err *err);

struct snapshot_delete {
	const struct config *config;
	struct host *host;
	struct target target; /* if_match lists tags of the snapshot, not of the VM */
	const char *name;
	bool children;      /* deletes all descendants, too */
	bool metadata_only; /* libvirt forgets the snapshot; the disks stay as they are */
};
struct snapshot_deleted {
	char (*names)[256]; /* the snapshot first; the caller frees them */
	size_t count;
};
/* A deletion with descendants may fail after some were deleted; the error's text says so. */
int snapshot_delete(
	const struct snapshot_delete *delete, struct snapshot_deleted *ret, struct err *err);

/* The VM's state after a revert. */
enum snapshot_state { SNAPSHOT_AS_SAVED, SNAPSHOT_RUNNING, SNAPSHOT_PAUSED };
struct snapshot_revert {
	const struct config *config;
	struct host *host;
	struct target target;
	const char *name;
	enum snapshot_state state;
	bool force; /* even if libvirt considers the revert risky */
};
/*
 * ERR_SNAPSHOT_UNSUPPORTED before the VM is touched if the revert cannot work. If libvirt fails
 * half-way, the VM is off: the error then has its state.
 */
int snapshot_revert(const struct snapshot_revert *revert, struct vm *ret, struct err *err);

/* For the four files above, with a connection leased or the VM held. */

struct snapshots {
	virDomainSnapshotPtr *list;
	int count;
};
void snapshots_done(struct snapshots *snapshots);
#define AUTO_SNAPSHOTS __attribute__((cleanup(snapshots_done)))

/* The caller frees *ret. */
int snapshot_lookup(struct lease *lease, virDomainPtr dom, const char *name,
	virDomainSnapshotPtr *ret, struct err *err);
int snapshot_read_xml(
	struct lease *lease, virDomainSnapshotPtr snap, struct xml **ret, struct err *err);
int snapshot_read(
	struct lease *lease, virDomainSnapshotPtr snap, struct snapshot *ret, struct err *err);
int snapshot_read_all(struct lease *lease, virDomainPtr dom, struct snapshot **ret,
	size_t *ret_count, struct err *err);
/* All descendants, parents before children. */
int snapshot_read_descendants(
	struct lease *lease, virDomainSnapshotPtr snap, struct snapshots *ret, struct err *err);

/*
 * Guards the images of a VM that is off: libvirt runs qemu-img on them as root, which guesses their
 * formats. Does nothing if the VM is active.
 */
int snapshot_guard_off(
	struct hold *hold, const struct config *config, struct guard *guard, struct err *err);
/* Guards the images of the domain that the snapshot document `doc` contains. */
int snapshot_guard(struct hold *hold, const struct xml *doc, const struct config *config,
	struct guard *guard, struct err *err);
