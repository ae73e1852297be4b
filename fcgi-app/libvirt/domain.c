/* SPDX-License-Identifier: MIT */
#include "libvirt/domain.h"

#include "base/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum vm_state domain_read_state(virDomainPtr dom)
{
	int state = VIR_DOMAIN_NOSTATE;
	int reason = 0;
	(void)virDomainGetState(dom, &state, &reason, 0);
	return vm_state_of(state);
}

enum vm_state domain_read_state_after(virDomainPtr dom, const struct err *err)
{
	if (err->libvirt_code == VIR_ERR_SYSTEM_ERROR && err->libvirt_domain == VIR_FROM_QEMU)
		return VM_SHUTOFF;
	return domain_read_state(dom);
}

/* In these states a VM surely has a process, or what stands for one; in others it rarely has. */
static bool surely_active(enum vm_state state)
{
	return state == VM_RUNNING || state == VM_PAUSED || state == VM_SHUTDOWN ||
		state == VM_PMSUSPENDED;
}

/* Everything but the reason of the state. */
static int read_without_reason(
	struct lease *lease, virDomainPtr dom, struct vm *ret, struct err *err)
{
	struct vm vm = { 0 };
	virDomainInfo info;
	int autostart = 0;
	if (virDomainGetInfo(dom, &info) < 0)
		return virt_fail(lease, VIRT_READ, err);
	vm_set_identity(&vm, dom);
	vm_set_state(&vm, info.state, 0);
	vm_set_size(&vm, &info);
	int active = surely_active(vm.state) ? 1 : virDomainIsActive(dom);
	/* A transient VM has neither autostart nor a managed save: both need a definition. */
	int persistent = active < 0 ? -1 : virDomainIsPersistent(dom);
	if (persistent < 0 || (persistent && virDomainGetAutostart(dom, &autostart) < 0))
		return virt_fail(lease, VIRT_READ, err);
	int saved = persistent ? virDomainHasManagedSaveImage(dom, 0) : 0;
	int snapshots = saved < 0 ? -1 : virDomainSnapshotNum(dom, 0);
	if (snapshots < 0)
		return virt_fail(lease, VIRT_READ, err);
	vm.active = active;
	vm.persistent = persistent;
	vm.autostart = autostart;
	vm.managed_save = saved;
	vm.snapshots = snapshots > 0;
	vm.snapshot_count = snapshots;
	*ret = vm;
	return 0;
}

static int read_state(struct lease *lease, virDomainPtr dom, struct vm *vm, struct err *err)
{
	int state = 0;
	int reason = 0;
	if (virDomainGetState(dom, &state, &reason, 0) < 0)
		return virt_fail(lease, VIRT_READ, err);
	vm_set_state(vm, state, reason);
	return 0;
}

int domain_read(struct lease *lease, virDomainPtr dom, struct vm *ret, struct err *err)
{
	struct vm vm = { 0 };
	if (read_without_reason(lease, dom, &vm, err) < 0 || read_state(lease, dom, &vm, err) < 0)
		return -1;
	/* The state may have changed in between. */
	int active = surely_active(vm.state) ? 1 : vm.active ? virDomainIsActive(dom) : 0;
	if (active < 0)
		return virt_fail(lease, VIRT_READ, err);
	vm.active = active;
	*ret = vm;
	return 0;
}

int domain_read_again(struct lease *lease, virDomainPtr dom, struct vm *vm, struct err *err)
{
	struct vm now = *vm;
	if (read_state(lease, dom, &now, err) < 0)
		return -1;
	if (surely_active(now.state) != vm->active)
		return domain_read(lease, dom, vm, err);
	*vm = now;
	return 0;
}

/*
 * From libvirt 11.0 on, XML is read as one of the VM's jobs, and a call that waits for QEMU is in
 * one. A call that has just begun is given the time to end; one that takes longer hangs.
 */
static int await_qemu(struct lease *lease, virDomainPtr dom, struct err *err)
{
	enum { XML_IS_A_JOB = 11000000, QEMU_WAIT_MS = 500, PATIENCE_MS = 1000 };
	static const struct timespec pause = { .tv_nsec = 10000000 };
	int64_t deadline = clock_ms() + PATIENCE_MS; /* of short calls in succession */
	virDomainControlInfo control;
	if (lease_libvirt_version(lease) < XML_IS_A_JOB)
		return 0;
	while (!virDomainGetControlInfo(dom, &control, 0) &&
		control.state == VIR_DOMAIN_CONTROL_OCCUPIED && clock_ms() < deadline) {
		if (control.stateTime >= QEMU_WAIT_MS)
			return err_set(err, ERR_VM_BUSY, "another operation on this VM is running");
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	}
	return 0;
}

int domain_read_xml_text(
	struct lease *lease, virDomainPtr dom, unsigned flags, char **ret, struct err *err)
{
	if (await_qemu(lease, dom, err) < 0)
		return -1;
	char *text = virDomainGetXMLDesc(dom, flags);
	if (!text) {
		(void)virt_fail(lease, VIRT_READ, err);
		return -1;
	}
	*ret = text;
	return 0;
}

int domain_version(struct lease *lease, virDomainPtr dom, const struct vm *vm,
	char ret[static HASH_SIZE], struct err *err)
{
	AUTO(free) char *xml = NULL;
	if (domain_read_xml_text(lease, dom, VIR_DOMAIN_XML_INACTIVE, &xml, err) < 0)
		return -1;
	return domain_version_of(vm, xml, ret, err);
}

int domain_version_of(
	const struct vm *vm, const char *xml, char ret[static HASH_SIZE], struct err *err)
{
	AUTO(free) char *text = NULL;
	/* The definition of a transient VM is the running one: the balloon changes this line. */
	const char *balloon = vm->persistent ? NULL : strstr(xml, "<currentMemory ");
	const char *skip = balloon ? balloon : xml + strlen(xml);
	size_t skipped = strcspn(skip, "\n");
	int len = asprintf(&text, "%s %s %d%d%d%d %d %lld %.*s%s", vm_state_name(vm->state),
		vm->reason, vm->persistent, vm->autostart, vm->managed_save, vm->snapshots,
		vm->vcpus, (long long)vm->memory_kib, (int)(skip - xml), xml, skip + skipped);
	if (len < 0)
		return err_memory(err);
	hash_text(text, (size_t)len, ret);
	return 0;
}

int domain_read_xml(
	struct lease *lease, virDomainPtr dom, unsigned flags, struct xml **ret, struct err *err)
{
	AUTO(free) char *text = NULL;
	if (domain_read_xml_text(lease, dom, flags, &text, err) < 0)
		return -1;
	return xml_parse_trusted(text, ret, err);
}

int domain_read_saved_xml(struct lease *lease, virDomainPtr dom, struct xml **ret, struct err *err)
{
	AUTO(free) char *text = virDomainManagedSaveGetXMLDesc(dom, 0);
	/* The save may be broken, and then the VM cannot start. */
	return text ? xml_parse_trusted(text, ret, err) : virt_fail(lease, VIRT_START, err);
}

/* If libvirt chooses the firmware, the definition does not name the file of variables. */
int domain_has_nvram(struct lease *lease, virDomainPtr dom, bool *ret, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	if (domain_read_xml(lease, dom, VIR_DOMAIN_XML_INACTIVE, &doc, err) < 0)
		return -1;
	const struct xml_node *os = xml_child(xml_root(doc), "os");
	AUTO(free) char *firmware = os ? xml_attr(os, "firmware") : NULL;
	bool efi = firmware && !strcmp(firmware, "efi") && !virt_is_test(lease);
	*ret = efi || xml_find(xml_root(doc), "os/nvram");
	return 0;
}

int domain_lookup(struct lease *lease, const char *ref, virDomainPtr *ret, struct err *err)
{
	virDomainPtr dom = NULL;
	if (uuid_is(ref)) {
		dom = virDomainLookupByUUIDString(lease->conn, ref);
		if (!dom && virt_fail(lease, VIRT_READ, err) < 0 && err->kind != ERR_VM_NOT_FOUND)
			return -1;
	}
	if (!dom)
		dom = virDomainLookupByName(lease->conn, ref);
	if (!dom) {
		(void)virt_fail(lease, VIRT_READ, err);
		if (err->kind == ERR_VM_NOT_FOUND)
			(void)err_set(err, ERR_VM_NOT_FOUND, "there is no VM '%s'", ref);
		return -1;
	}
	*ret = dom;
	return 0;
}

struct resolve_args {
	const char *ref;
	struct vm_ref resolved;
};

static int resolve_ref(struct lease *lease, void *data, struct err *err)
{
	struct resolve_args *args = data;
	AUTO(virDomainFree) virDomainPtr dom = NULL;
	if (domain_lookup(lease, args->ref, &dom, err) < 0)
		return -1;
	(void)snprintf(
		args->resolved.name, sizeof args->resolved.name, "%s", virDomainGetName(dom));
	(void)virDomainGetUUIDString(dom, args->resolved.uuid);
	return 0;
}

int domain_resolve(
	struct hypervisor *hypervisor, const char *ref, struct vm_ref *ret, struct err *err)
{
	struct resolve_args args = { .ref = ref };
	if (lease_read(hypervisor, resolve_ref, &args, err) < 0)
		return -1;
	*ret = args.resolved;
	return 0;
}

/* Holding */

int domain_check_version(struct hold *hold, const char *if_match, struct err *err)
{
	char version[HASH_SIZE];
	if (!*if_match)
		return 0;
	if (domain_version(&hold->lease, hold->dom, &hold->vm, version, err) < 0)
		return -1;
	if (etag_is_version_listed(if_match, version))
		return 0;
	(void)err_set(err, ERR_PRECONDITION_FAILED,
		"VM '%.64s' has changed: If-Match does not list its present entity tag",
		hold->vm.name);
	return err_hint(err, "read the VM again and repeat your change");
}

/* A hold under construction. */
struct holding {
	struct hypervisor *hypervisor;
	const struct target *target;
	const char *ref; /* what finds the VM: the target's ref, or the uuid */
	char uuid[UUID_SIZE];
	bool lookup_only;
	struct hold *hold;
};

static void give_connection(struct hold *hold)
{
	if (hold->dom)
		(void)virDomainFree(TAKE(hold->dom));
	lease_give(&hold->lease);
}

/* A kill need not wait for another change of the VM: a hung QEMU is what it is for. */
static int enter_gate(const struct holding *holding, struct err *err)
{
	struct gate *gate = &holding->hold->gate;
	if (!gate_enter(holding->hypervisor, holding->uuid, gate, err))
		return 0;
	if (!holding->target->kill || err->kind != ERR_VM_BUSY)
		return -1;
	return gate_enter_for(holding->hypervisor, "kill", holding->uuid, gate, err);
}

/* Looks the VM up, unless that was done on this connection, and reads it: a lease_read_fn. */
static int reach_domain(struct lease *lease, void *data, struct err *err)
{
	const struct holding *holding = data;
	struct hold *hold = holding->hold;
	AUTO(virDomainFree) virDomainPtr dom = TAKE(hold->dom);
	if (!dom && domain_lookup(lease, holding->ref, &dom, err) < 0)
		return -1;
	if (!holding->lookup_only) {
		/* The version of the VM contains the reason of its state. */
		bool brief = holding->target->brief && !*holding->target->if_match;
		int rc = brief ? read_without_reason(lease, dom, &hold->vm, err)
			       : domain_read(lease, dom, &hold->vm, err);
		if (rc < 0)
			return -1;
	}
	hold->dom = TAKE(dom);
	return 0;
}

static int reach_held_domain(struct holding *holding, enum lease_class class, struct err *err)
{
	return lease_retry(
		holding->hypervisor, class, reach_domain, holding, &holding->hold->lease, err);
}

/* The gate is the uuid's, so it can be entered before the VM is looked up. */
static int hold_by_uuid(struct holding *holding, enum lease_class class, struct err *err)
{
	for (size_t i = 0; i < sizeof holding->uuid - 1; i++)
		holding->uuid[i] = (char)tolower((unsigned char)holding->ref[i]);
	return enter_gate(holding, err) < 0 ? -1 : reach_held_domain(holding, class, err);
}

/*
 * The name leads to the uuid, whose gate is then entered. If nothing has to be waited for on the
 * way, the first look-up is the only one; else the VM is looked up again by its uuid.
 */
static int hold_by_name(struct holding *holding, enum lease_class class, struct err *err)
{
	struct hold *hold = holding->hold;
	const char *name = holding->target->ref;
	struct err busy;
	holding->lookup_only = true;
	if (reach_held_domain(holding, LEASE_READ, err) < 0) /* takes no connection from calls */
		return -1;
	(void)virDomainGetUUIDString(hold->dom, holding->uuid);
	bool entered =
		!gate_enter_within(holding->hypervisor, holding->uuid, 0, &hold->gate, &busy);
	if (!entered || holding->target->fresh || !lease_change_class(&hold->lease, class))
		give_connection(hold);
	if (!entered && enter_gate(holding, err) < 0)
		return -1;
	holding->lookup_only = false;
	holding->ref = holding->uuid;
	int rc = reach_held_domain(holding, class, err);
	if (!rc && !strcmp(virDomainGetName(hold->dom), name))
		return 0;
	if (rc < 0 && err->kind != ERR_VM_NOT_FOUND)
		return -1;
	return err_set(err, ERR_VM_NOT_FOUND, "VM '%s' has just been removed or renamed", name);
}

int domain_hold(struct hypervisor *hypervisor, const struct target *target, struct hold *ret,
	struct err *err)
{
	struct holding holding = {
		.hypervisor = hypervisor, .target = target, .ref = target->ref, .hold = ret
	};
	enum lease_class class = target->kill ? LEASE_KILL : LEASE_CALL;
	bool by_uuid = uuid_is(target->ref);
	if (by_uuid && hold_by_uuid(&holding, class, err) < 0)
		return -1;
	if (by_uuid && strcasecmp(ret->vm.uuid, target->ref) != 0) {
		domain_release(ret); /* the VM's name looks like a uuid: its gate is another one */
		by_uuid = false;
	}
	if (!by_uuid && hold_by_name(&holding, class, err) < 0)
		return -1;
	if (domain_check_version(ret, target->if_match, err) < 0)
		return -1;
	return target->check ? target->check(ret, target->data, err) : 0;
}

int domain_reach(struct hypervisor *hypervisor, const char *uuid, struct hold *ret, struct err *err)
{
	const struct target target = { .ref = uuid, .if_match = "" };
	struct holding holding = {
		.hypervisor = hypervisor, .target = &target, .ref = uuid, .hold = ret
	};
	return reach_held_domain(&holding, LEASE_CALL, err);
}

void domain_release(struct hold *hold)
{
	give_connection(hold);
	gate_leave(&hold->gate);
}
