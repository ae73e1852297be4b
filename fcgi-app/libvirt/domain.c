/* SPDX-License-Identifier: MIT */
#include "libvirt/domain.h"

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

/* In these it has a process, or what stands for one; in others it mostly has none. */
static bool runs(enum vm_state state)
{
	return state == VM_RUNNING || state == VM_PAUSED || state == VM_SHUTDOWN ||
		state == VM_PMSUSPENDED;
}

static int read_active(struct lease *lease, virDomainPtr dom, struct vm *vm, struct err *err)
{
	int active = runs(vm->state) ? 1 : virDomainIsActive(dom);
	if (active < 0)
		return virt_fail(lease, VIRT_READ, err);
	vm->active = active;
	return 0;
}

/* A transient VM has neither autostart nor a managed save, which need a definition. */
static int read_kept(struct lease *lease, virDomainPtr dom, struct vm *vm, struct err *err)
{
	int autostart = 0;
	int saved = 0;
	int persistent = virDomainIsPersistent(dom);
	if (persistent < 0 || (persistent && virDomainGetAutostart(dom, &autostart) < 0))
		return virt_fail(lease, VIRT_READ, err);
	if (persistent)
		saved = virDomainHasManagedSaveImage(dom, 0);
	int snapshots = saved < 0 ? -1 : virDomainSnapshotNum(dom, 0);
	if (snapshots < 0)
		return virt_fail(lease, VIRT_READ, err);
	vm->persistent = persistent;
	vm->autostart = autostart;
	vm->managed_save = saved;
	vm->snapshots = snapshots > 0;
	vm->snapshot_count = snapshots;
	return 0;
}

/* All but the reason of its state. */
static int read_briefly(struct lease *lease, virDomainPtr dom, struct vm *ret, struct err *err)
{
	struct vm vm = { 0 };
	virDomainInfo info;
	vm_set_identity(&vm, dom);
	if (virDomainGetInfo(dom, &info) < 0)
		return virt_fail(lease, VIRT_READ, err);
	vm_set_state(&vm, info.state, 0);
	vm_set_size(&vm, &info);
	if (read_active(lease, dom, &vm, err) < 0 || read_kept(lease, dom, &vm, err) < 0)
		return -1;
	*ret = vm;
	return 0;
}

static int read_reason(struct lease *lease, virDomainPtr dom, struct vm *vm, struct err *err)
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
	if (read_briefly(lease, dom, &vm, err) < 0 || read_reason(lease, dom, &vm, err) < 0)
		return -1;
	if (runs(vm.state) != vm.active && read_active(lease, dom, &vm, err) < 0)
		return -1;
	*ret = vm;
	return 0;
}

int domain_read_again(struct lease *lease, virDomainPtr dom, struct vm *vm, struct err *err)
{
	struct vm now = *vm;
	if (read_reason(lease, dom, &now, err) < 0)
		return -1;
	if (runs(now.state) != vm->active)
		return domain_read(lease, dom, vm, err);
	*vm = now;
	return 0;
}

int domain_version(struct lease *lease, virDomainPtr dom, const struct vm *vm,
	char ret[static HASH_SIZE], struct err *err)
{
	AUTO(free) char *xml = virDomainGetXMLDesc(dom, VIR_DOMAIN_XML_INACTIVE);
	return xml ? domain_version_of(vm, xml, ret, err) : virt_fail(lease, VIRT_READ, err);
}

/* A transient VM's definition is what runs, and this line of it is moved by the guest's balloon. */
static const char *balloon_line(const struct vm *vm, const char *xml, size_t *ret_len)
{
	const char *line = vm->persistent ? NULL : strstr(xml, "<currentMemory ");
	*ret_len = line ? strcspn(line, "\n") : 0;
	return line ? line : xml + strlen(xml);
}

int domain_version_of(
	const struct vm *vm, const char *xml, char ret[static HASH_SIZE], struct err *err)
{
	AUTO(free) char *text = NULL;
	size_t skipped = 0;
	const char *skip = balloon_line(vm, xml, &skipped);
	int len = asprintf(&text, "%s %s %d%d%d%d %d %lld %.*s%s", vm_state_name(vm->state),
		vm->reason, vm->persistent, vm->autostart, vm->managed_save, vm->snapshots,
		vm->vcpus, (long long)vm->memory_kib, (int)(skip - xml), xml, skip + skipped);
	if (len < 0)
		return err_memory(err);
	hash_text(text, (size_t)len, ret);
	return 0;
}

static int parse_own(
	struct lease *lease, char *text, enum virt_op op, struct xml **ret, struct err *err)
{
	AUTO(free) char *own = text;
	return own ? xml_parse_trusted(own, ret, err) : virt_fail(lease, op, err);
}

int domain_read_xml(
	struct lease *lease, virDomainPtr dom, unsigned flags, struct xml **ret, struct err *err)
{
	return parse_own(lease, virDomainGetXMLDesc(dom, flags), VIRT_READ, ret, err);
}

int domain_read_saved_xml(struct lease *lease, virDomainPtr dom, struct xml **ret, struct err *err)
{
	/* It may be broken, which keeps the VM from starting. */
	return parse_own(lease, virDomainManagedSaveGetXMLDesc(dom, 0), VIRT_START, ret, err);
}

/* With firmware that libvirt chooses, the definition does not name the file that goes with it. */
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

static int read_ref(struct lease *lease, void *data, struct err *err)
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

/* A read of its own: a connection that the daemon's restart has cut is noticed here. */
int domain_resolve(
	struct hypervisor *hypervisor, const char *ref, struct vm_ref *ret, struct err *err)
{
	struct resolve_args args = { .ref = ref };
	if (lease_read(hypervisor, read_ref, &args, err) < 0)
		return -1;
	*ret = args.resolved;
	return 0;
}

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
		"VM '%.64s' has changed since: its entity tag does not begin with one in If-Match",
		hold->vm.name);
	return err_hint(err, "get it again and repeat your change");
}

/* Cutting the power is right beside anything, and what a hanging QEMU needs. */
static int enter(struct hypervisor *hypervisor, const char *uuid, const struct target *target,
	struct gate *ret, struct err *err)
{
	if (!gate_enter(hypervisor, uuid, ret, err))
		return 0;
	if (!target->kill || err->kind != ERR_VM_BUSY)
		return -1;
	return gate_enter_for(hypervisor, "kill", uuid, ret, err);
}

static enum lease_class class_of(const struct target *target)
{
	return target->kill ? LEASE_KILL : LEASE_CALL;
}

static void let_connection_go(struct hold *hold)
{
	if (hold->dom)
		(void)virDomainFree(TAKE(hold->dom));
	lease_give(&hold->lease);
}

static int look_up(struct hypervisor *hypervisor, const char *ref, enum lease_class class,
	struct hold *ret, struct err *err)
{
	if (lease_take(hypervisor, class, &ret->lease, err) < 0)
		return -1;
	return domain_lookup(&ret->lease, ref, &ret->dom, err);
}

/* An entity tag is made of the reason, too. */
static int read_target(const struct target *target, struct hold *hold, struct err *err)
{
	bool brief = target->brief && !*target->if_match;
	return brief ? read_briefly(&hold->lease, hold->dom, &hold->vm, err)
		     : domain_read(&hold->lease, hold->dom, &hold->vm, err);
}

/* A connection that turns out to be lost is replaced, once. */
static bool is_worth_another(struct hold *hold, int attempt)
{
	if (!hold->lease.broken || attempt == 2)
		return false;
	let_connection_go(hold);
	return true;
}

/* Of a hold that has its gate the rest. Nothing is changed yet. */
static int reach(struct hypervisor *hypervisor, const char *ref, const struct target *target,
	struct hold *ret, struct err *err)
{
	for (int attempt = 1;; attempt++) {
		if ((ret->dom || !look_up(hypervisor, ref, class_of(target), ret, err)) &&
			!read_target(target, ret, err))
			return 0;
		if (!is_worth_another(ret, attempt))
			return -1;
	}
}

/* Whoever waits to learn what VM it is keeps nobody from calls. */
static int find(struct hypervisor *hypervisor, const char *ref, struct hold *ret, struct err *err)
{
	for (int attempt = 1;; attempt++) {
		if (!look_up(hypervisor, ref, LEASE_READ, ret, err))
			return 0;
		if (!is_worth_another(ret, attempt))
			return -1;
	}
}

int domain_reach(struct hypervisor *hypervisor, const char *uuid, struct hold *ret, struct err *err)
{
	const struct target target = { .ref = uuid, .if_match = "" };
	return reach(hypervisor, uuid, &target, ret, err);
}

/* The gate is the uuid's, so the VM is looked for in there. */
static int hold_by_uuid(struct hypervisor *hypervisor, const struct target *target,
	struct hold *ret, struct err *err)
{
	char uuid[UUID_SIZE] = "";
	for (size_t i = 0; i < sizeof uuid - 1; i++)
		uuid[i] = (char)tolower((unsigned char)target->ref[i]);
	if (enter(hypervisor, uuid, target, &ret->gate, err) < 0)
		return -1;
	return reach(hypervisor, target->ref, target, ret, err);
}

static int gone(const struct target *target, struct err *err)
{
	return err_set(
		err, ERR_VM_NOT_FOUND, "VM '%s' has just been removed or renamed", target->ref);
}

/* When nothing has to be waited for, the first look at it is the only one. */
static bool enter_at_once(struct hypervisor *hypervisor, const char *uuid,
	const struct target *target, struct hold *hold)
{
	struct err ignored;
	if (gate_enter_within(hypervisor, uuid, 0, &hold->gate, &ignored) < 0)
		return false;
	return !target->fresh && lease_change_class(&hold->lease, class_of(target));
}

static int hold_by_name(struct hypervisor *hypervisor, const struct target *target,
	struct hold *ret, struct err *err)
{
	char uuid[UUID_SIZE];
	if (find(hypervisor, target->ref, ret, err) < 0)
		return -1;
	(void)virDomainGetUUIDString(ret->dom, uuid);
	if (!enter_at_once(hypervisor, uuid, target, ret))
		let_connection_go(ret);
	if (!ret->gate.hypervisor && enter(hypervisor, uuid, target, &ret->gate, err) < 0)
		return -1;
	if (reach(hypervisor, uuid, target, ret, err) < 0)
		return err->kind == ERR_VM_NOT_FOUND ? gone(target, err) : -1;
	return strcmp(virDomainGetName(ret->dom), target->ref) != 0 ? gone(target, err) : 0;
}

int domain_hold(struct hypervisor *hypervisor, const struct target *target, struct hold *ret,
	struct err *err)
{
	bool by_name = !uuid_is(target->ref);
	if (!by_name && hold_by_uuid(hypervisor, target, ret, err) < 0)
		return -1;
	if (!by_name && strcasecmp(ret->vm.uuid, target->ref) != 0) {
		domain_let_go(ret); /* of another tool's, whose name looks like a uuid */
		by_name = true;
	}
	if (by_name && hold_by_name(hypervisor, target, ret, err) < 0)
		return -1;
	if (domain_check_version(ret, target->if_match, err) < 0)
		return -1;
	return target->check ? target->check(ret, target->data, err) : 0;
}

void domain_let_go(struct hold *hold)
{
	let_connection_go(hold);
	gate_leave(&hold->gate);
}
