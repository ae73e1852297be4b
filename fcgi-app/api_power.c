/* SPDX-License-Identifier: MIT */
#include "api_power.h"

#include "power.h"
#include "vm_json.h"

static int act(
	struct api_call *call, enum vm_action action, struct api_reply *reply, struct err *err)
{
	const struct target target = api_target(call);
	struct vm vm;
	bool changed = false;
	if (power_act(call->api->config, call->api->inventory, &target, action, &vm, &changed,
		    err) < 0)
		return -1;
	struct json *answer = vm_json(call->api->host, &vm);
	json_put_bool(answer, "changed", changed);
	return api_reply_json(reply, answer, err);
}

#define DEFINE_ACTION(handler, action) \
	int handler(struct api_call *call, struct api_reply *reply, struct err *err) \
	{ \
		return act(call, action, reply, err); \
	}
DEFINE_ACTION(api_vm_start, VM_START)
DEFINE_ACTION(api_vm_stop, VM_STOP)
DEFINE_ACTION(api_vm_suspend, VM_SUSPEND)
DEFINE_ACTION(api_vm_resume, VM_RESUME)
DEFINE_ACTION(api_vm_reboot, VM_REBOOT)
DEFINE_ACTION(api_vm_reset, VM_RESET)
