/* SPDX-License-Identifier: MIT */
#include "api/vm_json.h"

#include "definition/metadata.h"

const struct field vm_json_fields[] = {
	{ "uuid", .type = FIELD_TEXT, .example = "\"3d6fc3a9-ab4c-4f54-a35a-e70216a63a77\"" },
	{ "name", .type = FIELD_TEXT, .example = "\"web\"" },
	{ "host", .type = FIELD_TEXT, .example = "\"local\"" },
	{ "state", .type = FIELD_WORD, .words = VM_STATE_NAMES, .example = "\"running\"" },
	{ "reason", .type = FIELD_TEXT, .says = "why it is in this state",
		.example = "\"booted\"" },
	{ "persistent", .type = FIELD_FLAG, .says = "survives its stop and the host's restart" },
	{ "autostart", .type = FIELD_FLAG, .says = "starts with the host" },
	{ "managed_save", .type = FIELD_FLAG,
		.says = "its state is saved: the next start goes on from there" },
	{ "has_snapshots", .type = FIELD_FLAG },
	{ "vcpus", .type = FIELD_NUMBER, .nullable = true, .max = INT32_MAX,
		.says = "that it has now; in lists up to 20 s old", .example = "1" },
	{ "memory_kib", .type = FIELD_NUMBER, .nullable = true, .max = INT64_MAX,
		.says = "that it has at most; in lists up to 20 s old", .example = "65536" },
	{ 0 },
};

static const struct field failure_fields[] = {
	{ "status", .type = FIELD_NUMBER, .min = 400, .max = 599 },
	{ "code", .type = FIELD_TEXT, .example = "\"internal\"" },
	{ "detail", .type = FIELD_TEXT },
	{ 0 },
};

const struct field vm_json_item_fields[] = {
	{ "Vm", .type = FIELD_ALSO, .of = vm_json_fields },
	{ "labels", .type = FIELD_LABELS, .nullable = true, .says = "up to 20 s old",
		.example = "{\"tier\":\"front\"}" },
	{ "error", .type = FIELD_OBJECT, .of = failure_fields, .optional = true,
		.says = "why this VM could not be read" },
	{ 0 },
};

struct json *vm_json(const struct host *host, const struct vm *vm)
{
	struct json *o = json_new_object();
	json_put_string(o, "uuid", vm->uuid);
	json_put_string(o, "name", vm->name);
	json_put_string(o, "host", hypervisor_name(host->hypervisor));
	json_put_string(o, "state", vm_state_name(vm->state));
	json_put_string(o, "reason", vm->reason);
	json_put_bool(o, "persistent", vm->persistent);
	json_put_bool(o, "autostart", vm->autostart);
	json_put_bool(o, "managed_save", vm->managed_save);
	json_put_bool(o, "has_snapshots", vm->snapshots);
	if (vm->sized) {
		json_put_int(o, "vcpus", vm->vcpus);
		json_put_int(o, "memory_kib", vm->memory_kib);
	} else {
		json_put(o, "vcpus", NULL);
		json_put(o, "memory_kib", NULL);
	}
	return o;
}

struct json *vm_json_labels(const struct labels *labels)
{
	struct json *o = json_new_object();
	for (size_t i = 0; labels && i < labels->count; i++)
		json_put_copy(o, labels->label[i].name, json_string(labels->label[i].text));
	return o;
}

static struct json *failure_json(enum err_kind why)
{
	struct json *o = json_new_object();
	json_put_int(o, "status", err_status(why));
	json_put_string(o, "code", err_code(why));
	json_put_string(o, "detail", "libvirt could not read this VM");
	return o;
}

struct json *vm_json_item(const struct host *host, const struct vm *vm)
{
	struct json *o = vm_json(host, vm);
	json_put(o, "labels", vm->sized ? vm_json_labels(vm->labels) : NULL);
	if (!vm->sized)
		json_put(o, "error", failure_json(vm->why));
	return o;
}
