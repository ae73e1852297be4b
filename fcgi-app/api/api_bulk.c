/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "vm/bulk.h"

/* As of GET /v1/vms. */
static const struct field select_fields[] = {
	SELECTION_FIELDS,
	{ 0 },
};

#define REFS \
	{ \
		"refs", .type = FIELD_TEXTS, .min = REF_BYTES_MAX, .max = BULK_VMS_MAX, \
			.says = "names and uuids, no VM twice" \
	}
#define SELECT \
	{ \
		"select", .type = FIELD_OBJECT, .of = select_fields, \
			  .says = "instead of refs: all VMs of which all this holds" \
	}
#define MAX \
	{ \
		"max", .type = FIELD_NUMBER, .min = 1, .max = BULK_VMS_MAX, .example = "10", \
		       .says = "with select: when more match, nothing is done" \
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
		.says = "as of one VM" },
	{ "timeout", .type = FIELD_NUMBER, .min = 1, .max = BULK_TIMEOUT_MAX, .example = "30",
		.says = "seconds to wait for all of them together" },
	{ "then", .type = FIELD_WORD, .words = "fail|kill", .example = "\"kill\"" },
	{ 0 },
};

static const struct field item_fields[] = {
	{ "ref", .type = FIELD_TEXT, .says = "as it was given; of one that was selected, its name",
		.example = "\"web-1\"" },
	{ "uuid", .type = FIELD_TEXT, .optional = true, .says = "missing: there is no such VM" },
	{ "name", .type = FIELD_TEXT, .optional = true },
	{ "ok", .type = FIELD_FLAG },
	{ "changed", .type = FIELD_FLAG, .optional = true, .says = "false: it was so already" },
	{ "state", .type = FIELD_WORD, .words = VM_STATE_NAMES, .optional = true,
		.says = "that it is in now; not of one that was deleted" },
	{ "restored", .type = FIELD_FLAG, .optional = true,
		.says = "of a start: it went on from its managed save" },
	{ "how", .type = FIELD_WORD, .words = GUEST_WAY_NAMES, .optional = true,
		.says = "of a stop" },
	{ "stopped", .type = FIELD_FLAG, .optional = true,
		.says = "of a deletion: it had to be stopped for it" },
	{ "error", .type = FIELD_OBJECT, .of = api_problem_fields, .optional = true,
		.says = "unless ok: what a request for it alone would have been answered" },
	{ 0 },
};

const struct field api_bulk_answer[] = {
	{ "items", .type = FIELD_LIST, .of = item_fields,
		.says = "in the order of refs; when selected, by name" },
	{ "succeeded", .type = FIELD_NUMBER, .max = BULK_VMS_MAX, .example = "1" },
	{ "failed", .type = FIELD_NUMBER, .max = BULK_VMS_MAX, .example = "0" },
	{ 0 },
};

/* What was asked */

static int name_them(
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

static const char *text_of(const struct json *object, const char *name)
{
	const struct json *value = json_member(object, name);
	size_t len = 0;
	return value ? json_get_string(value, &len) : NULL;
}

static int select_them(struct api_call *call, const struct json *wanted, const struct json *max,
	struct bulk *bulk, struct err *err)
{
	struct selection selection;
	if (!json_length(wanted))
		return err_set(err, ERR_BAD_REQUEST,
			"select: must say what VMs it means; for all of them, {\"name\":\"*\"}");
	if (!max)
		return err_set(
			err, ERR_BAD_REQUEST, "max: this field is missing; select needs one");
	if (selection_read(text_of(wanted, "state"), text_of(wanted, "name"),
		    text_of(wanted, "label"), &selection, err) < 0)
		return -1;
	return bulk_select(call->api->host, &selection, (size_t)json_get_int(max), bulk, err);
}

static int choose(struct api_call *call, struct bulk *bulk, struct err *err)
{
	const struct json *refs = json_member(call->body, "refs");
	const struct json *wanted = json_member(call->body, "select");
	const struct json *max = json_member(call->body, "max");
	if (!refs == !wanted)
		return err_set(err, ERR_BAD_REQUEST,
			"body: must say which VMs, either by refs or by select");
	if (wanted)
		return select_them(call, wanted, max, bulk, err);
	if (max)
		return err_set(err, ERR_BAD_REQUEST, "max: goes with select, not with refs");
	return name_them(call, refs, bulk, err);
}

/* What came of it */

static void put_done(struct json *o, enum bulk_action action, const struct bulk_item *item)
{
	if (action == BULK_DELETE) {
		json_put_bool(o, "changed", true);
		json_put_bool(o, "stopped", item->removed.stopped);
		return;
	}
	json_put_bool(o, "changed", item->acted.changed);
	json_put_string(o, "state", vm_state_name(item->acted.vm.state));
	if (action == BULK_START)
		json_put_bool(o, "restored", item->acted.restored);
	if (action == BULK_STOP)
		json_put_string(o, "how", guest_way_name(item->way));
}

static struct json *item_json(
	const struct api_call *call, enum bulk_action action, const struct bulk_item *item)
{
	struct json *o = json_new_object();
	json_put_string(o, "ref", item->ref);
	if (item->vm.uuid[0]) {
		json_put_string(o, "uuid", item->vm.uuid);
		json_put_string(o, "name", item->vm.name);
	}
	json_put_bool(o, "ok", !item->failed);
	if (item->failed)
		json_put(o, "error",
			api_problem_json(&item->err, call->req->request_id, call->role, NULL));
	else
		put_done(o, action, item);
	return o;
}

static int run(
	struct api_call *call, enum bulk_action action, struct api_reply *reply, struct err *err)
{
	AUTO_BULK struct bulk bulk = { 0 };
	const struct api *api = call->api;
	const struct stop_how how = api_power_stop_how(call);
	if (choose(call, &bulk, err) < 0 ||
		bulk_run(api->config, api->host, action, &how, &bulk, err) < 0)
		return -1;
	struct json *items = json_new_array();
	int64_t failed = 0;
	for (size_t i = 0; i < bulk.count; i++) {
		json_push(items, item_json(call, action, &bulk.items[i]));
		failed += bulk.items[i].failed;
	}
	struct json *answer = json_new_object();
	json_put(answer, "items", items);
	json_put_int(answer, "succeeded", (int64_t)bulk.count - failed);
	json_put_int(answer, "failed", failed);
	return api_reply_json(reply, answer, err);
}

#define DEFINE_BULK(handler, action) \
	int handler(struct api_call *call, struct api_reply *reply, struct err *err) \
	{ \
		return run(call, action, reply, err); \
	}
DEFINE_BULK(api_bulk_start, BULK_START)
DEFINE_BULK(api_bulk_stop, BULK_STOP)
DEFINE_BULK(api_bulk_suspend, BULK_SUSPEND)
DEFINE_BULK(api_bulk_resume, BULK_RESUME)
DEFINE_BULK(api_bulk_delete, BULK_DELETE)
