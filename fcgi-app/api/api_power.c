/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "api/vm_json.h"
#include "base/clock.h"
#include "vm/power.h"
#include "vm/stop_watch.h"

#include <string.h>

enum { TIMEOUT_PRESET = 30 };

const struct field api_power_answer[] = {
	{ "Vm", VM_JSON_ALSO, FROM(struct power_done, vm) },
	{ "changed", .type = FIELD_FLAG, FROM(struct power_done, changed),
		.says = "false: the VM was in the requested state already" },
	{ 0 },
};

const struct field api_power_start_answer[] = {
	{ "Action", .type = FIELD_ALSO, .of = api_power_answer },
	{ "restored", .type = FIELD_FLAG, FROM(struct power_done, restored),
		.says = "true: the VM continued from its managed save" },
	{ 0 },
};

struct stopped {
	struct power_done done;
	enum guest_way how;
};

const struct field api_power_stop_answer[] = {
	{ "Action", .type = FIELD_ALSO, .of = api_power_answer, FROM(struct stopped, done) },
	{ "how", .type = FIELD_WORD, FROM(struct stopped, how), .words = GUEST_WAY_NAMES,
		.says = "what this request did: asked the guest by ACPI or agent, cut the power "
			"(kill), or nothing" },
	{ 0 },
};

const struct field api_power_stop_fields[] = {
	{ "mode", .type = FIELD_WORD, .words = GUEST_MODE_NAMES, .example = "\"auto\"",
		.says = "how to stop the VM; auto: ask the guest by its agent, or else by ACPI; "
			"kill: cut the power at once" },
	{ "timeout", .type = FIELD_NUMBER, .min = 1, .max = API_POWER_TIMEOUT_MAX, .example = "30",
		.says = "seconds to wait for the guest to shut down" },
	{ "then", .type = FIELD_WORD, .words = "fail|kill", .example = "\"fail\"",
		.says = "what to do if the guest cannot be asked or does not shut down in time" },
	{ 0 },
};

int api_power_act(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct target target = api_target(call);
	enum power_action action = (enum power_action)call->route->what;
	struct power_done done;
	if (power_act(call->api->config, call->api->host, &target, action, &done, err) < 0)
		return -1;
	return api_reply_answer(call, &done, reply, err);
}

int api_power_drop_save(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct target target = api_target(call);
	struct power_done done;
	if (power_drop_save(call->api->host, &target, &done, err) < 0)
		return -1;
	return api_reply_answer(call, &done, reply, err);
}

/*
 * A stop gives up before the watchdog ends the request, because the watchdog cannot say how far the
 * stop came: after nine tenths of the deadline, here in milliseconds for each second.
 */
enum { OWN_SHARE_MS = 900 };

struct stop_how api_power_stop_how(const struct api_call *call)
{
	const struct json *timeout = json_member(call->body, "timeout");
	const char *then = api_text(call, "then");
	return (struct stop_how){
		.mode = guest_way_of(api_text(call, "mode")),
		.timeout = timeout ? (int)json_get_int(timeout) : TIMEOUT_PRESET,
		.kill = then && !strcmp(then, "kill"),
		.hurry = &call->api->leaving,
		.deadline = clock_ms() + (int64_t)call->api->config->long_deadline * OWN_SHARE_MS,
	};
}

static int reply_stopped(const struct api_call *call, const struct stop *stop,
	struct api_reply *reply, struct err *err)
{
	const struct stopped stopped = { { stop->vm, .changed = stop->changed }, stop->way };
	return api_reply_answer(call, &stopped, reply, err);
}

/* A stop whose guest was asked, and that is waited for. */
struct later_stop {
	struct api_later later;      /* the first member */
	struct watched_stop watched; /* of api->stops */
	struct stop_watch *watch;
	struct long_work work;
	struct api_waiter *waiter;
};

static void later_stop_done(struct later_stop *stop)
{
	long_work_end(&stop->work);
	free(stop);
}
DEFINE_AUTO(struct later_stop *, later_stop_done)

static struct later_stop *later_stop_of(struct watched_stop *watched)
{
	return (struct later_stop *)(void *)((char *)watched -
		offsetof(struct later_stop, watched));
}

static bool has_client_gone(struct watched_stop *watched)
{
	struct api_waiter *waiter = later_stop_of(watched)->waiter;
	return waiter->is_gone(waiter);
}

static void end_wait(struct watched_stop *watched)
{
	struct api_waiter *waiter = later_stop_of(watched)->waiter;
	waiter->ready(waiter);
}

static void wait_for_stop(struct api_later *later, struct api_waiter *waiter)
{
	struct later_stop *stop = (struct later_stop *)later;
	stop->waiter = waiter;
	stop_watch_add(stop->watch, &stop->watched);
}

static int finish_stop(
	struct api_later *later, struct api_call *call, struct api_reply *reply, struct err *err)
{
	AUTO(later_stop_done) struct later_stop *stop = (struct later_stop *)later;
	struct watched_stop *watched = &stop->watched;
	struct host *host = call->api->host;
	if (watched->stop.waiting && stop_finish(host, &watched->how, &watched->stop, err) < 0)
		return -1;
	inventory_touch(host->inventory, watched->stop.vm.uuid);
	return reply_stopped(call, &watched->stop, reply, err);
}

static void drop_stop(struct api_later *later)
{
	later_stop_done((struct later_stop *)later);
}

/* The reply is made when the guest has stopped; nobody waits for that here. */
static int begin_stop(struct api_call *call, const struct target *target,
	const struct stop_how *how, struct api_reply *reply, struct err *err)
{
	AUTO(later_stop_done) struct later_stop *later = calloc(1, sizeof *later);
	if (!later)
		return err_memory(err);
	*later = (struct later_stop){
		.later = { wait_for_stop, finish_stop, drop_stop },
		.watched = { .how = *how, .is_gone = has_client_gone, .over = end_wait },
		.watch = call->api->stops,
		.work.kind = LONG_WORK_PARKED,
	};
	struct stop *stop = &later->watched.stop;
	if (stop_ask(call->api->host, target, how, &later->work, stop, err) < 0)
		return -1;
	if (!stop->waiting)
		return reply_stopped(call, stop, reply, err);
	api_reply_later(reply, &TAKE(later)->later);
	return 0;
}

int api_power_stop(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct target target = api_target(call);
	const struct stop_how how = api_power_stop_how(call);
	struct stop stop;
	if (call->api->stops)
		return begin_stop(call, &target, &how, reply, err);
	if (stop_run(call->api->host, &target, &how, &stop, err) < 0)
		return -1;
	return reply_stopped(call, &stop, reply, err);
}
