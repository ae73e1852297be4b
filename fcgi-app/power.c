/* SPDX-License-Identifier: MIT */
#include "power.h"

#include "bootable.h"
#include "guard.h"

#include <stdio.h>

static int call_reboot(virDomainPtr dom)
{
	return virDomainReboot(dom, 0);
}

static int call_reset(virDomainPtr dom)
{
	return virDomainReset(dom, 0);
}

#define IN(state) (1U << (state))

static const struct action {
	const char *name;
	int (*call)(virDomainPtr);
	enum virt_op op;
	unsigned from;        /* states it can be done in */
	unsigned done;        /* states in which nothing is left to do */
	enum vm_state target; /* VM_UNKNOWN: where it was */
} actions[] = {
	[VM_START] = { "started", virDomainCreate, VIRT_START, IN(VM_SHUTOFF) | IN(VM_CRASHED),
		IN(VM_RUNNING), VM_RUNNING },
	[VM_STOP] = { "stopped", virDomainDestroy, VIRT_ACT,
		IN(VM_RUNNING) | IN(VM_PAUSED) | IN(VM_SHUTDOWN) | IN(VM_CRASHED) |
			IN(VM_PMSUSPENDED) | IN(VM_UNKNOWN),
		IN(VM_SHUTOFF), VM_SHUTOFF },
	[VM_SUSPEND] = { "suspended", virDomainSuspend, VIRT_ACT, IN(VM_RUNNING), IN(VM_PAUSED),
		VM_PAUSED },
	[VM_RESUME] = { "resumed", virDomainResume, VIRT_ACT, IN(VM_PAUSED), IN(VM_RUNNING),
		VM_RUNNING },
	[VM_REBOOT] = { "rebooted", call_reboot, VIRT_ACT, IN(VM_RUNNING), 0, VM_UNKNOWN },
	[VM_RESET] = { "reset", call_reset, VIRT_ACT, IN(VM_RUNNING) | IN(VM_PAUSED), 0,
		VM_UNKNOWN },
};
_Static_assert(ARRAY_LEN(actions) == VM_ACTION_COUNT, "a row per action");

static int wrong_state(const struct action *action, enum vm_state state, struct err *err)
{
	const char *is = vm_state_name(state);
	(void)err_set(err, ERR_WRONG_STATE, "a VM that is %s cannot be %s", is, action->name);
	(void)snprintf(err->state, sizeof err->state, "%s", is);
	if (action->target == VM_RUNNING && state == VM_PAUSED)
		(void)err_hint(err, "resume it instead");
	if (action->from & IN(VM_RUNNING) && state == VM_SHUTOFF)
		(void)err_hint(err, "start it first");
	return -1;
}

/* libvirt refused: because somebody else was quicker (0), because of the state, or for its reason.
 */
static int explain_refusal(struct hold *hold, const struct action *action, struct err *err)
{
	(void)virt_fail(&hold->lease, action->op, err);
	if (hold->lease.broken || err->kind == ERR_VM_NOT_FOUND || err->kind == ERR_VM_BUSY)
		return -1;
	enum vm_state state = domain_read_state(hold->dom);
	if (IN(state) & action->done)
		return 0;
	if (!(IN(state) & action->from) && state != VM_UNKNOWN)
		return wrong_state(action, state, err);
	if (err->kind == ERR_WRONG_STATE)
		(void)snprintf(err->state, sizeof err->state, "%s", vm_state_name(state));
	return -1;
}

/* What the VM is after a call that succeeded: it may be gone, or the host may be. */
static void read_after(struct hold *hold, const struct action *action)
{
	struct err ignored;
	struct vm *vm = &hold->vm;
	if (!domain_read(&hold->lease, hold->dom, vm, &ignored) || action->target == VM_UNKNOWN)
		return;
	vm->state = action->target;
	vm->active = action->target != VM_SHUTOFF;
	vm->reason = "unknown";
}

/*
 * Between the check of a definition and a start anything may have happened to its files, by the
 * guest that writes into them or by whoever can on the host.
 */
static int guard_start(
	struct hold *hold, const struct config *config, struct guard *guard, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	/* A managed save is restored with the definition of its own. */
	int rc = hold->vm.managed_save && !virt_is_test(&hold->lease)
		? domain_read_saved_xml(&hold->lease, hold->dom, &doc, err)
		: domain_read_xml(&hold->lease, hold->dom, VIR_DOMAIN_XML_INACTIVE, &doc, err);
	if (rc < 0 || guard_enter(guard, hold->lease.host, xml_root(doc), config, true, err) < 0)
		return -1;
	return virt_is_test(&hold->lease) ? 0 : bootable_check(xml_root(doc), config, err);
}

int power_act(const struct config *config, struct inventory *inventory, const struct target *target,
	enum vm_action which, struct vm *ret, bool *ret_changed, struct err *err)
{
	const struct action *action = &actions[which];
	AUTO_HOLD struct hold hold = { 0 };
	AUTO_GUARD struct guard guard = { 0 };
	if (domain_hold(inventory_host(inventory), target, &hold, err) < 0)
		return -1;
	struct vm *vm = &hold.vm;
	bool done = IN(vm->state) & action->done;
	bool changed = !done;
	if (!done && !(IN(vm->state) & action->from))
		return wrong_state(action, vm->state, err);
	if (!done && which == VM_START && guard_start(&hold, config, &guard, err) < 0)
		return -1;
	if (!done && action->call(hold.dom) < 0) {
		if (explain_refusal(&hold, action, err) < 0)
			return -1;
		changed = false;
	}
	if (!done)
		read_after(&hold, action);
	inventory_touch(inventory, vm->uuid);
	*ret = *vm;
	*ret_changed = changed;
	return 0;
}
