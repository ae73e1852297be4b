/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "vm/bulk.h"

/* The same members as the query of GET /v1/vms. */
static const struct field select_fields[] = {
	SELECTION_FIELDS,
	{ 0 },
};

#define REFS \
	{ \
		"refs", .type = FIELD_TEXTS, .min = REF_BYTES_MAX, .max = BULK_VMS_MAX, \
			.says = "names and uuids of VMs; no VM may occur twice" \
	}
#define SELECT \
	{ \
		"select", .type = FIELD_OBJECT, .of = select_fields, \
			  .says = "instead of refs: all VMs that match all of these members" \
	}
#define MAX \
	{ \
		"max", .type = FIELD_NUMBER, .min = 1, .max = BULK_VMS_MAX, .example = "10", \
		       .says = "required with select: if more VMs match, nothing is done" \
	}

const struct field api_bulk_fields[] = {
	REFS,
	SELECT,
	MAX,
	{ 0 },
};

const struct field api_bulk_stop_fields[] = {
	REFS,
	SELECT,
	MAX,
	{ "mode", .type = FIELD_WORD, .words = GUEST_MODE_NAMES, .example = "\"auto\"",
		.says = "as for a single VM" },
	{ "timeout", .type = FIELD_NUMBER, .min = 1, .max = BULK_TIMEOUT_MAX, .example = "30",
		.says = "seconds to wait for all VMs together" },
	{ "then", .type = FIELD_WORD, .words = "fail|kill", .example = "\"kill\"" },
	{ 0 },
};

/* What happened to one VM; -1: the member does not apply. */
struct item_answer {
	const char *ref;
	struct vm_ref vm;
	bool ok;
	int changed, state, restored, how, stopped;
	struct json *error; /* owned; or NULL */
};

static const struct field item_fields[] = {
	{ "ref", .type = FIELD_TEXT, FROM(struct item_answer, ref),
		.says = "as it was given; the VM's name if it was selected",
		.example = "\"web-1\"" },
	{ "uuid", .type = FIELD_TEXT, FROM(struct item_answer, vm.uuid), .optional = true,
		.says = "absent if there is no such VM" },
	{ "name", .type = FIELD_TEXT, FROM(struct item_answer, vm.name), .optional = true },
	{ "ok", .type = FIELD_FLAG, FROM(struct item_answer, ok) },
	{ "changed", .type = FIELD_FLAG, FROM(struct item_answer, changed), .optional = true,
		.says = "false: the VM was in the requested state already" },
	{ "state", .type = FIELD_WORD, FROM(struct item_answer, state), .words = VM_STATE_NAMES,
		.optional = true, .says = "the VM's state now; absent after a deletion" },
	{ "restored", .type = FIELD_FLAG, FROM(struct item_answer, restored), .optional = true,
		.says = "after a start: the VM continued from its managed save" },
	{ "how", .type = FIELD_WORD, FROM(struct item_answer, how), .words = GUEST_WAY_NAMES,
		.optional = true, .says = "after a stop: what this request did to the VM" },
	{ "stopped", .type = FIELD_FLAG, FROM(struct item_answer, stopped), .optional = true,
		.says = "after a deletion: the VM was running and was stopped first" },
	{ "error", .type = FIELD_OBJECT, .of = api_problem_fields, FROM(struct item_answer, error),
		.optional = true,
		.says = "if ok is false: the error that a request for this VM alone would have "
			"had" },
	{ 0 },
};

struct bulk_answer {
	struct json *items; /* owned */
	size_t succeeded, failed;
};

const struct field api_bulk_answer[] = {
	{ "items", .type = FIELD_LIST, .of = item_fields, FROM(struct bulk_answer, items),
		.says = "in the order of refs; sorted by name if the VMs were selected" },
	{ "succeeded", .type = FIELD_NUMBER, FROM(struct bulk_answer, succeeded),
		.max = BULK_VMS_MAX, .example = "1" },
	{ "failed", .type = FIELD_NUMBER, FROM(struct bulk_answer, failed), .max = BULK_VMS_MAX,
		.example = "0" },
	{ 0 },
};

/* Which VMs */

static int choose_by_name(
	struct api_call *call, const struct json *refs, struct bulk *bulk, struct err *err)
{
	const char *names[BULK_VMS_MAX];
	size_t count = json_length(refs);
	if (!count)
		return err_set(err, ERR_BAD_REQUEST, "refs: must name a VM");
	for (size_t i = 0; i < count; i++) {
		size_t len = 0;
		names[i] = json_get_string(json_item(refs, i), &len);
		if (!len)
			return err_set(err, ERR_BAD_REQUEST, "refs[%zu]: must not be empty", i);
	}
	return bulk_name(call->api->host, names, count, bulk, err);
}

static const char *selection_text(const struct json *object, const char *name)
{
	const struct json *value = json_member(object, name);
	size_t len = 0;
	return value ? json_get_string(value, &len) : NULL;
}

static int choose_by_selection(struct api_call *call, const struct json *wanted,
	const struct json *max, struct bulk *bulk, struct err *err)
{
	struct selection selection;
	if (!json_length(wanted))
		return err_set(err, ERR_BAD_REQUEST,
			"select: must have a member; {\"name\":\"*\"} selects all VMs");
	if (!max)
		return err_set(
			err, ERR_BAD_REQUEST, "max: this field is missing, which select requires");
	if (selection_read(selection_text(wanted, "state"), selection_text(wanted, "name"),
		    selection_text(wanted, "label"), &selection, err) < 0)
		return -1;
	return bulk_select(call->api->host, &selection, (size_t)json_get_int(max), bulk, err);
}

static int choose_vms(struct api_call *call, struct bulk *bulk, struct err *err)
{
	const struct json *refs = json_member(call->body, "refs");
	const struct json *wanted = json_member(call->body, "select");
	const struct json *max = json_member(call->body, "max");
	if (!refs == !wanted)
		return err_set(err, ERR_BAD_REQUEST,
			"body: must name VMs in refs or select them in select, not both");
	if (wanted)
		return choose_by_selection(call, wanted, max, bulk, err);
	if (max)
		return err_set(
			err, ERR_BAD_REQUEST, "max: can be used with select only, not with refs");
	return choose_by_name(call, refs, bulk, err);
}

/* The answer */

static struct json *item_json(
	const struct api_call *call, enum bulk_action action, const struct bulk_item *item)
{
	struct item_answer answer = { item->ref, item->vm, !item->failed, -1, -1, -1, -1, -1,
		NULL };
	if (item->failed) {
		answer.error =
			api_problem_json(&item->err, call->req->request_id, call->role, NULL);
	} else if (action == BULK_DELETE) {
		answer.changed = true;
		answer.stopped = item->removed.stopped;
	} else {
		answer.changed = item->acted.changed;
		answer.state = (int)item->acted.vm.state;
		answer.restored = action == BULK_START ? item->acted.restored : -1;
		answer.how = action == BULK_STOP ? (int)item->way : -1;
	}
	struct json *made = answer_json(item_fields, &answer, call);
	json_free(answer.error);
	return made;
}

int api_bulk_act(struct api_call *call, struct api_reply *reply, struct err *err)
{
	AUTO_BULK struct bulk bulk = { .user = call->req->user };
	const struct api *api = call->api;
	enum bulk_action action = (enum bulk_action)call->route->what;
	const struct stop_how how = api_power_stop_how(call);
	if (choose_vms(call, &bulk, err) < 0 ||
		bulk_run(api->config, api->host, action, &how, &bulk, err) < 0)
		return -1;
	struct bulk_answer answer = { json_new_array(), bulk.count, 0 };
	for (size_t i = 0; i < bulk.count; i++) {
		json_push(answer.items, item_json(call, action, &bulk.items[i]));
		answer.failed += bulk.items[i].failed;
	}
	answer.succeeded -= answer.failed;
	int rc = api_reply_answer(call, &answer, reply, err);
	json_free(answer.items);
	return rc;
}
