/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Snapshots on paper: struct snapshot, read from libvirt's <domainsnapshot>, and the
 * <domainsnapshot> that a client asks for. Thread-safe: no state.
 */
#include "base/hash.h"
#include "base/named.h"
#include "base/uuid.h"
#include "format/xml.h"
#include "libvirt/domain.h"

/*
 * A create request with an Idempotency-Key. virtgate keeps it in the last line of the snapshot's
 * description, where libvirt stores it; clients never see that line.
 */
struct snapshot_request {
	char uuid[UUID_SIZE]; /* made from the user and the key; "": the request has no key */
	char body[HASH_SIZE]; /* hash of the request's body */
};

/* Bytes: the longest description that a client may give, and virtgate's line in it. */
enum { SNAPSHOT_DESCRIPTION_MAX = 1000, SNAPSHOT_REQUEST_MAX = 100 };

/* Where the content of the disks is kept. */
#define SNAPSHOT_DISKS(FIRST, NEXT) \
	FIRST(SNAPSHOT_DISKS_NONE, "none")        /* nowhere */ \
	NEXT(SNAPSHOT_DISKS_INTERNAL, "internal") /* inside the images */ \
	NEXT(SNAPSHOT_DISKS_EXTERNAL, "external") /* in backing files of new images */
enum snapshot_disks { SNAPSHOT_DISKS(NAMED_VALUE, NAMED_VALUE) };
#define SNAPSHOT_DISKS_NAMES SNAPSHOT_DISKS(NAMED_FIRST, NAMED_NEXT)
const char *snapshot_disks_name(enum snapshot_disks disks);

#define SNAPSHOT_STATE_NAMES VM_STATE_NAMES "|disk-snapshot"

struct snapshot {
	char name[256];
	char parent[256]; /* "" for a root of the tree */
	char description[SNAPSHOT_DESCRIPTION_MAX + SNAPSHOT_REQUEST_MAX]; /* without our line */
	char state[16];  /* one of SNAPSHOT_STATE_NAMES: the VM's when the snapshot was made */
	int64_t created; /* seconds since 1970 */
	int children;    /* direct ones */
	enum snapshot_disks disks;
	bool memory; /* the snapshot includes the VM's memory */
	bool current;
	struct snapshot_request request;
};

/* Fills in all that a <domainsnapshot> says: everything but `children` and `current`. */
void snapshot_xml_read(const struct xml_node *root, struct snapshot *ret);

/*
 * A <domainsnapshot> from a client's XML, or from a name and a description, each of which may be
 * NULL. A document without a name gets one: made from the request's uuid if that has one, so that
 * a repeated request gets the same name, otherwise random. The caller frees *ret. ERR_INVALID_XML,
 * ERR_INVALID_SPEC.
 */
int snapshot_xml_parse(const char *text, size_t len, const struct snapshot_request *request,
	struct xml **ret, struct err *err);
int snapshot_xml_make(const char *name, const char *description,
	const struct snapshot_request *request, struct xml **ret, struct err *err);

/* Adds virtgate's line to the description; a request without a key adds none. */
int snapshot_xml_add_request(
	struct xml_node *root, const struct snapshot_request *request, struct err *err);
