/* SPDX-License-Identifier: MIT */
#include "vm/power.h"

#include "storage/bootable.h"
#include "storage/guard.h"
#include "vm/guest.h"

#include <stdio.h>
#include <string.h>

static int call_reset(virDomainPtr dom)
{
	return virDomainReset(dom, 0);
}

static int call_save(virDomainPtr dom)
{
	return virDomainManagedSave(dom, 0);
}

#define IN(state) (1U << (state))

static const struct action {
	const char *name;
	int (*call)(virDomainPtr); /* NULL: a request to the guest */
	enum virt_op op;
	unsigned from;        /* states it can be done in */
	unsigned done;        /* states in which nothing is left to do */
	enum vm_state target; /* VM_UNKNOWN: where it was */
	bool slight;          /* changes nothing but the state */
} actions[] = {
	[POWER_START] = { "started", virDomainCreate, VIRT_START, IN(VM_SHUTOFF) | IN(VM_CRASHED),
		IN(VM_RUNNING), VM_RUNNING },
	[POWER_KILL] = { "stopped", virDomainDestroy, VIRT_ACT,
		IN(VM_RUNNING) | IN(VM_PAUSED) | IN(VM_SHUTDOWN) | IN(VM_CRASHED) |
			IN(VM_PMSUSPENDED) | IN(VM_UNKNOWN),
		IN(VM_SHUTOFF), VM_SHUTOFF },
	[POWER_SUSPEND] = { "suspended", virDomainSuspend, VIRT_ACT, IN(VM_RUNNING), IN(VM_PAUSED),
		VM_PAUSED, true },
	[POWER_RESUME] = { "resumed", virDomainResume, VIRT_ACT, IN(VM_PAUSED), IN(VM_RUNNING),
		VM_RUNNING, true },
	[POWER_REBOOT] = { "rebooted", NULL, VIRT_ACT, IN(VM_RUNNING), 0, VM_UNKNOWN, true },
	[POWER_RESET] = { "reset", call_reset, VIRT_ACT, IN(VM_RUNNING) | IN(VM_PAUSED), 0,
		VM_UNKNOWN, true },
	[POWER_SAVE] = { "saved", call_save, VIRT_SAVE, IN(VM_RUNNING) | IN(VM_PAUSED), 0,
		VM_SHUTOFF },
};
_Static_assert(ARRAY_LEN(actions) == POWER_ACTION_COUNT, "a row per action");

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

static int explain_busy(struct hold *hold, struct err *err)
{
	struct err ignored;
	if (domain_read_again(&hold->lease, hold->dom, &hold->vm, &ignored) < 0 ||
		strcmp(hold->vm.reason, "starting-up") != 0)
		return -1;
	return err_hint(err,
		"it is being started; if it stays so, libvirtd was killed just then, and "
		"docs/reliability.md says what helps");
}

/*
 * libvirt's refusal, which is in err: because somebody else was quicker (0), because of the state,
 * or for its reason.
 */
static int explain_refusal(struct hold *hold, const struct action *action, struct err *err)
{
	if (err->kind == ERR_VM_BUSY)
		return explain_busy(hold, err);
	if (hold->lease.broken || err->kind == ERR_VM_NOT_FOUND)
		return -1;
	enum vm_state state = domain_read_state_after(hold->dom, err);
	if (IN(state) & action->done)
		return 0;
	if (!(IN(state) & action->from) && state != VM_UNKNOWN)
		return wrong_state(action, state, err);
	if (err->kind == ERR_WRONG_STATE)
		(void)snprintf(err->state, sizeof err->state, "%s", vm_state_name(state));
	return -1;
}

static int read_again(struct hold *hold, const struct action *action, struct err *err)
{
	return action->slight ? domain_read_again(&hold->lease, hold->dom, &hold->vm, err)
			      : domain_read(&hold->lease, hold->dom, &hold->vm, err);
}

/* What the VM is after a call that succeeded: it may be gone, or the host may be. */
static void read_after(struct hold *hold, const struct action *action)
{
	struct err ignored;
	struct vm *vm = &hold->vm;
	if (!read_again(hold, action, &ignored) || action->target == VM_UNKNOWN)
		return;
	vm->state = action->target;
	vm->active = action->target != VM_SHUTOFF;
	vm->reason = "unknown";
	vm->managed_save = action->op == VIRT_SAVE;
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
	if (rc < 0 ||
		guard_enter(guard, hold->lease.hypervisor, xml_root(doc), config, true, err) < 0)
		return -1;
	return virt_is_test(&hold->lease) ? 0 : bootable_check(xml_root(doc), config, err);
}

static int ask_reboot(struct hold *hold, struct err *err)
{
	unsigned ways = 0;
	enum guest_way way;
	if (guest_read_ways(&hold->lease, hold->dom, &ways, err) < 0 ||
		guest_check_ways(GUEST_REBOOT, ways, err) < 0)
		return -1;
	return guest_ask(hold, GUEST_REBOOT, ways, &way, err);
}

/* libvirt's refusal of a guest that has a share mounted says it in words of migration. */
static int explain_save(struct hold *hold, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	struct err ignored;
	if (err->kind != ERR_UNSUPPORTED || err->libvirt_code != VIR_ERR_OPERATION_INVALID ||
		domain_read_xml(&hold->lease, hold->dom, 0, &doc, &ignored) < 0 ||
		!xml_find(xml_root(doc), "devices/filesystem"))
		return -1;
	(void)snprintf(err->text, sizeof err->text,
		"the guest has a 9p share mounted, and QEMU cannot save its state");
	return err_hint(err, "unmount it in the guest, or stop the VM instead");
}

/* The save is not lost: libvirt removes it when it was restored, not before. */
static int explain_start(const struct hold *hold, struct err *err)
{
	bool later = err->kind == ERR_HOST_BUSY || err->kind == ERR_VM_BUSY;
	if (!hold->vm.managed_save || err->hint[0] || hold->lease.broken || later)
		return -1;
	return err_hint(err,
		"it was to go on from its managed save, which is kept; it starts afresh after "
		"DELETE /v1/vms/{ref}/save");
}

static int call(struct hold *hold, const struct action *action, struct err *err)
{
	if (!action->call)
		return ask_reboot(hold, err);
	return action->call(hold->dom) < 0 ? virt_fail(&hold->lease, action->op, err) : 0;
}

/* Does it, from a state that allows it; *ret_changed is false when somebody else was quicker. */
static int perform(
	struct hold *hold, const struct action *action, bool *ret_changed, struct err *err)
{
	*ret_changed = true;
	if (call(hold, action, err) < 0) {
		if (explain_refusal(hold, action, err) < 0)
			return -1;
		*ret_changed = false;
	}
	read_after(hold, action);
	return 0;
}

int power_kill(struct hold *hold, bool *ret_changed, struct err *err)
{
	const struct action *action = &actions[POWER_KILL];
	*ret_changed = false;
	if (IN(hold->vm.state) & action->done)
		return 0;
	return perform(hold, action, ret_changed, err);
}

static int refuse_save(struct hold *hold, struct long_work *work, struct err *err)
{
	const struct vm *vm = &hold->vm;
	if (!vm->persistent) {
		(void)err_set(err, ERR_WRONG_STATE,
			"a transient VM cannot be saved: it is gone when it stops");
		(void)snprintf(err->state, sizeof err->state, "%s", vm_state_name(vm->state));
		return -1;
	}
	return long_enter(hold->lease.hypervisor, LONG_CALL, work, err);
}

/* What an action wants first, apart from the state. */
static int prepare(struct hold *hold, enum power_action which, const struct config *config,
	struct guard *guard, struct long_work *work, struct err *err)
{
	if (which == POWER_START)
		return guard_start(hold, config, guard, err);
	return which == POWER_SAVE ? refuse_save(hold, work, err) : 0;
}

/* libvirt starts a VM afresh whose managed save it never finished. */
static bool is_restored(const struct hold *hold, bool was_saved)
{
	if (!was_saved || virt_is_test(&hold->lease))
		return was_saved;
	return hold->vm.state == VM_PAUSED || !strcmp(hold->vm.reason, "restored");
}

static int explain(struct hold *hold, enum power_action which, struct err *err)
{
	if (which == POWER_SAVE)
		return explain_save(hold, err);
	return which == POWER_START ? explain_start(hold, err) : -1;
}

/* A VM that is off has been saved if there is a save. */
static bool is_done(const struct vm *vm, enum power_action which)
{
	if (which == POWER_SAVE)
		return vm->state == VM_SHUTOFF && vm->managed_save;
	return IN(vm->state) & actions[which].done;
}

/* What will be read again after the call need not be read whole before it. */
static int hold_for(struct hypervisor *hypervisor, const struct target *target,
	enum power_action which, struct hold *ret, struct err *err)
{
	struct target now = *target;
	now.brief = actions[which].slight;
	if (domain_hold(hypervisor, &now, ret, err) < 0)
		return -1;
	if (!now.brief || !is_done(&ret->vm, which))
		return 0;
	return domain_read_again(&ret->lease, ret->dom, &ret->vm, err);
}

int power_act(const struct config *config, struct host *host, const struct target *target,
	enum power_action which, struct power_done *ret, struct err *err)
{
	const struct action *action = &actions[which];
	AUTO_HOLD struct hold hold = { 0 };
	AUTO_GUARD struct guard guard = { 0 };
	AUTO_LONG struct long_work work = { 0 };
	struct power_done done = { 0 };
	if (hold_for(host->hypervisor, target, which, &hold, err) < 0)
		return -1;
	const struct vm *vm = &hold.vm;
	bool was_saved = vm->managed_save;
	if (!is_done(vm, which)) {
		if (!(IN(vm->state) & action->from))
			return wrong_state(action, vm->state, err);
		if (prepare(&hold, which, config, &guard, &work, err) < 0 ||
			perform(&hold, action, &done.changed, err) < 0)
			return explain(&hold, which, err);
	}
	inventory_touch(host->inventory, vm->uuid);
	done.vm = *vm;
	done.restored = which == POWER_START && done.changed && is_restored(&hold, was_saved);
	*ret = done;
	return 0;
}

int power_drop_save(
	struct host *host, const struct target *target, struct power_done *ret, struct err *err)
{
	AUTO_HOLD struct hold hold = { 0 };
	struct power_done done = { 0 };
	if (domain_hold(host->hypervisor, target, &hold, err) < 0)
		return -1;
	if (hold.vm.managed_save) {
		done.changed = !virDomainManagedSaveRemove(hold.dom, 0);
		if (!done.changed && virt_fail(&hold.lease, VIRT_ACT, err) < 0 &&
			(hold.lease.broken || virDomainHasManagedSaveImage(hold.dom, 0)))
			return -1;
		hold.vm.managed_save = false;
	}
	inventory_touch(host->inventory, hold.vm.uuid);
	done.vm = hold.vm;
	*ret = done;
	return 0;
}
