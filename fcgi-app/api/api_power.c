/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "api/vm_json.h"
#include "base/clock.h"
#include "vm/power.h"

#include <string.h>

enum { TIMEOUT_PRESET = 30 };

const struct field api_power_answer[] = {
	{ "Vm", .type = FIELD_ALSO, .of = vm_json_fields },
	{ "changed", .type = FIELD_FLAG, .says = "false: it was so already" },
	{ 0 },
};

const struct field api_power_start_answer[] = {
	{ "Action", .type = FIELD_ALSO, .of = api_power_answer },
	{ "restored", .type = FIELD_FLAG, .says = "it went on from its managed save" },
	{ 0 },
};

const struct field api_power_stop_answer[] = {
	{ "Action", .type = FIELD_ALSO, .of = api_power_answer },
	{ "how", .type = FIELD_WORD, .words = GUEST_WAY_NAMES,
		.says = "what this request did to it: its guest was asked, or it was killed" },
	{ 0 },
};

const struct field api_power_stop_fields[] = {
	{ "mode", .type = FIELD_WORD, .words = GUEST_MODE_NAMES, .example = "\"auto\"",
		.says = "auto: by its agent, else by ACPI; kill: at once" },
	{ "timeout", .type = FIELD_NUMBER, .min = 1, .max = API_POWER_TIMEOUT_MAX, .example = "30",
		.says = "seconds to wait for the guest" },
	{ "then", .type = FIELD_WORD, .words = "fail|kill", .example = "\"fail\"",
		.says = "what becomes of one that cannot be asked or does not stop" },
	{ 0 },
};

static struct json *action_json(struct api_call *call, const struct vm *vm, bool changed)
{
	struct json *answer = vm_json(call->api->host, vm);
	json_put_bool(answer, "changed", changed);
	return answer;
}

static int act(
	struct api_call *call, enum power_action action, struct power_done *ret, struct err *err)
{
	const struct target target = api_target(call);
	return power_act(call->api->config, call->api->host, &target, action, ret, err);
}

static int answer_action(
	struct api_call *call, enum power_action action, struct api_reply *reply, struct err *err)
{
	struct power_done done;
	if (act(call, action, &done, err) < 0)
		return -1;
	return api_reply_json(reply, action_json(call, &done.vm, done.changed), err);
}

#define DEFINE_ACTION(handler, action) \
	int handler(struct api_call *call, struct api_reply *reply, struct err *err) \
	{ \
		return answer_action(call, action, reply, err); \
	}
DEFINE_ACTION(api_power_suspend, POWER_SUSPEND)
DEFINE_ACTION(api_power_resume, POWER_RESUME)
DEFINE_ACTION(api_power_reboot, POWER_REBOOT)
DEFINE_ACTION(api_power_reset, POWER_RESET)
DEFINE_ACTION(api_power_save, POWER_SAVE)

int api_power_drop_save(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct target target = api_target(call);
	struct power_done done;
	if (power_drop_save(call->api->host, &target, &done, err) < 0)
		return -1;
	return api_reply_json(reply, action_json(call, &done.vm, done.changed), err);
}

int api_power_start(struct api_call *call, struct api_reply *reply, struct err *err)
{
	struct power_done done;
	if (act(call, POWER_START, &done, err) < 0)
		return -1;
	struct json *answer = action_json(call, &done.vm, done.changed);
	json_put_bool(answer, "restored", done.restored);
	return api_reply_json(reply, answer, err);
}

/*
 * Gives up before the watchdog does it, which can only say that it does not know: at nine tenths of
 * the deadline, in milliseconds for each second.
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
	struct json *answer = action_json(call, &stop.vm, stop.changed);
	json_put_string(answer, "how", guest_way_name(stop.way));
	return api_reply_json(reply, answer, err);
}
