/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "api/vm_json.h"
#include "vm/patch.h"

const struct field api_patch_query[] = {
	{ "apply", .type = FIELD_WORD, .words = PATCH_APPLY_NAMES,
		.says = "changes the definition, the running guest, or both; default: the "
			"definition; title, description and labels also change in the running VM" },
	{ 0 },
};

/* A set of enum patch_member. */
#define PATCH_MEMBER_SET \
	.type = FIELD_TEXTS, .words = PATCH_MEMBER_NAMES, .min = 16, .max = PATCH_MEMBER_COUNT

static const struct field applied_fields[] = {
	{ "config", PATCH_MEMBER_SET, FROM(struct patched, config),
		.says = "members that were changed in the definition", .example = "[\"title\"]" },
	{ "live", PATCH_MEMBER_SET, FROM(struct patched, live),
		.says = "members that were changed in the running guest",
		.example = "[\"title\"]" },
	{ 0 },
};

const struct field api_patch_answer[] = {
	{ "Vm", VM_JSON_ALSO, FROM(struct patched, vm) },
	{ "changed", .type = FIELD_FLAG, FROM(struct patched, changed),
		.says = "false: all members had these values before" },
	{ "applied", .type = FIELD_OBJECT, .of = applied_fields },
	{ "restart_required", PATCH_MEMBER_SET, FROM(struct patched, restart),
		.says = "members whose values differ in the running guest until its next start",
		.example = "[]" },
	{ 0 },
};

int api_patch_vm(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct target target = api_target(call);
	struct patched patched;
	const enum patch_apply apply = patch_apply_of(api_text(call, "apply"));
	if (patch_vm(call->api->config, call->api->host, &target, call->body, apply, &patched,
		    err) < 0)
		return -1;
	return api_reply_answer(call, &patched, reply, err);
}
