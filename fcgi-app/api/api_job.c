/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "vm/job.h"

static const struct field progress_fields[] = {
	{ "total_bytes", FIELD_COUNT },
	{ "processed_bytes", FIELD_COUNT },
	{ "remaining_bytes", FIELD_COUNT },
	{ 0 },
};

static const struct field job_fields[] = {
	{ "operation", .type = FIELD_WORD, .words = JOB_OPERATION_NAMES, .example = "\"save\"" },
	{ "bounded", .type = FIELD_FLAG, .says = "is it known how long it takes?" },
	{ "elapsed_ms", FIELD_COUNT },
	{ "remaining_ms", FIELD_COUNT },
	{ "percent", .type = FIELD_NUMBER, .nullable = true, .max = 100 },
	{ "data", .type = FIELD_OBJECT, .of = progress_fields,
		.says = "memory and disks together" },
	{ "memory", .type = FIELD_OBJECT, .of = progress_fields },
	{ "disk", .type = FIELD_OBJECT, .of = progress_fields },
	{ 0 },
};

const struct field api_job_answer[] = {
	{ "job", .type = FIELD_OBJECT, .of = job_fields, .nullable = true,
		.says = "null: there is none" },
	{ 0 },
};

const struct field api_job_abort_answer[] = {
	{ "uuid", .type = FIELD_TEXT },
	{ "name", .type = FIELD_TEXT },
	{ "changed", .type = FIELD_FLAG, .says = "false: there was no job" },
	{ 0 },
};

static struct json *progress_json(const struct job_progress *progress)
{
	struct json *o = json_new_object();
	json_put_count(o, "total_bytes", progress->total);
	json_put_count(o, "processed_bytes", progress->processed);
	json_put_count(o, "remaining_bytes", progress->remaining);
	return o;
}

/* By what is left: of memory that is all zeros next to nothing is ever processed. */
static int64_t percent(const struct job_progress *data)
{
	enum { ALL = 100 };
	if (data->total <= 0 || data->remaining < 0 || data->remaining > data->total)
		return -1;
	return (int64_t)((double)(data->total - data->remaining) / (double)data->total * ALL);
}

static struct json *job_json(const struct job *job)
{
	struct json *o = json_new_object();
	json_put_string(o, "operation", job->operation);
	json_put_bool(o, "bounded", job->bounded);
	json_put_count(o, "elapsed_ms", job->elapsed_ms);
	json_put_count(o, "remaining_ms", job->remaining_ms);
	json_put_count(o, "percent", percent(&job->data));
	json_put(o, "data", progress_json(&job->data));
	json_put(o, "memory", progress_json(&job->memory));
	json_put(o, "disk", progress_json(&job->disk));
	return o;
}

int api_job_get(struct api_call *call, struct api_reply *reply, struct err *err)
{
	struct job job;
	if (job_read(call->api->host, api_text(call, "ref"), &job, err) < 0)
		return -1;
	struct json *answer = json_new_object();
	json_put(answer, "job", job.running ? job_json(&job) : NULL);
	return api_reply_json(reply, answer, err);
}

int api_job_abort(struct api_call *call, struct api_reply *reply, struct err *err)
{
	struct vm_ref ref;
	bool changed = false;
	if (job_abort(call->api->host, api_text(call, "ref"), &ref, &changed, err) < 0)
		return -1;
	struct json *answer = json_new_object();
	json_put_string(answer, "uuid", ref.uuid);
	json_put_string(answer, "name", ref.name);
	json_put_bool(answer, "changed", changed);
	return api_reply_json(reply, answer, err);
}
