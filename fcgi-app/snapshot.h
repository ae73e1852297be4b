/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A VM's snapshots. libvirt gets snapshot XML that policy_check() has passed and nothing else: what
 * more it can say writes files of the host as root.
 *
 * All functions may be called from any thread.
 */
#include "config.h"
#include "inventory.h"
#include "xml.h"

struct snapshot {
	char name[256];
	char parent[256]; /* "" for a root of the tree */
	char description[1024];
	char state[16];  /* the VM's when it was made */
	int64_t created; /* seconds since the epoch */
	bool current;
};

/* The longest description, in bytes, that a client may give, and the most snapshots of a VM. */
enum { SNAPSHOT_DESCRIPTION_MAX = 1000, SNAPSHOTS_MAX = 256 };

/*
 * A <domainsnapshot>, from a client's XML or from its parts, either of which may be NULL. Without a
 * name it gets one of its own. ERR_INVALID_XML, ERR_INVALID_SPEC.
 */
int snapshot_xml_read(const char *text, size_t len, struct xml **ret, struct err *err);
int snapshot_xml_make(const char *name, const char *description, struct xml **ret, struct err *err);

/* All of a VM's, parents before children. The caller frees *ret. */
int snapshot_list(struct host *host, const char *ref, struct snapshot **ret, size_t *ret_count,
	struct err *err);

/* A name of NULL means the current one, in all that follows. ERR_SNAPSHOT_NOT_FOUND. */
int snapshot_get(struct host *host, const char *ref, const char *name, struct snapshot *ret,
	struct err *err);

/* Of a document that the policy has passed. ERR_SNAPSHOT_UNSUPPORTED says why. */
int snapshot_create(const struct config *config, struct host *host, const struct target *target,
	const struct xml *doc, struct snapshot *ret, struct err *err);

int snapshot_delete(const struct config *config, struct host *host, const struct target *target,
	const char *name, struct err *err);

/*
 * A revert starts the VM, and of one that is off libvirt opens the images for any of these: so they
 * look again where its files lead (guard.h).
 */
int snapshot_revert(const struct config *config, struct inventory *inventory,
	const struct target *target, const char *name, struct vm *ret, struct err *err);
