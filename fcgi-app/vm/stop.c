/* SPDX-License-Identifier: MIT */
#include "vm/stop.h"

#include "base/clock.h"
#include "vm/power.h"

enum {
	/* Period of reading all VMs while events arrive: an undefined VM's last one may be lost. */
	READ_WATCHED_MS = 5000,
	/* The same while there is no connection for events. */
	READ_UNWATCHED_MS = 500,
	/* Reading many VMs takes time: at most one part in READ_SHARE of the wait. */
	READ_SHARE = 6,
};

#define HINT_KILL "{\"mode\":\"kill\"} stops the VM at once"

static const unsigned no_run = (unsigned)-1;

/* Asking */

/* Leaves of the ways to reach the guest the one that `mode` names. */
static int select_way(enum guest_way mode, unsigned *ways, struct err *err)
{
	if (mode == GUEST_NONE)
		return guest_check_ways(GUEST_SHUT_DOWN, *ways, err);
	*ways &= 1U << mode;
	if (*ways)
		return 0;
	if (mode == GUEST_ACPI)
		(void)err_set(err, ERR_CANNOT_SHUT_DOWN,
			"the VM has no ACPI, so its guest cannot receive an ACPI shutdown request");
	else
		(void)err_set(err, ERR_AGENT_UNAVAILABLE, "no guest agent is connected to the VM");
	return err_hint(err, HINT_KILL);
}

static int check_guest_reacts(enum vm_state state, struct err *err)
{
	if (state == VM_RUNNING || state == VM_SHUTDOWN || state == VM_UNKNOWN)
		return 0;
	(void)err_set(err, ERR_WRONG_STATE, "a %s VM cannot react to a shutdown request",
		vm_state_name(state));
	(void)err_state(err, vm_state_name(state));
	return err_hint(err, "%s" HINT_KILL, state == VM_PAUSED ? "resume the VM first, or: " : "");
}

static void set_off(struct vm *vm)
{
	vm->state = VM_SHUTOFF;
	vm->reason = "unknown";
	vm->active = false;
}

/*
 * After libvirt refused the request for the reason in err: 0 when the guest has stopped meanwhile,
 * else -1 with the VM's present state as the reason if that explains it.
 */
static int explain_unasked(struct hold *hold, struct err *err)
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
		(void)err_state(err, vm_state_name(state));
	(void)check_guest_reacts(state, err);
	return -1;
}

/* Sends the request, unless the guest is shutting down already. */
static int send_request(struct hold *hold, unsigned ways, struct stop *stop, struct err *err)
{
	stop->run = virDomainGetID(hold->dom);
	if (stop->run == no_run)
		return err_set(err, ERR_VM_BUSY, "another client is starting this VM");
	if (hold->vm.state != VM_SHUTDOWN &&
		guest_ask(hold, GUEST_SHUT_DOWN, ways, &stop->way, err) < 0) {
		stop->way = GUEST_NONE;
		return explain_unasked(hold, err);
	}
	stop->changed = true;
	stop->asked_at = clock_ms();
	stop->waiting = true;
	return 0;
}

static int ask_guest(struct hold *hold, const struct target *target, const struct stop_how *how,
	struct long_work *work, struct stop *stop, struct err *err)
{
	unsigned ways = 0;
	if (guest_read_ways(&hold->lease, hold->dom, &ways, err) < 0 ||
		select_way(how->mode, &ways, err) < 0 ||
		check_guest_reacts(hold->vm.state, err) < 0)
		return -1;
	if (work &&
		long_work_begin(hold->lease.hypervisor, work->kind, target->user, work, err) < 0)
		return -1;
	return send_request(hold, ways, stop, err);
}

static int kill_held(struct hold *hold, struct stop *stop, struct err *err)
{
	bool changed = false;
	if (power_kill(hold, &changed, err) < 0)
		return -1;
	if (changed)
		stop->way = GUEST_KILL;
	stop->changed = stop->changed || changed;
	return 0;
}

static int ask_or_kill(struct hold *hold, const struct target *target, const struct stop_how *how,
	struct long_work *work, struct stop *stop, struct err *err)
{
	if (how->mode == GUEST_KILL || hold->vm.state == VM_SHUTOFF)
		return kill_held(hold, stop, err);
	if (!ask_guest(hold, target, how, work, stop, err))
		return 0;
	bool unreachable = err->kind == ERR_CANNOT_SHUT_DOWN ||
		err->kind == ERR_AGENT_UNAVAILABLE || err->kind == ERR_WRONG_STATE;
	return how->kill && unreachable ? kill_held(hold, stop, err) : -1;
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
		ask_or_kill(&hold, target, how, work, &stop, err) < 0)
		return -1;
	inventory_touch(host->inventory, hold.vm.uuid);
	stop.vm = hold.vm;
	*ret = stop;
	return 0;
}

/* Waiting */

/* The VM is off. Nothing is left to be read of a transient one. */
static void set_gone(struct stop *stop)
{
	stop->waiting = false;
	set_off(&stop->vm);
}

static int read_stop(struct lease *lease, struct stop *stop, struct err *err)
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

struct stop_wait {
	struct events *events; /* NULL: the host is not watched */
	struct stop *const *stops;
	size_t count;
	const struct stop_how *how;
	uint64_t seen; /* the events that the last read covers */
	bool all;      /* read all VMs that are waited for, not only those with a newer event */
};

static bool is_due(const struct stop_wait *wait, const struct stop *stop)
{
	return stop->waiting &&
		(wait->all || events_changed(wait->events, stop->vm.uuid, wait->seen));
}

/* What was read stays so when the connection is lost half-way. */
static int read_due_stops(struct lease *lease, void *data, struct err *err)
{
	const struct stop_wait *wait = data;
	for (size_t i = 0; i < wait->count; i++)
		if (is_due(wait, wait->stops[i]) && read_stop(lease, wait->stops[i], err) < 0 &&
			lease->broken)
			return -1;
	return 0;
}

void stop_read(struct host *host, struct stop *const stops[], size_t count)
{
	struct stop_wait once = { .stops = stops, .count = count, .all = true };
	struct err ignored; /* the host may come back before the time is over */
	(void)lease_read(host->hypervisor, read_due_stops, &once, &ignored);
}

int64_t stop_next_read(int64_t began, bool watched)
{
	int64_t now = clock_ms();
	int64_t pause = watched ? READ_WATCHED_MS : READ_UNWATCHED_MS;
	int64_t least = (now - began) * (READ_SHARE - 1);
	return now + (pause > least ? pause : least);
}

static bool is_late(const struct stop *stop, const struct stop_how *how)
{
	return clock_ms() - stop->asked_at >= (int64_t)how->timeout * 1000;
}

bool stop_is_waited_for(const struct stop *stop, const struct stop_how *how)
{
	return stop->waiting && !is_late(stop, how) && !atomic_load(how->hurry) &&
		(!how->deadline || clock_ms() < how->deadline);
}

static bool is_worth_waiting(const struct stop_wait *wait)
{
	for (size_t i = 0; i < wait->count; i++)
		if (stop_is_waited_for(wait->stops[i], wait->how))
			return true;
	return false;
}

/*
 * Waits for an event of one of the VMs (true), or until it is time to read all of them (false). It
 * is time at once when the connection for events is lost.
 */
static bool await_stop_event(const struct stop_wait *wait, int64_t read_at)
{
	uint64_t latest = wait->seen;
	while (is_worth_waiting(wait) && clock_ms() < read_at) {
		latest = events_wait(wait->events, latest, STOP_SLICE_MS);
		if (!latest && wait->seen)
			return false;
		for (size_t i = 0; i < wait->count; i++)
			if (is_due(wait, wait->stops[i]))
				return true;
	}
	return false;
}

void stop_wait(
	struct host *host, struct stop *const stops[], size_t count, const struct stop_how *how)
{
	struct stop_wait wait = { host->events, stops, count, how, 0, .all = true };
	for (;;) {
		struct err ignored; /* the host may come back before the time is over */
		int64_t began = clock_ms();
		uint64_t latest = events_latest(host->events);
		(void)lease_read(host->hypervisor, read_due_stops, &wait, &ignored);
		if (!is_worth_waiting(&wait))
			return;
		wait.seen = latest;
		wait.all = false;
		wait.all = !await_stop_event(&wait, stop_next_read(began, latest));
	}
}

/* Finishing */

static int set_still_running(const struct stop *stop, const struct stop_how *how, struct err *err)
{
	static const char *const done[] = {
		[GUEST_NONE] = "is shutting down",
		[GUEST_ACPI] = "was asked by ACPI to shut down",
		[GUEST_AGENT] = "was asked through its agent to shut down",
		[GUEST_KILL] = "was killed",
	};
	if (!is_late(stop, how) && atomic_load(how->hurry))
		return err_set(err, ERR_DRAINING,
			"the guest %s, but virtgate is stopping and does not wait for it",
			done[stop->way]);
	(void)err_set(err, ERR_STILL_RUNNING,
		"the guest %s and has not stopped within %lld s; it may still stop",
		done[stop->way], (long long)(clock_ms() - stop->asked_at) / 1000);
	(void)err_state(err, vm_state_name(stop->vm.state));
	return err_hint(err, HINT_KILL);
}

int stop_finish(struct host *host, const struct stop_how *how, struct stop *stop, struct err *err)
{
	const struct target target = { .ref = stop->vm.uuid, .if_match = "", .kill = true };
	AUTO_HOLD struct hold hold = { 0 };
	if (!how->kill || !is_late(stop, how))
		return set_still_running(stop, how, err);
	if (domain_hold(host->hypervisor, &target, &hold, err) < 0) {
		if (err->kind != ERR_VM_NOT_FOUND)
			return -1;
		set_gone(stop);
		return 0;
	}
	/* Somebody has started the VM again meanwhile and wants it to run. */
	if (virDomainGetID(hold.dom) == stop->run && kill_held(&hold, stop, err) < 0)
		return -1;
	stop->vm = hold.vm;
	stop->waiting = false;
	return 0;
}

int stop_run(struct host *host, const struct target *target, const struct stop_how *how,
	struct stop *ret, struct err *err)
{
	AUTO_LONG_WORK struct long_work work = { 0 };
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
