/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "vm/job.h"

static const struct field progress_fields[] = {
	{ "total_bytes", FIELD_COUNT, FROM(struct job_progress, total) },
	{ "processed_bytes", FIELD_COUNT, FROM(struct job_progress, processed) },
	{ "remaining_bytes", FIELD_COUNT, FROM(struct job_progress, remaining) },
	{ 0 },
};

/* By what remains: memory that is all zeros is hardly counted as processed. */
static struct json *job_percent(const void *data, const void *context)
{
	enum { ALL = 100 };
	const struct job_progress *sum = &((const struct job *)data)->data;
	(void)context;
	if (sum->total <= 0 || sum->remaining < 0 || sum->remaining > sum->total)
		return NULL;
	double done = (double)(sum->total - sum->remaining);
	return json_new_int((int64_t)(done / (double)sum->total * ALL));
}

static const struct field job_fields[] = {
	{ "operation", .type = FIELD_WORD, FROM(struct job, operation),
		.words = JOB_OPERATION_NAMES, .example = "\"save\"" },
	{ "bounded", .type = FIELD_FLAG, FROM(struct job, bounded),
		.says = "true: the amount of work is known" },
	{ "elapsed_ms", FIELD_COUNT, FROM(struct job, elapsed_ms) },
	{ "remaining_ms", FIELD_COUNT, FROM(struct job, remaining_ms) },
	{ "percent", .type = FIELD_NUMBER, .get = job_percent, .nullable = true, .max = 100 },
	{ "data", .type = FIELD_OBJECT, .of = progress_fields, FROM(struct job, data),
		.says = "memory and disks added up" },
	{ "memory", .type = FIELD_OBJECT, .of = progress_fields, FROM(struct job, memory) },
	{ "disk", .type = FIELD_OBJECT, .of = progress_fields, FROM(struct job, disk) },
	{ 0 },
};

static struct json *job_running(const void *data, const void *context)
{
	const struct job *job = data;
	return job->running ? answer_json(job_fields, job, context) : NULL;
}

const struct field api_job_answer[] = {
	{ "job", .type = FIELD_OBJECT, .of = job_fields, .get = job_running, .nullable = true,
		.says = "null: no job is running" },
	{ 0 },
};

struct aborted {
	struct vm_ref ref;
	bool changed;
};

const struct field api_job_abort_answer[] = {
	{ "uuid", .type = FIELD_TEXT, FROM(struct aborted, ref.uuid) },
	{ "name", .type = FIELD_TEXT, FROM(struct aborted, ref.name) },
	{ "changed", .type = FIELD_FLAG, FROM(struct aborted, changed),
		.says = "false: no job was running" },
	{ 0 },
};

int api_job_get(struct api_call *call, struct api_reply *reply, struct err *err)
{
	struct job job;
	if (job_read(call->api->host, api_text(call, "ref"), &job, err) < 0)
		return -1;
	return api_reply_answer(call, &job, reply, err);
}

int api_job_abort(struct api_call *call, struct api_reply *reply, struct err *err)
{
	struct aborted aborted = { 0 };
	if (job_abort(call->api->host, api_text(call, "ref"), &aborted.ref, &aborted.changed, err) <
		0)
		return -1;
	return api_reply_answer(call, &aborted, reply, err);
}
