/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A QEMU command line made into a spec and into domain XML, which libvirt itself no longer does
 * (virConnectDomainXMLFromNative, dropped in 5.5.0). Nothing is passed through: what the domain
 * says stands in the tables of qemu_argv.c and goes through the policy. Thread-safe: no state.
 */
#include "convert/qemu_argv.h"
#include "definition/domain_xml.h"
#include "definition/policy.h"

enum { CONVERT_LACKS_MAX = 16 };
struct conversion {
	struct qemu_argv argv; /* what became of each option */
	struct json *spec;     /* owned */
	/* What the domain XML says and the spec has no field for: "machine"; literals. */
	const char *lacks[CONVERT_LACKS_MAX];
	size_t lack_count;
	char *xml;                   /* owned; its paths are as they were written */
	struct policy_report report; /* of what becomes of it */
};
void conversion_done(struct conversion *conversion);

/* The words live at least as long as *ret. ERR_INVALID_SPEC; a refusal of the policy is no error.
 */
int convert_qemu_argv(const struct config *config, const char *const *words, size_t count,
	struct conversion *ret, struct err *err);
