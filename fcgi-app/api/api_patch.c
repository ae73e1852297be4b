/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "api/vm_json.h"
#include "vm/patch.h"

const struct field api_patch_query[] = {
	{ "apply", .type = FIELD_WORD, .words = PATCH_APPLY_NAMES,
		.says = "the definition, the guest that runs, or both; else what is usual" },
	{ 0 },
};

enum { NAME_BYTES_MAX = 16 };

static const struct field applied_fields[] = {
	{ "config", .type = FIELD_TEXTS, .min = NAME_BYTES_MAX, .max = PATCH_MEMBER_COUNT,
		.says = "what was changed in the definition", .example = "[\"title\"]" },
	{ "live", .type = FIELD_TEXTS, .min = NAME_BYTES_MAX, .max = PATCH_MEMBER_COUNT,
		.says = "and in the guest that runs", .example = "[\"title\"]" },
	{ 0 },
};

const struct field api_patch_answer[] = {
	{ "Vm", .type = FIELD_ALSO, .of = vm_json_fields },
	{ "changed", .type = FIELD_FLAG, .says = "false: it was so already" },
	{ "applied", .type = FIELD_OBJECT, .of = applied_fields },
	{ "restart_required", .type = FIELD_TEXTS, .min = NAME_BYTES_MAX, .max = PATCH_MEMBER_COUNT,
		.says = "what the guest that runs has otherwise than its next start will",
		.example = "[]" },
	{ 0 },
};

static struct json *names_json(unsigned set)
{
	struct json *names = json_new_array();
	for (size_t i = 0; i < PATCH_MEMBER_COUNT; i++)
		if (set & 1U << i)
			json_push_string(names, patch_member_name((enum patch_member)i));
	return names;
}

int api_patch_vm(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct target target = api_target(call);
	struct patched patched;
	const enum patch_apply apply = patch_apply_of(api_text(call, "apply"));
	if (patch_vm(call->api->host, &target, call->body, apply, &patched, err) < 0)
		return -1;
	struct json *applied = json_new_object();
	json_put(applied, "config", names_json(patched.config));
	json_put(applied, "live", names_json(patched.live));
	struct json *answer = vm_json(call->api->host, &patched.vm);
	json_put_bool(answer, "changed", patched.changed);
	json_put(answer, "applied", applied);
	json_put(answer, "restart_required", names_json(patched.restart));
	return api_reply_json(reply, answer, err);
}
