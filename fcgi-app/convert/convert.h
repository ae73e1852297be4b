/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Converts a QEMU command line into a spec and into domain XML, which libvirt itself no longer does
 * (virConnectDomainXMLFromNative, removed in 5.5.0). Nothing is passed through to QEMU: the tables
 * of the qemu_*.c files say what the domain can contain, and the policy checks the result.
 * Thread-safe: no state.
 */
#include "convert/qemu_argv.h"
#include "definition/domain_xml.h"
#include "definition/policy.h"

enum { CONVERT_LACKS_MAX = 16 };
struct conversion {
	struct qemu_argv argv; /* what became of each option */
	struct json *spec;     /* owned */
	/* What the domain XML has and a spec cannot express, such as "machine"; literals. */
	const char *lacks[CONVERT_LACKS_MAX];
	size_t lack_count;
	char *xml;                   /* owned; with the paths of the command line */
	struct policy_report report; /* on the VM that the XML would make */
};
void conversion_done(struct conversion *conversion);

/*
 * The words must outlive *ret. ERR_INVALID_SPEC. What the policy refuses is in the report, and not
 * an error. Without `files` the policy looks at no file of the host: it must not tell everybody
 * which there are.
 */
int convert_qemu_argv(const struct config *config, bool files, const char *const *words,
	size_t count, struct conversion *ret, struct err *err);
