/* SPDX-License-Identifier: MIT */
#include "api_vm.h"

#include "vm.h"
#include "vm_json.h"

static int list(struct api_call *call, bool only_active, struct api_reply *reply, struct err *err)
{
	AUTO(free) struct vm_list *vms = NULL;
	if (inventory_list(call->api->inventory, &vms, err) < 0)
		return -1;
	struct json *items = json_new_array();
	for (size_t i = 0; i < vms->count; i++)
		if (vms->vms[i].active || !only_active)
			json_push(items, vm_json(call->api->host, &vms->vms[i]));
	struct json *answer = json_new_object();
	json_put(answer, "items", items);
	return api_reply_json(reply, answer, err);
}

int api_vm_list(struct api_call *call, struct api_reply *reply, struct err *err)
{
	return list(call, false, reply, err);
}

int api_vm_list_active(struct api_call *call, struct api_reply *reply, struct err *err)
{
	return list(call, true, reply, err);
}

int api_vm_get(struct api_call *call, struct api_reply *reply, struct err *err)
{
	struct vm vm;
	if (vm_get(call->api->host, api_text(call, "ref"), &vm, err) < 0)
		return -1;
	return api_reply_json(reply, vm_json(call->api->host, &vm), err);
}

int api_vm_delete(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct target target = api_target(call);
	struct vm_deleted deleted;
	if (vm_delete(call->api->config, call->api->inventory, &target, &deleted, err) < 0)
		return -1;
	const struct {
		bool was;
		const char *name;
	} parts[] = {
		{ deleted.definition, "definition" },
		{ deleted.managed_save, "managed_save" },
		{ deleted.snapshots, "snapshot_metadata" },
		{ deleted.nvram, "nvram" },
		{ deleted.carrier, "carrier_disk" },
	};
	struct json *removed = json_new_array();
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (parts[i].was)
			json_push_string(removed, parts[i].name);
	struct json *answer = json_new_object();
	json_put_string(answer, "uuid", deleted.ref.uuid);
	json_put_string(answer, "name", deleted.ref.name);
	json_put_bool(answer, "stopped", deleted.stopped);
	json_put(answer, "removed", removed);
	return api_reply_json(reply, answer, err);
}

static int act(
	struct api_call *call, enum vm_action action, struct api_reply *reply, struct err *err)
{
	const struct target target = api_target(call);
	struct vm vm;
	bool changed = false;
	if (vm_act(call->api->config, call->api->inventory, &target, action, &vm, &changed, err) <
		0)
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
