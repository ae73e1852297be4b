/* SPDX-License-Identifier: MIT */
#include "vm_json.h"

const struct field vm_json_fields[] = {
	{ "uuid", .type = FIELD_TEXT, .example = "\"3d6fc3a9-ab4c-4f54-a35a-e70216a63a77\"" },
	{ "name", .type = FIELD_TEXT, .example = "\"web\"" },
	{ "host", .type = FIELD_TEXT, .example = "\"local\"" },
	{ "state", .type = FIELD_WORD, .words = VM_STATES, .example = "\"running\"" },
	{ "reason", .type = FIELD_TEXT, .says = "why it is in this state",
		.example = "\"booted\"" },
	{ "persistent", .type = FIELD_FLAG, .says = "survives its stop and the host's restart" },
	{ "autostart", .type = FIELD_FLAG, .says = "starts with the host" },
	{ "managed_save", .type = FIELD_FLAG,
		.says = "its state is saved: the next start goes on from there" },
	{ "has_snapshots", .type = FIELD_FLAG },
	{ "vcpus", .type = FIELD_NUMBER, .nullable = true, .max = INT32_MAX,
		.says = "that it has now; in lists up to 10 s old", .example = "1" },
	{ "memory_kib", .type = FIELD_NUMBER, .nullable = true, .max = INT64_MAX,
		.says = "that it has at most; in lists up to 10 s old", .example = "65536" },
	{ 0 },
};

struct json *vm_json(const struct host *host, const struct vm *vm)
{
	struct json *o = json_new_object();
	json_put_string(o, "uuid", vm->uuid);
	json_put_string(o, "name", vm->name);
	json_put_string(o, "host", virt_host_name(host));
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
