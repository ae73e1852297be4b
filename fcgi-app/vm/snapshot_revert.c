/* SPDX-License-Identifier: MIT */
#include "vm/snapshot.h"

#include "definition/snapshot_check.h"
#include "storage/formats.h"
#include "storage/local.h"
#include "vm/limits.h"

/* A revert that fails after libvirt has stopped the VM leaves it off. */
static int explain_failed_revert(struct hold *hold, enum virt_op op, struct err *err)
{
	(void)virt_fail(&hold->lease, op, err);
	if (hold->lease.broken)
		return -1;
	enum vm_state state = domain_read_state(hold->dom);
	if (err->kind == ERR_REVERT_NEEDS_FORCE)
		(void)err_hint(err, "repeat the request with \"force\": true");
	if (err->kind == ERR_WRONG_STATE || state != hold->vm.state)
		(void)err_state(err, vm_state_name(state));
	if (state != hold->vm.state && !err->hint[0])
		(void)err_hint(err, "the VM is now %s: libvirt stopped it before the revert failed",
			vm_state_name(state));
	return -1;
}

/*
 * The test driver ignores the state that a revert asks for if the VM was off at the snapshot. It
 * cannot start a VM paused; but it has no guest that would run before the pause.
 */
static int reach_state(virDomainPtr dom, enum snapshot_state wanted)
{
	if (wanted == SNAPSHOT_AS_SAVED)
		return 0;
	if (domain_read_state(dom) == VM_SHUTOFF && virDomainCreate(dom) < 0)
		return -1;
	enum vm_state state = domain_read_state(dom);
	if (wanted == SNAPSHOT_RUNNING && state == VM_PAUSED)
		return virDomainResume(dom);
	if (wanted == SNAPSHOT_PAUSED && state == VM_RUNNING)
		return virDomainSuspend(dom);
	return 0;
}

/* The snapshot contains the domain that the VM becomes again, and its definition then. */
static int guard_revert(struct hold *hold, const struct xml *doc, const struct config *config,
	struct guard *guard, struct err *err)
{
	if (guard_lock(guard, &hold->lease, xml_root(doc), err) < 0 ||
		formats_check(&hold->lease, xml_root(doc), config, FORMATS_DEFINE, err) < 0)
		return -1;
	return snapshot_guard(hold, doc, config, guard, err);
}

static int revert_held(struct hold *hold, virDomainSnapshotPtr snap,
	const struct snapshot_revert *revert, struct err *err)
{
	static const unsigned states[] = {
		[SNAPSHOT_AS_SAVED] = 0,
		[SNAPSHOT_RUNNING] = VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING,
		[SNAPSHOT_PAUSED] = VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED,
	};
	unsigned flags = states[revert->state];
	if (revert->force)
		flags |= VIR_DOMAIN_SNAPSHOT_REVERT_FORCE;
	if (virDomainRevertToSnapshot(snap, flags) < 0)
		return explain_failed_revert(hold, VIRT_SNAPSHOT_REVERT, err);
	if (reach_state(hold->dom, revert->state) < 0)
		return explain_failed_revert(hold, VIRT_START, err);
	return 0;
}

/* An old snapshot must not bring back more than a VM may have by now, and more than it has. */
static int check_size(struct hold *hold, const struct xml_node *snapshot,
	const struct config *config, struct err *err)
{
	static const char *const domains[] = { "domain", "inactiveDomain" };
	AUTO(xml_free) struct xml *now = NULL;
	if (domain_read_xml(&hold->lease, hold->dom, VIR_DOMAIN_XML_INACTIVE, &now, err) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
		const struct xml_node *domain = xml_child(snapshot, domains[i]);
		if (domain &&
			limits_check_size(config, &hold->lease, domain, xml_root(now), err) < 0)
			return -1;
	}
	return 0;
}

int snapshot_revert(const struct snapshot_revert *revert, struct vm *ret, struct err *err)
{
	struct hypervisor *hypervisor = revert->host->hypervisor;
	AUTO_HOLD struct hold hold = { 0 };
	AUTO_GUARD struct guard guard = { 0 };
	AUTO(virDomainSnapshotFree) virDomainSnapshotPtr snap = NULL;
	AUTO(xml_free) struct xml *doc = NULL;
	AUTO_LONG_WORK struct long_work work = { 0 };
	if (domain_hold(hypervisor, &revert->target, &hold, err) < 0 ||
		snapshot_lookup(&hold.lease, hold.dom, revert->name, &snap, err) < 0 ||
		snapshot_read_xml(&hold.lease, snap, &doc, err) < 0 ||
		check_size(&hold, xml_root(doc), revert->config, err) < 0 ||
		guard_revert(&hold, doc, revert->config, &guard, err) < 0 ||
		snapshot_check_revert(xml_root(doc), err) < 0 ||
		/* The test driver has no images. */
		(!virt_is_test(&hold.lease) &&
			local_check_snapshot(hypervisor, xml_root(doc), err) < 0) ||
		long_work_begin(hypervisor, LONG_WORK_CALL, revert->target.user, &work, err) < 0)
		return -1;
	int rc = revert_held(&hold, snap, revert, err);
	inventory_touch(revert->host->inventory, hold.vm.uuid);
	if (rc < 0)
		return -1;
	struct err ignored;
	if (!domain_read(&hold.lease, hold.dom, ret, &ignored))
		return 0;
	*ret = hold.vm;
	ret->state = VM_UNKNOWN;
	ret->reason = "unknown";
	return 0;
}
