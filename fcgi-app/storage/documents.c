/* SPDX-License-Identifier: MIT */
#include "storage/documents.h"

#include "base/uuid.h"
#include "libvirt/domain.h"

#include <stdio.h>
#include <string.h>

/* Each costs a question to libvirt, which takes a millisecond or two. */
enum { SNAPSHOTS_MAX = 4096 }; /* stated in documents.h */

struct reading {
	const struct documents *documents;
	struct lease *lease;
	enum document_kind kind;
	char owner[96];   /* in words, of what is read now */
	size_t snapshots; /* of all VMs so far */
};

/* After a failed read. What was deleted meanwhile uses nothing. */
static int give_up_document(const struct reading *reading, struct err *err)
{
	const struct documents *documents = reading->documents;
	if (reading->lease->broken)
		return -1;
	if (err->kind == ERR_VM_NOT_FOUND || err->kind == ERR_SNAPSHOT_NOT_FOUND)
		return 0;
	return documents->unreadable(reading->kind, reading->owner, documents->data, err);
}

static int give_document(const struct reading *reading, const struct xml *doc, struct err *err)
{
	const struct documents *documents = reading->documents;
	return documents->each(xml_root(doc), reading->owner, documents->data, err);
}

static int read_definition(struct reading *reading, virDomainPtr dom, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	if (domain_read_xml(reading->lease, dom, VIR_DOMAIN_XML_INACTIVE, &doc, err) < 0)
		return give_up_document(reading, err);
	return give_document(reading, doc, err);
}

static int read_running(struct reading *reading, virDomainPtr dom, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	if (domain_read_xml(reading->lease, dom, 0, &doc, err) < 0)
		return give_up_document(reading, err);
	return give_document(reading, doc, err);
}

static int read_save(struct reading *reading, virDomainPtr dom, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	if (domain_read_saved_xml(reading->lease, dom, &doc, err) < 0)
		return give_up_document(reading, err);
	return give_document(reading, doc, err);
}

static int read_snapshot(struct reading *reading, virDomainSnapshotPtr snap, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	AUTO(free) char *text = virDomainSnapshotGetXMLDesc(snap, 0);
	if (!text) {
		(void)virt_fail(reading->lease, VIRT_SNAPSHOT_READ, err);
		return give_up_document(reading, err);
	}
	if (xml_parse_trusted(text, &doc, err) < 0)
		return -1;
	return give_document(reading, doc, err);
}

static int read_snapshots(struct reading *reading, virDomainPtr dom, struct err *err)
{
	virDomainSnapshotPtr *all = NULL;
	int n = virDomainListAllSnapshots(dom, &all, 0);
	if (n < 0) {
		(void)virt_fail(reading->lease, VIRT_SNAPSHOT_READ, err);
		return give_up_document(reading, err);
	}
	int rc = 0;
	for (int i = 0; i < n; i++) {
		if (!rc && reading->snapshots < SNAPSHOTS_MAX)
			rc = read_snapshot(reading, all[i], err);
		else if (!rc && reading->snapshots == SNAPSHOTS_MAX) {
			(void)err_set(err, ERR_UNSUPPORTED, "the host has more than %d snapshots",
				SNAPSHOTS_MAX);
			rc = give_up_document(reading, err);
		}
		reading->snapshots += !rc;
		(void)virDomainSnapshotFree(all[i]);
	}
	free(all);
	return rc;
}

/*
 * What a VM runs with is read after its definition: of a VM that is undefined in between, the one
 * or the other is seen. A VM that stops or is saved keeps to this order, too.
 */
static const struct document_row {
	enum document_kind kind;
	unsigned filter;   /* lists the VMs that have it */
	const char *words; /* before the VM */
	int (*read)(struct reading *reading, virDomainPtr dom, struct err *err);
} document_rows[] = {
	{ DOCUMENT_DEFINITION, VIR_CONNECT_LIST_DOMAINS_PERSISTENT, "", read_definition },
	{ DOCUMENT_RUNNING, VIR_CONNECT_LIST_DOMAINS_ACTIVE, "", read_running },
	{ DOCUMENT_SAVE, VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE, "the managed save of ", read_save },
	{ DOCUMENT_SNAPSHOT, VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT, "a snapshot of ",
		read_snapshots },
};

static int read_vm(
	struct reading *reading, const struct document_row *row, virDomainPtr dom, struct err *err)
{
	char uuid[UUID_SIZE];
	if (virDomainGetUUIDString(dom, uuid) < 0 || !strcmp(uuid, reading->documents->except_uuid))
		return 0;
	reading->kind = row->kind;
	(void)snprintf(reading->owner, sizeof reading->owner, "%sVM '%.64s'", row->words,
		virDomainGetName(dom));
	return row->read(reading, dom, err);
}

static int read_row(struct reading *reading, const struct document_row *row, struct err *err)
{
	virDomainPtr *all = NULL;
	int n = virConnectListAllDomains(reading->lease->conn, &all, row->filter);
	if (n < 0)
		return virt_fail(reading->lease, VIRT_READ, err);
	int rc = 0;
	for (int i = 0; i < n; i++) {
		if (!rc)
			rc = read_vm(reading, row, all[i], err);
		(void)virDomainFree(all[i]);
	}
	free(all);
	return rc;
}

int documents_each(struct lease *lease, const struct documents *documents, struct err *err)
{
	struct reading reading = { .documents = documents, .lease = lease };
	for (size_t i = 0; i < ARRAY_LEN(document_rows); i++) {
		const struct document_row *row = &document_rows[i];
		if (row->kind == DOCUMENT_SNAPSHOT && !documents->snapshots)
			continue;
		if (read_row(&reading, row, err) < 0)
			return -1;
	}
	return 0;
}
