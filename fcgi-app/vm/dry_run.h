/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Checks a domain without defining it: libvirt's schema, the QEMU command line, files, networks,
 * the names in use. Changes nothing. May be called from any thread.
 */
#include "definition/domain_xml.h"
#include "vm/create.h"
#include "vm/host.h"

enum severity {
	SEVERITY_INFO,    /* a check that was not possible */
	SEVERITY_WARNING, /* virtgate would create the VM, but perhaps not as the client meant */
	SEVERITY_ERROR,   /* virtgate could not create the VM, or not start it as asked */
};

struct finding {
	enum severity severity;
	const char *check; /* a literal: names, schema, changes, command, networks, files, boot */
	char path[256];    /* XPath, or "" */
	char text[512];
};

enum { DRY_RUN_FINDINGS_MAX = 64 };
struct dry_run {
	char *xml;     /* the document for libvirt; owned */
	char *command; /* QEMU's environment and command line, quoted for a shell; owned, or NULL */
	struct finding findings[DRY_RUN_FINDINGS_MAX];
	size_t count;
	bool ok; /* no finding is an error */
};
void dry_run_done(struct dry_run *dry_run);

/*
 * Expects a document that policy_check() has passed. how: NULL for a new definition of an existing
 * VM.
 */
int dry_run(struct host *host, const struct config *config, struct domain_xml *domain,
	const struct create_how *how, struct dry_run *ret, struct err *err);
