/* SPDX-License-Identifier: MIT */
#include "api/vm_json.h"

#include "definition/metadata.h"

static struct json *vm_host(const void *data, const void *context)
{
	const struct api_call *call = context;
	(void)data;
	return json_string(hypervisor_name(call->api->host->hypervisor));
}

static struct json *vm_vcpus(const void *data, const void *context)
{
	const struct vm *vm = data;
	(void)context;
	return vm->sized ? json_new_int(vm->vcpus) : NULL;
}

static struct json *vm_memory(const void *data, const void *context)
{
	const struct vm *vm = data;
	(void)context;
	return vm->sized ? json_new_int(vm->memory_kib) : NULL;
}

const struct field vm_json_fields[] = {
	{ "uuid", .type = FIELD_TEXT, FROM(struct vm, uuid),
		.example = "\"3d6fc3a9-ab4c-4f54-a35a-e70216a63a77\"" },
	{ "name", .type = FIELD_TEXT, FROM(struct vm, name), .example = "\"web\"" },
	{ "host", .type = FIELD_TEXT, .get = vm_host, .example = "\"local\"" },
	{ "state", .type = FIELD_WORD, FROM(struct vm, state), .words = VM_STATE_NAMES,
		.example = "\"running\"" },
	{ "reason", .type = FIELD_TEXT, FROM(struct vm, reason),
		.says = "why the VM is in this state", .example = "\"booted\"" },
	{ "persistent", .type = FIELD_FLAG, FROM(struct vm, persistent),
		.says = "true: the VM keeps its definition when it stops or the host restarts" },
	{ "autostart", .type = FIELD_FLAG, FROM(struct vm, autostart),
		.says = "true: the VM starts when the host starts" },
	{ "managed_save", .type = FIELD_FLAG, FROM(struct vm, managed_save),
		.says = "true: the VM's memory is saved, and the next start continues from it" },
	{ "has_snapshots", .type = FIELD_FLAG, FROM(struct vm, snapshots) },
	{ "vcpus", .type = FIELD_NUMBER, .get = vm_vcpus, .nullable = true, .max = INT32_MAX,
		.says = "number of CPUs now; in lists up to 20 s old", .example = "1" },
	{ "memory_kib", .type = FIELD_NUMBER, .get = vm_memory, .nullable = true, .max = INT64_MAX,
		.says = "maximum memory; in lists up to 20 s old", .example = "65536" },
	{ 0 },
};

/* Why a VM of a list could not be read. */
struct failure {
	int status;
	const char *code, *detail;
};

static const struct field failure_fields[] = {
	{ "status", .type = FIELD_NUMBER, FROM(struct failure, status), .min = 400, .max = 599 },
	{ "code", .type = FIELD_TEXT, FROM(struct failure, code), .example = "\"internal\"" },
	{ "detail", .type = FIELD_TEXT, FROM(struct failure, detail) },
	{ 0 },
};

static struct json *vm_labels(const void *data, const void *context)
{
	const struct vm *vm = data;
	(void)context;
	if (!vm->sized)
		return NULL;
	struct json *o = json_new_object();
	for (size_t i = 0; vm->labels && i < vm->labels->count; i++)
		json_put_copy(o, vm->labels->label[i].name, json_string(vm->labels->label[i].text));
	return o;
}

static struct json *vm_failure(const void *data, const void *context)
{
	const struct vm *vm = data;
	const struct failure failure = { err_status(vm->why), err_code(vm->why),
		"libvirt could not read this VM" };
	return vm->sized ? NULL : answer_json(failure_fields, &failure, context);
}

const struct field vm_json_item_fields[] = {
	{ "Vm", .type = FIELD_ALSO, .of = vm_json_fields },
	{ "labels", .type = FIELD_LABELS, .get = vm_labels, .nullable = true,
		.says = "up to 20 s old", .example = "{\"tier\":\"front\"}" },
	{ "error", .type = FIELD_OBJECT, .get = vm_failure, .of = failure_fields, .optional = true,
		.says = "why this VM could not be read" },
	{ 0 },
};
