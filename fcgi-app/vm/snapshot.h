/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A VM's snapshots. libvirt gets snapshot XML that policy_check() has passed and nothing else: what
 * more it can say writes files of the host as root.
 *
 * All functions may be called from any thread.
 */
#include "base/config.h"
#include "base/uuid.h"
#include "format/etag.h"
#include "format/xml.h"
#include "vm/host.h"

/*
 * Who asked for a snapshot, and for what, under an Idempotency-Key: libvirt keeps it in the last
 * line of the snapshot's description, which nobody is shown.
 */
struct snapshot_request {
	char uuid[UUID_SIZE]; /* of the user and the key; "": there was no key */
	char body[HASH_SIZE]; /* of what was asked for */
};

/* The longest description, in bytes, that a client may give; that line; the most of one VM. */
enum { SNAPSHOT_DESCRIPTION_MAX = 1000, SNAPSHOT_REQUEST_MAX = 100, SNAPSHOTS_MAX = 256 };

/* Where what the disks held is: in themselves, in what lies beneath new ones, or nowhere. */
enum snapshot_disks { SNAPSHOT_DISKS_NONE, SNAPSHOT_DISKS_INTERNAL, SNAPSHOT_DISKS_EXTERNAL };

struct snapshot {
	char name[256];
	char parent[256]; /* "" for a root of the tree */
	char description[SNAPSHOT_DESCRIPTION_MAX + SNAPSHOT_REQUEST_MAX];
	const char *state; /* one of SNAPSHOT_STATES: the VM's when it was made */
	int64_t created;   /* seconds since the epoch */
	int children;
	enum snapshot_disks disks;
	bool memory; /* is in it, too */
	bool current;
	struct snapshot_request request;
};
#define SNAPSHOT_STATES "running|paused|shutdown|shutoff|crashed|pmsuspended|disk-snapshot|unknown"

/* Its entity tag: a hash of all but the request, which never changes. */
void snapshot_etag(const struct snapshot *snapshot, char ret[static ETAG_SIZE]);

/*
 * A <domainsnapshot>, from a client's XML or from its parts, either of which may be NULL. Without a
 * name it gets one of its own, which is made of the request's when that has a uuid.
 * ERR_INVALID_XML, ERR_INVALID_SPEC.
 */
int snapshot_xml_read(const char *text, size_t len, const struct snapshot_request *request,
	struct xml **ret, struct err *err);
int snapshot_xml_make(const char *name, const char *description,
	const struct snapshot_request *request, struct xml **ret, struct err *err);

/*
 * All of a VM's, parents before children. The caller frees *ret. Others may have made more than
 * libvirt and we can list in a moment: ERR_SNAPSHOT_UNSUPPORTED. Each has its name still.
 */
enum { SNAPSHOTS_LISTED_MAX = 1024 };
int snapshot_list(struct host *host, const char *ref, struct snapshot **ret, size_t *ret_count,
	struct err *err);

/* A name of NULL means the current one, in all that follows. ERR_SNAPSHOT_NOT_FOUND. */
int snapshot_get(struct host *host, const char *ref, const char *name, struct snapshot *ret,
	struct err *err);

/*
 * Of a document that the policy has passed, which gets the request's line. ERR_SNAPSHOT_UNSUPPORTED
 * says why. *ret_replayed: the same request has made it already, and that one is returned;
 * ERR_KEY_REUSED when another did.
 */
int snapshot_create(const struct config *config, struct host *host, const struct target *target,
	struct xml *doc, const struct snapshot_request *request, struct snapshot *ret,
	bool *ret_replayed, struct err *err);

/*
 * Reverts and deletions look again where the VM's files lead (guard.h): a revert starts the VM, and
 * of one that is off libvirt opens the images.
 */

struct snapshot_delete {
	bool children;      /* all that descend from it, too */
	bool metadata_only; /* libvirt forgets it, and the disks stay as they are */
};
struct snapshot_deleted {
	char (*names)[256]; /* the caller frees them */
	size_t count;
};
/*
 * target->if_match is of the snapshot: a list of tags of snapshot_etag(), or "". Of several a
 * failure may leave some deleted; its text says so.
 */
int snapshot_delete(const struct config *config, struct host *host, const struct target *target,
	const char *name, const struct snapshot_delete *how, struct snapshot_deleted *ret,
	struct err *err);

enum snapshot_state { SNAPSHOT_AS_SAVED, SNAPSHOT_RUNNING, SNAPSHOT_PAUSED };
struct snapshot_revert {
	enum snapshot_state state; /* of the VM afterwards */
	bool force;                /* even where libvirt considers it risky */
};
/*
 * What cannot work is refused before the VM is touched (ERR_SNAPSHOT_UNSUPPORTED). When libvirt
 * fails half-way, the VM is off: the error has its state then.
 */
int snapshot_revert(const struct config *config, struct host *host, const struct target *target,
	const char *name, const struct snapshot_revert *how, struct vm *ret, struct err *err);
