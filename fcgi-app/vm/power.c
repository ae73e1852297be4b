/* SPDX-License-Identifier: MIT */
#include "vm/power.h"

#include "storage/bootable.h"
#include "storage/formats.h"
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
	const char *participle;    /* a VM cannot be … */
	int (*call)(virDomainPtr); /* NULL: a request to the guest */
	enum virt_op op;
	unsigned from;        /* states that it can be done in */
	unsigned done;        /* states in which there is nothing left to do */
	enum vm_state target; /* VM_UNKNOWN: the action does not change the state */
	bool slight;          /* it changes nothing but the state */
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

static int set_impossible(const struct action *action, enum vm_state state, struct err *err)
{
	const char *name = vm_state_name(state);
	(void)err_set(
		err, ERR_WRONG_STATE, "a VM that is %s cannot be %s", name, action->participle);
	(void)err_state(err, name);
	if (action->target == VM_RUNNING && state == VM_PAUSED)
		(void)err_hint(err, "resume it instead");
	if (action->from & IN(VM_RUNNING) && state == VM_SHUTOFF)
		(void)err_hint(err, "start it first");
	return -1;
}

/* Starting */

/*
 * The files are checked again: since the definition was checked, the guest that writes into them or
 * anybody on the host may have changed them.
 */
static int guard_start(
	struct hold *hold, const struct config *config, struct guard *guard, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	/* A managed save is restored by the definition inside it. */
	int rc = hold->vm.managed_save && !virt_is_test(&hold->lease)
		? domain_read_saved_xml(&hold->lease, hold->dom, &doc, err)
		: domain_read_xml(&hold->lease, hold->dom, VIR_DOMAIN_XML_INACTIVE, &doc, err);
	if (rc < 0 || guard_lock(guard, &hold->lease, xml_root(doc), err) < 0 ||
		formats_check(&hold->lease, xml_root(doc), config, FORMATS_START, err) < 0 ||
		guard_check(xml_root(doc), config, GUARD_OFF, err) < 0)
		return -1;
	return virt_is_test(&hold->lease)
		? 0
		: bootable_check(hold->lease.hypervisor, xml_root(doc), config, err);
}

/* libvirt removes a managed save after it was restored, not before, so a failure keeps it. */
static int explain_start(const struct hold *hold, struct err *err)
{
	bool later = err->kind == ERR_HOST_BUSY || err->kind == ERR_VM_BUSY;
	if (!hold->vm.managed_save || err->hint[0] || hold->lease.broken || later)
		return -1;
	return err_hint(err,
		"the start would have restored the VM's managed save, which is kept; to start "
		"afresh, remove it first by DELETE /v1/vms/{ref}/save");
}

/* libvirt starts a VM afresh if its managed save was never finished. */
static bool is_restored(const struct hold *hold, bool was_saved)
{
	if (!was_saved || virt_is_test(&hold->lease))
		return was_saved;
	return hold->vm.state == VM_PAUSED || !strcmp(hold->vm.reason, "restored");
}

/* Saving */

static int check_save(const struct vm *vm, struct err *err)
{
	if (vm->persistent)
		return 0;
	(void)err_set(
		err, ERR_WRONG_STATE, "a transient VM cannot be saved: it is gone when it stops");
	return err_state(err, vm_state_name(vm->state));
}

/* When the guest has a share mounted, libvirt refuses in terms of migration. */
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
	return err_hint(err, "unmount the share in the guest, or stop the VM instead");
}

/* Any action */

static int reboot_guest(struct hold *hold, struct err *err)
{
	unsigned ways = 0;
	enum guest_way way;
	if (guest_read_ways(&hold->lease, hold->dom, &ways, err) < 0 ||
		guest_check_ways(GUEST_REBOOT, ways, err) < 0)
		return -1;
	return guest_ask(hold, GUEST_REBOOT, ways, &way, err);
}

/*
 * After libvirt refused for the reason in err: 0 when the VM is in the state aimed at, because
 * somebody else was quicker; else -1, with the VM's state as the reason if that explains it.
 */
static int explain_failed_action(struct hold *hold, const struct action *action, struct err *err)
{
	struct err ignored;
	if (hold->lease.broken || err->kind == ERR_VM_NOT_FOUND)
		return -1;
	if (err->kind == ERR_VM_BUSY) {
		if (domain_read_again(&hold->lease, hold->dom, &hold->vm, &ignored) < 0 ||
			strcmp(hold->vm.reason, "starting-up") != 0)
			return -1;
		return err_hint(err,
			"the VM is being started; if it stays so, libvirtd was killed during the "
			"start: see docs/reliability.md");
	}
	enum vm_state state = domain_read_state_after(hold->dom, err);
	if (IN(state) & action->done)
		return 0;
	if (!(IN(state) & action->from) && state != VM_UNKNOWN)
		return set_impossible(action, state, err);
	if (err->kind == ERR_WRONG_STATE)
		(void)err_state(err, vm_state_name(state));
	return -1;
}

/*
 * Does it to a VM in a state that allows it, and reads the VM again; *ret_changed is false when
 * somebody else was quicker.
 */
static int call_action(
	struct hold *hold, const struct action *action, bool *ret_changed, struct err *err)
{
	struct err ignored;
	struct vm *vm = &hold->vm;
	int rc = !action->call                ? reboot_guest(hold, err)
		: action->call(hold->dom) < 0 ? virt_fail(&hold->lease, action->op, err)
					      : 0;
	if (rc < 0 && explain_failed_action(hold, action, err) < 0)
		return -1;
	*ret_changed = !rc;
	rc = action->slight ? domain_read_again(&hold->lease, hold->dom, vm, &ignored)
			    : domain_read(&hold->lease, hold->dom, vm, &ignored);
	if (rc < 0 && action->target != VM_UNKNOWN) {
		/* The VM may be gone, or the connection, but the call has succeeded. */
		vm->state = action->target;
		vm->active = action->target != VM_SHUTOFF;
		vm->reason = "unknown";
		vm->managed_save = action->op == VIRT_SAVE;
	}
	return 0;
}

int power_kill(struct hold *hold, bool *ret_changed, struct err *err)
{
	const struct action *action = &actions[POWER_KILL];
	*ret_changed = false;
	if (IN(hold->vm.state) & action->done)
		return 0;
	return call_action(hold, action, ret_changed, err);
}

static int perform(struct hold *hold, enum power_action which, const char *user,
	const struct config *config, bool *ret_changed, struct err *err)
{
	AUTO_GUARD struct guard guard = { 0 };
	AUTO_LONG_WORK struct long_work work = { 0 };
	const struct action *action = &actions[which];
	if (!(IN(hold->vm.state) & action->from))
		return set_impossible(action, hold->vm.state, err);
	if (which == POWER_SAVE &&
		(check_save(&hold->vm, err) < 0 ||
			long_work_begin(hold->lease.hypervisor, LONG_WORK_CALL, user, &work, err) <
				0))
		return -1;
	if ((which != POWER_START || !guard_start(hold, config, &guard, err)) &&
		!call_action(hold, action, ret_changed, err))
		return 0;
	if (which == POWER_SAVE)
		return explain_save(hold, err);
	return which == POWER_START ? explain_start(hold, err) : -1;
}

int power_act(const struct config *config, struct host *host, const struct target *target,
	enum power_action which, struct power_done *ret, struct err *err)
{
	const struct action *action = &actions[which];
	AUTO_HOLD struct hold hold = { 0 };
	struct target now = *target;
	bool changed = false;
	now.brief = action->slight; /* the reason of the state is read after the call */
	if (domain_hold(host->hypervisor, &now, &hold, err) < 0)
		return -1;
	const struct vm *vm = &hold.vm;
	bool was_saved = vm->managed_save;
	bool done = which == POWER_SAVE ? vm->state == VM_SHUTOFF && was_saved
					: IN(vm->state) & action->done;
	if (!done && perform(&hold, which, target->user, config, &changed, err) < 0)
		return -1;
	if (done && now.brief && domain_read_again(&hold.lease, hold.dom, &hold.vm, err) < 0)
		return -1;
	inventory_touch(host->inventory, vm->uuid);
	*ret = (struct power_done){
		.vm = *vm,
		.changed = changed,
		.restored = which == POWER_START && changed && is_restored(&hold, was_saved),
	};
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
