/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The documents in which libvirt states which files the VMs of a host use: each VM's definition,
 * the domain as it runs, the one in its managed save, and those in its snapshots. A VM uses the
 * files that it can return to as much as those that it has now. May be called from any thread.
 */
#include "format/xml.h"
#include "libvirt/virt.h"

enum document_kind { DOCUMENT_DEFINITION, DOCUMENT_RUNNING, DOCUMENT_SAVE, DOCUMENT_SNAPSHOT };

struct documents {
	const char *except_uuid; /* a VM that is left out; "": none is */
	bool snapshots;          /* snapshots too */
	/* For each document: a <domain>, or of a snapshot a <domainsnapshot>; -1 ends the walk. */
	int (*each)(const struct xml_node *root, const char *owner, void *data, struct err *err);
	/*
	 * For each document that libvirt has and does not show, for the reason in *err; -1 ends the
	 * walk. Of more than 4096 snapshots in all, the rest is not read either.
	 */
	int (*unreadable)(enum document_kind kind, const char *owner, void *data, struct err *err);
	void *data;
};

/* `owner` above says in words whose document it is: "VM 'a'", "a snapshot of VM 'a'". */
int documents_each(struct lease *lease, const struct documents *documents, struct err *err);
