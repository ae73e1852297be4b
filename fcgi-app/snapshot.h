/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A VM's snapshots. libvirt gets snapshot XML of our own making, with a name and a description
 * and nothing else: what else it can say writes files of the host as root.
 *
 * All functions may be called from any thread.
 */
#include "inventory.h"

struct snapshot {
	char name[256];
	char parent[256]; /* "" for a root of the tree */
	char description[1024];
	char state[16];  /* the VM's when it was made */
	int64_t created; /* seconds since the epoch */
	bool current;
};

/* The longest description, in bytes, that a client may give. */
enum { SNAPSHOT_DESCRIPTION_MAX = 1000 };

/* Takes name and description out of a client's <domainsnapshot>; either may stay "". */
int snapshot_read_xml(const char *text, size_t len, struct snapshot *ret, struct err *err);

/* All of a VM's, parents before children. The caller frees *ret. */
int snapshot_list(struct host *host, const char *ref, struct snapshot **ret, size_t *ret_count,
	struct err *err);

/* A name of NULL means the current one, in all that follows. ERR_SNAPSHOT_NOT_FOUND. */
int snapshot_get(struct host *host, const char *ref, const char *name, struct snapshot *ret,
	struct err *err);

/* Without a name (NULL or "") it gets one of its own. ERR_SNAPSHOT_UNSUPPORTED says why. */
int snapshot_create(struct host *host, const char *ref, const char *name, const char *description,
	struct snapshot *ret, struct err *err);

int snapshot_delete(struct host *host, const char *ref, const char *name, struct err *err);

int snapshot_revert(struct inventory *inventory, const char *ref, const char *name, struct vm *ret,
	struct err *err);
