/* SPDX-License-Identifier: MIT */
#include "vm/snapshot.h"

#include "base/clock.h"
#include "definition/snapshot_check.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* A snapshot that is being created, of a VM that is held. */
struct creation {
	const struct snapshot_create *how;
	struct hold *hold;
	struct snapshot snapshot; /* first what the document says, then what libvirt made of it */
	bool shares;              /* the VM has a <filesystem> */
};

/* Checks */

static int check_name_free(const struct creation *creation, struct err *err)
{
	const char *name = creation->snapshot.name;
	AUTO(virDomainSnapshotFree) virDomainSnapshotPtr same =
		virDomainSnapshotLookupByName(creation->hold->dom, name, 0);
	if (!same)
		return 0;
	return err_set(err, ERR_ALREADY_EXISTS, "VM '%s' already has a snapshot '%s'",
		creation->hold->vm.name, name);
}

static int check_snapshot_count(const struct creation *creation, struct err *err)
{
	if (virDomainSnapshotNum(creation->hold->dom, 0) < SNAPSHOTS_MAX)
		return 0;
	(void)err_set(err, ERR_SNAPSHOT_UNSUPPORTED,
		"VM '%s' already has the maximum of %d snapshots", creation->hold->vm.name,
		SNAPSHOTS_MAX);
	return err_hint(err, "delete one first");
}

static int check_possible(struct creation *creation, struct err *err)
{
	struct hold *hold = creation->hold;
	const struct xml_node *snapshot = xml_root(creation->how->doc);
	AUTO(xml_free) struct xml *domain = NULL;
	if (snapshot_check_memory(snapshot, hold->vm.active, err) < 0)
		return -1;
	if (virt_is_test(&hold->lease))
		return 0;
	if (domain_read_xml(&hold->lease, hold->dom, 0, &domain, err) < 0)
		return -1;
	creation->shares = xml_find(xml_root(domain), "devices/filesystem");
	bool chosen = xml_child(snapshot, "disks") || xml_child(snapshot, "memory");
	return snapshot_check_create(xml_root(domain), chosen, err);
}

/* libvirt's refusal */

/* libvirt refuses a running guest that has mounted a share in words of migration. */
static int explain_unsupported(const struct creation *creation, struct err *err)
{
	if (!creation->shares || !creation->hold->vm.active ||
		err->libvirt_code != VIR_ERR_OPERATION_INVALID)
		return err_hint(
			err, "leave out disks and memory: the snapshot then includes all of them");
	(void)snprintf(err->text, sizeof err->text,
		"the guest has a 9p share mounted, so QEMU cannot save the guest's state");
	return err_hint(err, "unmount it in the guest, or shut the VM down first");
}

/*
 * QEMU writes the snapshot of a running VM. For a VM that is off, libvirt runs qemu-img, whose
 * failure it reports as an internal error.
 */
static int explain_storage(struct err *err)
{
	bool qemu = err->kind == ERR_STORAGE_UNAVAILABLE;
	bool qemu_img = err->libvirt_code == VIR_ERR_INTERNAL_ERROR &&
		err->libvirt_domain == VIR_FROM_NONE && strstr(err->private, "qemu-img");
	if (!qemu && !qemu_img)
		return -1;
	err->kind = ERR_STORAGE_UNAVAILABLE;
	(void)snprintf(err->text, sizeof err->text, "QEMU could not write the snapshot");
	return err_hint(err, "check that there is free space where the VM's disks are");
}

static int create_held(struct creation *creation, struct err *err)
{
	struct hold *hold = creation->hold;
	AUTO_GUARD struct guard guard = { 0 };
	AUTO(free) char *xml = xml_text(creation->how->doc);
	if (!xml)
		return err_memory(err);
	if (check_name_free(creation, err) < 0 || check_snapshot_count(creation, err) < 0 ||
		check_possible(creation, err) < 0 ||
		snapshot_guard_off(hold, creation->how->config, &guard, err) < 0)
		return -1;
	AUTO(virDomainSnapshotFree) virDomainSnapshotPtr snap =
		virDomainSnapshotCreateXML(hold->dom, xml, VIR_DOMAIN_SNAPSHOT_CREATE_VALIDATE);
	if (!snap) {
		(void)virt_fail(&hold->lease, VIRT_SNAPSHOT_CREATE, err);
		return err->kind == ERR_SNAPSHOT_UNSUPPORTED ? explain_unsupported(creation, err)
							     : explain_storage(err);
	}
	/* The snapshot exists, so failing to read it back is no failure of the request. */
	struct err ignored;
	(void)snapshot_read(&hold->lease, snap, &creation->snapshot, &ignored);
	return 0;
}

/* Repeated requests */

/* Finds the snapshot that an earlier request with the same key created. ERR_KEY_REUSED. */
static int find_replayed_snapshot(struct creation *creation, bool *ret_found, struct err *err)
{
	const struct snapshot_request *request = creation->how->request;
	AUTO(free) struct snapshot *list = NULL;
	size_t count = 0;
	size_t i = 0;
	if (!request->uuid[0])
		return 0;
	if (snapshot_read_all(&creation->hold->lease, creation->hold->dom, &list, &count, err) < 0)
		return -1;
	while (i < count && strcmp(list[i].request.uuid, request->uuid) != 0)
		i++;
	if (i == count)
		return 0;
	if (strcmp(list[i].request.body, request->body) != 0) {
		(void)err_set(err, ERR_KEY_REUSED,
			"an earlier request with this Idempotency-Key but another body created "
			"snapshot '%.64s'",
			list[i].name);
		return err_hint(err, "use a new key for a new request");
	}
	creation->snapshot = list[i];
	*ret_found = true;
	return 0;
}

/* Does the name's snapshot belong to the same request, or does libvirt not show it yet? */
static bool is_in_progress(const struct creation *creation)
{
	struct snapshot other = { 0 };
	struct err ignored;
	AUTO(xml_free) struct xml *doc = NULL;
	AUTO(virDomainSnapshotFree) virDomainSnapshotPtr snap =
		virDomainSnapshotLookupByName(creation->hold->dom, creation->snapshot.name, 0);
	if (!snap || snapshot_read_xml(&creation->hold->lease, snap, &doc, &ignored) < 0)
		return true;
	snapshot_xml_read(xml_root(doc), &other);
	return !strcmp(other.request.uuid, creation->how->request->uuid);
}

/*
 * After a failure, which err holds: another virtgate may have finished the same request meanwhile,
 * or may still be working on it.
 */
static int await_replayed(struct creation *creation, bool *ret_found, struct err *err)
{
	static const struct timespec step = { .tv_nsec = 20000000 };
	int64_t deadline = clock_ms() + GATE_WAIT_MS;
	struct err failed;
	while (!creation->hold->lease.broken && creation->how->request->uuid[0]) {
		if (find_replayed_snapshot(creation, ret_found, &failed) < 0) {
			*err = failed;
			return -1;
		}
		if (*ret_found)
			return 0;
		if (err->kind != ERR_ALREADY_EXISTS || !is_in_progress(creation))
			return -1;
		if (clock_ms() > deadline)
			return err_set(
				err, ERR_VM_BUSY, "the same request is still being worked on");
		(void)nanosleep(&step, NULL);
	}
	return -1;
}

int snapshot_create(const struct snapshot_create *create, struct snapshot *ret, bool *ret_replayed,
	struct err *err)
{
	/* The first request itself may have changed the VM's tag: a replay is not checked for it.
	 */
	const struct target unchecked = { .ref = create->target.ref, .if_match = "" };
	struct xml_node *root = xml_root(create->doc);
	AUTO_LONG_WORK struct long_work work = { 0 };
	AUTO_HOLD struct hold hold = { 0 };
	struct creation creation = { .how = create, .hold = &hold };
	bool replayed = false;
	if (domain_hold(create->host->hypervisor, &unchecked, &hold, err) < 0 ||
		find_replayed_snapshot(&creation, &replayed, err) < 0)
		return -1;
	if (!replayed) {
		if (domain_check_version(&hold, create->target.if_match, err) < 0 ||
			snapshot_xml_add_request(root, create->request, err) < 0 ||
			long_work_begin(create->host->hypervisor, LONG_WORK_CALL,
				create->target.user, &work, err) < 0)
			return -1;
		snapshot_xml_read(root, &creation.snapshot);
		creation.snapshot.created = time(NULL);
		creation.snapshot.current = true;
		if (create_held(&creation, err) < 0 &&
			await_replayed(&creation, &replayed, err) < 0)
			return -1;
	}
	*ret = creation.snapshot;
	*ret_replayed = replayed;
	return 0;
}
