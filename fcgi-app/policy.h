/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What domain XML may say. Default deny: an element or attribute that the table of policy.c does
 * not list is refused, and each that it lists has a rule for its value and a count. Why so strict:
 * defining a domain runs its <emulator>, starting one runs an interface's <script> as root, and
 * most of libvirt's 151 path-typed nodes name files that it opens as root.
 *
 * The tree that is checked is the one that is serialised for libvirt. Thread-safe: no state.
 */
#include "config.h"
#include "xml.h"

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

/* -1 only when memory is out; a report without violations means the document may pass. */
int policy_check(const struct xml *doc, const struct config *config, struct policy_report *ret,
	struct err *err);

/* The table, as text. */
void policy_print(FILE *out);
