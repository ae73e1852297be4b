/* SPDX-License-Identifier: MIT */
#include "api_snapshot.h"

#include "snapshot.h"
#include "vm_json.h"

static struct json *snapshot_json(const struct snapshot *snapshot)
{
	char created[RFC3339_SIZE];
	clock_rfc3339(snapshot->created, -1, created);
	struct json *o = json_new_object();
	json_put_string(o, "name", snapshot->name);
	json_put_string(o, "parent", snapshot->parent[0] ? snapshot->parent : NULL);
	json_put_string(o, "description", snapshot->description);
	json_put_string(o, "state", snapshot->state);
	json_put_string(o, "created", created);
	json_put_bool(o, "current", snapshot->current);
	return o;
}

int api_snapshot_list(struct api_call *call, struct api_reply *reply, struct err *err)
{
	AUTO(free) struct snapshot *list = NULL;
	size_t count = 0;
	if (snapshot_list(call->api->host, api_text(call, "ref"), &list, &count, err) < 0)
		return -1;
	struct json *items = json_new_array();
	for (size_t i = 0; i < count; i++)
		json_push(items, snapshot_json(&list[i]));
	struct json *answer = json_new_object();
	json_put(answer, "items", items);
	return api_reply_json(reply, answer, err);
}

/* The policy looks at it even where VIRTGATE_POLICY is off: an operator is no admin. */
static int read_document(
	struct api_call *call, struct xml **ret, struct api_reply *reply, struct err *err)
{
	const struct arg *xml = api_arg(call, "xml");
	const char *name = api_text(call, "name");
	int rc = xml ? snapshot_xml_read(xml->text, xml->len, ret, err)
		     : snapshot_xml_make(name, api_text(call, "description"), ret, err);
	return rc < 0 ? -1 : api_apply_policy(call, *ret, reply, err);
}

int api_snapshot_create(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct target target = api_target(call);
	AUTO(xml_free) struct xml *doc = NULL;
	struct snapshot made;
	if (read_document(call, &doc, reply, err) < 0 ||
		snapshot_create(call->api->config, call->api->host, &target, doc, &made, err) < 0 ||
		api_reply_json(reply, snapshot_json(&made), err) < 0)
		return -1;
	return api_reply_location(reply,
		(const char *const[]){ "v1", "vms", target.ref, "snapshots", made.name, NULL },
		err);
}

int api_snapshot_get(struct api_call *call, struct api_reply *reply, struct err *err)
{
	struct snapshot snapshot;
	const char *ref = api_text(call, "ref");
	if (snapshot_get(call->api->host, ref, api_text(call, "snap"), &snapshot, err) < 0)
		return -1;
	return api_reply_json(reply, snapshot_json(&snapshot), err);
}

int api_snapshot_delete(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const char *name = api_text(call, "snap");
	const struct target target = api_target(call);
	if (snapshot_delete(call->api->config, call->api->host, &target, name, err) < 0)
		return -1;
	struct json *answer = json_new_object();
	json_put_string(answer, "name", name);
	json_put_bool(answer, "deleted", true);
	return api_reply_json(reply, answer, err);
}

/* The seed's route names no snapshot: the current one is meant. */
int api_snapshot_revert(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct target target = api_target(call);
	struct vm vm;
	if (snapshot_revert(call->api->config, call->api->inventory, &target,
		    api_text(call, "snap"), &vm, err) < 0)
		return -1;
	struct json *answer = vm_json(call->api->host, &vm);
	json_put_bool(answer, "changed", true);
	return api_reply_json(reply, answer, err);
}
