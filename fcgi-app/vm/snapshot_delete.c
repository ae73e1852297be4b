/* SPDX-License-Identifier: MIT */
#include "vm/snapshot.h"

#include <stdio.h>
#include <string.h>

/* A snapshot that is being deleted, of a VM that is held. */
struct deletion {
	const struct snapshot_delete *how;
	struct hold hold;
	virDomainSnapshotPtr snap;
	struct snapshots descendants; /* none unless they are deleted, too */
	struct guard guard;
};

static void deletion_done(struct deletion *deletion)
{
	guard_leave(&deletion->guard);
	snapshots_done(&deletion->descendants);
	if (deletion->snap)
		(void)virDomainSnapshotFree(deletion->snap);
	domain_release(&deletion->hold);
}

static int check_snapshot_version(struct deletion *deletion, struct err *err)
{
	char etag[ETAG_SIZE];
	struct snapshot now;
	const char *if_match = deletion->how->target.if_match;
	if (!*if_match)
		return 0;
	if (snapshot_read(&deletion->hold.lease, deletion->snap, &now, err) < 0)
		return -1;
	snapshot_etag(&now, etag);
	if (etag_is_listed(if_match, etag))
		return 0;
	(void)err_set(err, ERR_PRECONDITION_FAILED,
		"snapshot '%.64s' has changed: its entity tag is now %s", now.name, etag);
	return err_hint(err, "read the snapshot again, then repeat the request");
}

static int prepare_deletion(struct deletion *deletion, struct err *err)
{
	const struct snapshot_delete *how = deletion->how;
	const struct target vm = { .ref = how->target.ref, .if_match = "" };
	struct hold *hold = &deletion->hold;
	if (domain_hold(how->host->hypervisor, &vm, hold, err) < 0 ||
		snapshot_lookup(&hold->lease, hold->dom, how->name, &deletion->snap, err) < 0 ||
		check_snapshot_version(deletion, err) < 0)
		return -1;
	if (!how->children)
		return 0;
	return snapshot_read_descendants(&hold->lease, deletion->snap, &deletion->descendants, err);
}

static int guard_one(struct deletion *deletion, virDomainSnapshotPtr snap, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	struct hold *hold = &deletion->hold;
	if (snapshot_read_xml(&hold->lease, snap, &doc, err) < 0)
		return -1;
	return snapshot_guard(hold, doc, deletion->how->config, &deletion->guard, err);
}

/*
 * For a VM that is off, libvirt opens its present images and, to delete the snapshots from them,
 * the images that it had then.
 */
static int guard_deletion(struct deletion *deletion, struct err *err)
{
	struct hold *hold = &deletion->hold;
	const struct snapshots *descendants = &deletion->descendants;
	if (hold->vm.active || deletion->how->metadata_only)
		return 0;
	if (snapshot_guard_off(hold, deletion->how->config, &deletion->guard, err) < 0 ||
		guard_one(deletion, deletion->snap, err) < 0)
		return -1;
	if (descendants->count > SNAPSHOTS_LISTED_MAX) {
		(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
			"the VM is off, and there are more than %d descendants",
			SNAPSHOTS_LISTED_MAX);
		return err_hint(err, "delete them one at a time, or with metadata_only=1");
	}
	for (int i = 0; i < descendants->count; i++)
		if (guard_one(deletion, descendants->list[i], err) < 0)
			return -1;
	return 0;
}

/* The snapshot and the descendants that are deleted with it. */
static int read_doomed_names(
	const struct deletion *deletion, struct snapshot_deleted *ret, struct err *err)
{
	size_t count = (size_t)deletion->descendants.count + 1;
	char(*names)[256] = calloc(count, sizeof *names);
	if (!names)
		return err_memory(err);
	for (size_t i = 0; i < count; i++)
		(void)snprintf(names[i], sizeof names[i], "%s",
			virDomainSnapshotGetName(
				i ? deletion->descendants.list[i - 1] : deletion->snap));
	ret->names = names;
	ret->count = count;
	return 0;
}

static int explain_failed_deletion(
	struct deletion *deletion, const struct snapshot_deleted *doomed, struct err *err)
{
	struct hold *hold = &deletion->hold;
	size_t gone = 0;
	(void)virt_fail(&hold->lease, VIRT_SNAPSHOT_DELETE, err);
	for (size_t i = 0; !hold->lease.broken && i < doomed->count; i++) {
		AUTO(virDomainSnapshotFree) virDomainSnapshotPtr left =
			virDomainSnapshotLookupByName(hold->dom, doomed->names[i], 0);
		gone += !left;
	}
	if (err->kind == ERR_SNAPSHOT_UNSUPPORTED)
		(void)err_hint(err,
			"with metadata_only=1 libvirt forgets the snapshot and leaves the disks as "
			"they are");
	size_t n = strlen(err->text);
	if (gone && gone < doomed->count)
		(void)snprintf(err->text + n, sizeof err->text - n,
			"; %zu of %zu snapshots were deleted", gone, doomed->count);
	return -1;
}

int snapshot_delete(
	const struct snapshot_delete *delete, struct snapshot_deleted *ret, struct err *err)
{
	AUTO_LONG_WORK struct long_work work = { 0 };
	__attribute__((cleanup(deletion_done))) struct deletion deletion = { .how = delete };
	struct snapshot_deleted doomed = { 0 };
	unsigned flags = delete->children ? VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN : 0;
	if (prepare_deletion(&deletion, err) < 0 ||
		long_work_begin(delete->host->hypervisor, LONG_WORK_CALL, delete->target.user,
			&work, err) < 0 ||
		guard_deletion(&deletion, err) < 0 ||
		read_doomed_names(&deletion, &doomed, err) < 0)
		return -1;
	/* The test driver knows nothing but metadata, and not this flag. */
	if (delete->metadata_only && !virt_is_test(&deletion.hold.lease))
		flags |= VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY;
	if (virDomainSnapshotDelete(deletion.snap, flags) < 0) {
		(void)explain_failed_deletion(&deletion, &doomed, err);
		free(doomed.names);
		return -1;
	}
	*ret = doomed;
	return 0;
}
