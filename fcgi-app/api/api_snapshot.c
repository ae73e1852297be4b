/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "api/vm_json.h"
#include "base/clock.h"
#include "base/hash.h"
#include "vm/snapshot.h"

#include <string.h>

const struct field api_snapshot_fields[] = {
	{ "name", .type = FIELD_TEXT, .max = 63 },
	{ "description", .type = FIELD_TEXT, .max = SNAPSHOT_DESCRIPTION_MAX },
	{ 0 },
};

const struct field api_snapshot_delete_query[] = {
	{ "children", .type = FIELD_FLAG, .says = "1: also deletes all its descendants" },
	{ "metadata_only", .type = FIELD_FLAG,
		.says = "1: libvirt forgets the snapshot; the disks keep its content" },
	{ 0 },
};

const struct field api_snapshot_revert_fields[] = {
	{ "state", .type = FIELD_WORD, .words = "as-saved|running|paused",
		.says = "the VM's state after the revert; default as-saved" },
	{ "force", .type = FIELD_FLAG, .says = "revert even if libvirt considers it risky" },
	{ 0 },
};

/* Answers */

static struct json *snapshot_created(const void *data, const void *context)
{
	const struct snapshot *snapshot = data;
	char created[RFC3339_SIZE];
	(void)context;
	clock_rfc3339(snapshot->created, -1, created);
	return json_string(created);
}

const struct field api_snapshot_answer[] = {
	{ "name", .type = FIELD_TEXT, FROM(struct snapshot, name),
		.example = "\"before-upgrade\"" },
	{ "parent", .type = FIELD_TEXT, FROM(struct snapshot, parent), .nullable = true,
		.says = "null: the snapshot is a root of the tree" },
	{ "children", .type = FIELD_NUMBER, FROM(struct snapshot, children), .max = INT32_MAX,
		.says = "number of direct children" },
	{ "description", .type = FIELD_TEXT, FROM(struct snapshot, description) },
	{ "state", .type = FIELD_WORD, FROM(struct snapshot, state), .words = SNAPSHOT_STATE_NAMES,
		.says = "the VM's state when the snapshot was taken" },
	{ "memory", .type = FIELD_FLAG, FROM(struct snapshot, memory),
		.says = "true: the snapshot has the guest's memory, and a revert continues from "
			"there" },
	{ "disks", .type = FIELD_WORD, FROM(struct snapshot, disks), .words = SNAPSHOT_DISKS_NAMES,
		.says = "where the disks' content is kept; a revert to an external snapshot is not "
			"possible" },
	{ "created", .type = FIELD_TIME, .get = snapshot_created },
	{ "current", .type = FIELD_FLAG, FROM(struct snapshot, current),
		.says = "true: this is the parent of the next snapshot" },
	{ 0 },
};

struct snapshot_items {
	const struct snapshot *items;
	size_t count;
};

const struct field api_snapshot_list_answer[] = {
	{ "items", .type = FIELD_LIST, .of = api_snapshot_answer,
		FROM_LIST(struct snapshot_items, items, count),
		.says = "parents before their children" },
	{ 0 },
};

struct deletion {
	const char *name;
	bool metadata_only;
	struct snapshot_deleted deleted;
};

const struct field api_snapshot_delete_answer[] = {
	{ "name", .type = FIELD_TEXT, FROM(struct deletion, name) },
	{ "deleted", .type = FIELD_TEXTS, FROM_LIST(struct deletion, deleted.names, deleted.count),
		.says = "names of the deleted snapshots, the requested one first" },
	{ "metadata_only", .type = FIELD_FLAG, FROM(struct deletion, metadata_only),
		.says = "true: the disks still hold the snapshots' content" },
	{ 0 },
};

/* A revert always changes the VM. */
static struct json *snapshot_changed(const void *data, const void *context)
{
	(void)data;
	(void)context;
	return json_new_bool(true);
}

const struct field api_snapshot_revert_answer[] = {
	{ "Vm", VM_JSON_ALSO },
	{ "changed", .type = FIELD_FLAG, .get = snapshot_changed },
	{ 0 },
};

/* Handlers */

int api_snapshot_list(struct api_call *call, struct api_reply *reply, struct err *err)
{
	AUTO(free) struct snapshot *list = NULL;
	size_t count = 0;
	if (snapshot_list(call->api->host, api_text(call, "ref"), &list, &count, err) < 0)
		return -1;
	return api_reply_answer(call, &(struct snapshot_items){ list, count }, reply, err);
}

/* Every process computes the same for one user, key and body, so a replay may go to another. */
static struct snapshot_request request_of(const struct api_call *call)
{
	const struct http_req *req = call->req;
	struct snapshot_request request = { 0 };
	if (!*req->idempotency_key)
		return request;
	hash_secret_uuid(call->api->secret, req->user, req->idempotency_key, request.uuid);
	hash_text(req->body, req->body_len, request.body);
	return request;
}

/* The policy checks the document even if VIRTGATE_POLICY is off, as operators may send one. */
static int read_document(struct api_call *call, const struct snapshot_request *request,
	struct xml **ret, struct api_reply *reply, struct err *err)
{
	const struct arg *xml = api_arg(call, "xml");
	const char *name = api_text(call, "name");
	const char *description = api_text(call, "description");
	int rc = xml ? snapshot_xml_parse(xml->text, xml->len, request, ret, err)
		     : snapshot_xml_make(name, description, request, ret, err);
	return rc < 0 ? -1 : api_apply_policy(call, *ret, reply, err);
}

int api_snapshot_create(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct target target = api_target(call);
	const struct snapshot_request request = request_of(call);
	AUTO(xml_free) struct xml *doc = NULL;
	struct snapshot made;
	if (read_document(call, &request, &doc, reply, err) < 0 ||
		snapshot_create(&(struct snapshot_create){ .config = call->api->config,
					.host = call->api->host,
					.target = target,
					.doc = doc,
					.request = &request },
			&made, &reply->replayed, err) < 0 ||
		api_reply_answer(call, &made, reply, err) < 0)
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
	snapshot_etag(&snapshot, reply->etag);
	return api_reply_answer(call, &snapshot, reply, err);
}

int api_snapshot_delete(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct snapshot_delete delete = {
		.config = call->api->config,
		.host = call->api->host,
		.target = api_target(call),
		.name = api_text(call, "snap"),
		.children = api_flag(call, "children", false),
		.metadata_only = api_flag(call, "metadata_only", false),
	};
	struct deletion deletion = { delete.name, delete.metadata_only, { 0 } };
	if (snapshot_delete(&delete, &deletion.deleted, err) < 0)
		return -1;
	int rc = api_reply_answer(call, &deletion, reply, err);
	free(deletion.deleted.names);
	return rc;
}

static enum snapshot_state state_of(const char *word)
{
	if (word && !strcmp(word, "running"))
		return SNAPSHOT_RUNNING;
	return word && !strcmp(word, "paused") ? SNAPSHOT_PAUSED : SNAPSHOT_AS_SAVED;
}

/* A route without {snap} means the current snapshot. */
int api_snapshot_revert(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct snapshot_revert revert = {
		.config = call->api->config,
		.host = call->api->host,
		.target = api_target(call),
		.name = api_text(call, "snap"),
		.state = state_of(api_text(call, "state")),
		.force = api_flag(call, "force", false),
	};
	struct vm vm;
	if (snapshot_revert(&revert, &vm, err) < 0)
		return -1;
	return api_reply_answer(call, &vm, reply, err);
}
