/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What domain XML may say. Default deny: an element or attribute that the table of policy.c does
 * not list is refused, and each that it lists has a rule for its value and a count. Why so strict:
 * defining a domain runs its <emulator>, starting one runs an interface's <script> as root, and
 * most of libvirt's 151 path-typed nodes name files that it opens as root.
 *
 * The tree that is checked is the one that is serialised for libvirt. Thread-safe.
 */
#include "base/config.h"
#include "files/hostpath.h"
#include "format/xml.h"

struct policy_violation {
	char path[256]; /* XPath: /domain/devices/emulator */
	char value[80]; /* cut */
	char rule[160]; /* in words */
};

/* With so many found the rest is not looked at: that bounds what a document can cost. */
enum { POLICY_REPORT_MAX = 32 };
struct policy_report {
	size_t count;
	struct policy_violation found[POLICY_REPORT_MAX];
};

/*
 * A <domain> or <domainsnapshot>; a disk that its metadata records is one that virtgate is about to
 * make, so a client's records have been taken out before. -1 only when memory is out; a report
 * without violations means the document may pass.
 */
int policy_check(const struct xml *doc, const struct config *config, struct policy_report *ret,
	struct err *err);

/*
 * Calls each(path, data, err) for every path of the host that a <domain> names where the policy
 * allows one; -1 from it ends that.
 */
struct policy_path {
	const char *where;   /* the row's: /domain/os/kernel, /domain/devices/disk/source/@file */
	const char *root;    /* the directory that it lies beneath, by the settings */
	const char *setting; /* their variable's name */
	enum hostpath_kind kind;
	struct xml_node *node;
	const char *attr;  /* NULL: it is the node's text */
	const char *value; /* with the white space that stands around it */
};
typedef int policy_path_fn(const struct policy_path *path, void *data, struct err *err);
int policy_each_path(const struct xml_node *domain, const struct config *config,
	policy_path_fn *each, void *data, struct err *err);

/*
 * Do the files lead nowhere else still? For a <domain> that libvirt has kept meanwhile; what lies
 * outside the directories was put there by somebody else and is theirs. ERR_POLICY_DENIED. Of a VM
 * that is off, `off`, no other may be writing to the images either: ERR_STORAGE_UNAVAILABLE.
 */
int policy_recheck(
	const struct xml_node *domain, const struct config *config, bool off, struct err *err);

/* A size as libvirt writes it, with its unit (NULL: KiB), of which there is none above GiB here. */
bool policy_read_size(const char *value, const char *unit, uint64_t *ret_bytes);

/* The table, as text. */
void policy_print(FILE *out);
