/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Everything that can be known of a domain before it is made, with nothing made: libvirt's schema,
 * the QEMU command line, the files, the names in use. May be called from any thread.
 */
#include "definition/domain_xml.h"
#include "vm/create.h"
#include "vm/host.h"

enum severity {
	SEVERITY_INFO,    /* what could not be checked */
	SEVERITY_WARNING, /* it can be made, and perhaps not as it was meant */
	SEVERITY_ERROR,   /* it cannot be made, or not be started as asked */
};

struct finding {
	enum severity severity;
	const char *check; /* a literal: names, schema, changes, command, networks, files, boot */
	char path[256];    /* XPath, or "" */
	char text[512];
};

enum { DRY_RUN_FINDINGS_MAX = 64 };
struct dry_run {
	char *xml;     /* what libvirt would get; owned */
	char *command; /* QEMU's environment and command line, quoted for a shell; owned, or NULL */
	struct finding findings[DRY_RUN_FINDINGS_MAX];
	size_t count;
	bool ok; /* no finding is an error */
};
void dry_run_done(struct dry_run *dry_run);

/* For a document that policy_check() has passed; `how` is NULL for the definition of an existing
 * VM.
 */
int dry_run(struct host *host, const struct config *config, struct domain_xml *domain,
	const struct create_how *how, struct dry_run *ret, struct err *err);
