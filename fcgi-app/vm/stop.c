/* SPDX-License-Identifier: MIT */
#include "vm/stop.h"

#include "base/clock.h"
#include "vm/power.h"

#include <stdio.h>

enum {
	POLL_MS = 200,
	/* Looking at many takes its time: a connection is kept busy no more than one part in so
	 * many.
	 */
	POLL_REST = 5,
};

static const unsigned no_run = (unsigned)-1;

/* Asking */

static int set_state(struct err *err, enum vm_state state)
{
	(void)snprintf(err->state, sizeof err->state, "%s", vm_state_name(state));
	return -1;
}

static int refuse_ways(enum err_kind kind, const char *why, struct err *err)
{
	(void)err_set(err, kind, "%s", why);
	return err_hint(err, "{\"mode\":\"kill\"} stops it at once");
}

/* Leaves of the ways the one that was asked for. */
static int narrow_ways(enum guest_way mode, unsigned *ways, struct err *err)
{
	if (mode == GUEST_NONE)
		return guest_check(GUEST_SHUT_DOWN, *ways, err);
	*ways &= 1U << mode;
	if (*ways)
		return 0;
	if (mode == GUEST_ACPI)
		return refuse_ways(ERR_CANNOT_SHUT_DOWN,
			"this VM has no ACPI by which its guest could be asked", err);
	return refuse_ways(ERR_AGENT_UNAVAILABLE, "no guest agent is connected to this VM", err);
}

/* A guest that does not run hears nothing now. */
static int refuse_state(enum vm_state state, struct err *err)
{
	if (state == VM_RUNNING || state == VM_SHUTDOWN || state == VM_UNKNOWN)
		return 0;
	(void)err_set(err, ERR_WRONG_STATE, "a VM that is %s does not hear that it shall shut down",
		vm_state_name(state));
	(void)set_state(err, state);
	return err_hint(err, "%s{\"mode\":\"kill\"} stops it at once",
		state == VM_PAUSED ? "resume it first; or " : "");
}

static void set_off(struct vm *vm)
{
	vm->state = VM_SHUTOFF;
	vm->reason = "unknown";
	vm->active = false;
}

/*
 * libvirt's refusal, which is in err: because the guest has gone already (0), because of what it is
 * now, or for its reason.
 */
static int explain_refusal(struct hold *hold, struct err *err)
{
	if (hold->lease.broken || err->kind == ERR_VM_NOT_FOUND || err->kind == ERR_VM_BUSY)
		return -1;
	enum vm_state state = domain_read_state_after(hold->dom, err);
	if (state == VM_SHUTOFF) {
		struct err ignored;
		(void)domain_read(&hold->lease, hold->dom, &hold->vm, &ignored);
		if (hold->vm.state != VM_SHUTOFF)
			set_off(&hold->vm);
		return 0;
	}
	if (err->kind == ERR_WRONG_STATE)
		(void)set_state(err, state);
	(void)refuse_state(state, err);
	return -1;
}

/* The guest is asked unless it is going already. */
static int ask_guest(struct hold *hold, unsigned ways, struct stop *stop, struct err *err)
{
	enum guest_way way = GUEST_NONE;
	stop->run = virDomainGetID(hold->dom);
	if (stop->run == no_run)
		return err_set(err, ERR_VM_BUSY, "somebody else is just starting this VM");
	if (hold->vm.state != VM_SHUTDOWN && guest_ask(hold, GUEST_SHUT_DOWN, ways, &way, err) < 0)
		return explain_refusal(hold, err);
	stop->changed = true;
	stop->means = way;
	stop->asked_at = clock_ms();
	stop->waiting = true;
	return 0;
}

static int ask(struct hold *hold, const struct stop_how *how, struct long_work *work,
	struct stop *stop, struct err *err)
{
	unsigned ways = 0;
	if (guest_read_ways(&hold->lease, hold->dom, &ways, err) < 0 ||
		narrow_ways(how->mode, &ways, err) < 0 || refuse_state(hold->vm.state, err) < 0)
		return -1;
	if (work && long_enter(hold->lease.hypervisor, LONG_WAIT, work, err) < 0)
		return -1;
	return ask_guest(hold, ways, stop, err);
}

static int kill_now(struct hold *hold, struct stop *stop, struct err *err)
{
	bool changed = false;
	if (power_kill(hold, &changed, err) < 0)
		return -1;
	if (changed)
		stop->means = GUEST_KILL;
	stop->changed = stop->changed || changed;
	return 0;
}

/* Can the guest not be asked, whatever else may be the matter? */
static bool is_deaf(const struct err *err)
{
	return err->kind == ERR_CANNOT_SHUT_DOWN || err->kind == ERR_AGENT_UNAVAILABLE ||
		err->kind == ERR_WRONG_STATE;
}

static int ask_or_kill(struct hold *hold, const struct stop_how *how, struct long_work *work,
	struct stop *stop, struct err *err)
{
	if (how->mode == GUEST_KILL || hold->vm.state == VM_SHUTOFF)
		return kill_now(hold, stop, err);
	if (!ask(hold, how, work, stop, err))
		return 0;
	return how->kill && is_deaf(err) ? kill_now(hold, stop, err) : -1;
}

int stop_ask(struct host *host, const struct target *target, const struct stop_how *how,
	struct long_work *work, struct stop *ret, struct err *err)
{
	AUTO_HOLD struct hold hold = { 0 };
	struct stop stop = { 0 };
	struct target now = *target;
	now.kill = how->mode == GUEST_KILL;
	now.fresh = true;
	if (domain_hold(host->hypervisor, &now, &hold, err) < 0 ||
		ask_or_kill(&hold, how, work, &stop, err) < 0)
		return -1;
	inventory_touch(host->inventory, hold.vm.uuid);
	stop.vm = hold.vm;
	*ret = stop;
	return 0;
}

/* Waiting */

/* It is off: of a transient VM nothing is left to be read. */
static void set_gone(struct stop *stop)
{
	stop->waiting = false;
	set_off(&stop->vm);
}

static int look_at(struct lease *lease, struct stop *stop, struct err *err)
{
	AUTO(virDomainFree) virDomainPtr dom =
		virDomainLookupByUUIDString(lease->conn, stop->vm.uuid);
	if (!dom)
		(void)virt_fail(lease, VIRT_READ, err);
	else if (virDomainGetID(dom) == stop->run) {
		stop->vm.state = domain_read_state(dom);
		return 0;
	} else if (!domain_read(lease, dom, &stop->vm, err)) {
		stop->waiting = false;
		return 0;
	}
	if (err->kind != ERR_VM_NOT_FOUND)
		return -1;
	set_gone(stop);
	return 0;
}

struct look_args {
	struct stop *const *stops;
	size_t count;
};

/* What has been seen stays seen when the connection is lost half-way. */
static int look_at_all(struct lease *lease, void *data, struct err *err)
{
	const struct look_args *args = data;
	for (size_t i = 0; i < args->count; i++)
		if (args->stops[i]->waiting && look_at(lease, args->stops[i], err) < 0 &&
			lease->broken)
			return -1;
	return 0;
}

static bool is_late(const struct stop *stop, const struct stop_how *how)
{
	return clock_ms() - stop->asked_at >= (int64_t)how->timeout * 1000;
}

static bool is_worth_waiting(struct stop *const stops[], size_t count, const struct stop_how *how)
{
	for (size_t i = 0; i < count; i++)
		if (stops[i]->waiting && !is_late(stops[i], how))
			return !atomic_load(how->hurry) &&
				(!how->deadline || clock_ms() < how->deadline);
	return false;
}

static void pause_ms(int64_t ms)
{
	const struct timespec time = { ms / 1000, ms % 1000 * 1000000 };
	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

void stop_wait(
	struct host *host, struct stop *const stops[], size_t count, const struct stop_how *how)
{
	struct look_args args = { stops, count };
	for (;;) {
		int64_t began = clock_ms();
		struct err ignored; /* the host may come back before the time is over */
		(void)lease_read(host->hypervisor, look_at_all, &args, &ignored);
		if (!is_worth_waiting(stops, count, how))
			return;
		int64_t rest = (clock_ms() - began) * POLL_REST;
		pause_ms(rest > POLL_MS ? rest : POLL_MS);
	}
}

/* Finishing */

static int give_up(const struct stop *stop, const struct stop_how *how, struct err *err)
{
	static const char *const done[] = {
		[GUEST_NONE] = "is shutting down",
		[GUEST_ACPI] = "was asked by ACPI to shut down",
		[GUEST_AGENT] = "was asked by its agent to shut down",
		[GUEST_KILL] = "was killed",
	};
	if (!is_late(stop, how) && atomic_load(how->hurry))
		return err_set(err, ERR_DRAINING,
			"the guest %s, but virtgate is stopping and does not wait for it",
			done[stop->means]);
	(void)err_set(err, ERR_STILL_RUNNING,
		"the guest %s and has not stopped within %lld s; it still may", done[stop->means],
		(long long)(clock_ms() - stop->asked_at) / 1000);
	(void)set_state(err, stop->vm.state);
	return err_hint(err, "{\"mode\":\"kill\"} stops it at once");
}

/* Only the run that was asked: whoever has started it again meanwhile wants it to run. */
static int kill_run(struct hold *hold, struct stop *stop, struct err *err)
{
	if (virDomainGetID(hold->dom) == stop->run && kill_now(hold, stop, err) < 0)
		return -1;
	stop->vm = hold->vm;
	stop->waiting = false;
	return 0;
}

int stop_finish(struct host *host, const struct stop_how *how, struct stop *stop, struct err *err)
{
	const struct target target = { .ref = stop->vm.uuid, .if_match = "", .kill = true };
	AUTO_HOLD struct hold hold = { 0 };
	if (!how->kill || !is_late(stop, how))
		return give_up(stop, how, err);
	if (!domain_hold(host->hypervisor, &target, &hold, err))
		return kill_run(&hold, stop, err);
	if (err->kind != ERR_VM_NOT_FOUND)
		return -1;
	set_gone(stop);
	return 0;
}

int stop_run(struct host *host, const struct target *target, const struct stop_how *how,
	struct stop *ret, struct err *err)
{
	AUTO_LONG struct long_work work = { 0 };
	struct stop stop;
	if (stop_ask(host, target, how, &work, &stop, err) < 0)
		return -1;
	if (stop.waiting)
		stop_wait(host, (struct stop *const[]){ &stop }, 1, how);
	if (stop.waiting && stop_finish(host, how, &stop, err) < 0)
		return -1;
	inventory_touch(host->inventory, stop.vm.uuid);
	*ret = stop;
	return 0;
}
