/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "api/vm_json.h"
#include "base/clock.h"
#include "vm/power.h"

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

int api_power_stop(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct target target = api_target(call);
	const struct stop_how how = api_power_stop_how(call);
	struct stop stop;
	if (stop_run(call->api->host, &target, &how, &stop, err) < 0)
		return -1;
	const struct stopped stopped = { { stop.vm, .changed = stop.changed }, stop.way };
	return api_reply_answer(call, &stopped, reply, err);
}
