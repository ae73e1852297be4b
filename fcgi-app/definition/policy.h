/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What domain XML may say. The policy denies by default: an element or attribute without a row in
 * policy_table.c is refused; each row has a rule for the value and a maximum count. It is so strict
 * because defining a domain runs its <emulator>, starting one runs an interface's <script> as root,
 * and most of libvirt's 151 nodes of type path name files that libvirt opens as root.
 *
 * The tree that is checked is the tree that is serialised for libvirt. Thread-safe.
 */
#include "base/config.h"
#include "files/hostpath.h"
#include "format/xml.h"

struct policy_violation {
	char path[256]; /* XPath: /domain/devices/emulator */
	char value[80]; /* cut */
	char rule[160]; /* in words */
};

/* The check ends at this many violations, which bounds what a document can cost. */
enum { POLICY_REPORT_MAX = 32 };
struct policy_report {
	size_t count;
	struct policy_violation found[POLICY_REPORT_MAX];
};

/*
 * Checks a <domain> or <domainsnapshot>. A report without violations means that the document may
 * pass; -1 if memory or file descriptors are exhausted (ERR_HOST_BUSY: try later). An image that
 * the document's metadata records (metadata.h) is taken for one that virtgate is about to make, so
 * what a client recorded there must have been removed before.
 */
int policy_check(const struct xml *doc, const struct config *config, struct policy_report *ret,
	struct err *err);

/*
 * The same for whoever may not learn which files exist: looks at none, so that paths are judged by
 * their text alone.
 */
int policy_check_unseen(const struct xml *doc, const struct config *config,
	struct policy_report *ret, struct err *err);

/*
 * Calls each(path, data, err) for every path of the host that a <domain> names in a place where the
 * policy allows paths; a -1 from it ends the walk.
 */
struct policy_path {
	const char *where;   /* /domain/os/kernel, /domain/devices/disk/source/@file */
	const char *root;    /* the directory that it has to lie beneath */
	const char *setting; /* the name of the setting for that directory */
	enum hostpath_kind kind;
	struct xml_node *node;
	const char *attr;  /* NULL: the path is the node's text */
	const char *value; /* as written, with the white space around it */
};
typedef int policy_path_fn(const struct policy_path *path, void *data, struct err *err);
int policy_each_path(const struct xml_node *domain, const struct config *config,
	policy_path_fn *each, void *data, struct err *err);

/*
 * Looks at the files of a <domain> that libvirt keeps once more: links and headers may have changed
 * since the definition was checked. ERR_POLICY_DENIED. `images` is one of the kinds for qcow2
 * images; with HOSTPATH_IDLE_IMAGE, ERR_STORAGE_UNAVAILABLE if another VM is writing to one. A path
 * outside the directories passes: an administrator put it there.
 */
int policy_recheck(const struct xml_node *domain, const struct config *config,
	enum hostpath_kind images, struct err *err);

/* Prints the table. */
void policy_print(FILE *out);
