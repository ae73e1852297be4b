/* SPDX-License-Identifier: MIT */
/* Replies, and errors as replies: declared in api.h. */
#include "api/api.h"

#include <stdio.h>
#include <string.h>

void api_reply_drop_body(struct api_reply *reply)
{
	if (reply->shared)
		rendering_give(TAKE(reply->shared));
	else
		free(reply->body);
	reply->body = NULL;
	reply->body_len = 0;
}

void api_reply_done(struct api_reply *reply)
{
	api_reply_drop_body(reply);
	if (reply->stream)
		reply->stream->drop(reply->stream);
	if (reply->later)
		reply->later->drop(reply->later);
	free(reply->redirect);
	free(reply->location);
	json_free(reply->violations);
}

void api_reply_shared(struct api_reply *reply, struct rendering *rendering, const char *type)
{
	reply->shared = rendering;
	reply->body = rendering->text;
	reply->body_len = rendering->len;
	reply->type = type;
}

int api_reply_json(struct api_reply *reply, struct json *value, struct err *err)
{
	int rc = json_text(value, &reply->body, &reply->body_len, err);
	json_free(value);
	reply->type = "application/json";
	return rc;
}

int api_reply_answer(
	const struct api_call *call, const void *data, struct api_reply *reply, struct err *err)
{
	return api_reply_json(reply, answer_json(call->route->answer, data, call), err);
}

static int encode_path(const char *const segments[], char **ret, struct err *err)
{
	AUTO(free) char *path = strdup("");
	for (; path && *segments; segments++) {
		AUTO(free) char *segment = http_encode_segment(*segments);
		char *longer = NULL;
		if (!segment || asprintf(&longer, "%s/%s", path, segment) < 0)
			return err_memory(err);
		free(path);
		path = longer;
	}
	if (!path)
		return err_memory(err);
	*ret = TAKE(path);
	return 0;
}

int api_reply_location(struct api_reply *reply, const char *const segments[], struct err *err)
{
	return encode_path(segments, &reply->location, err);
}

int api_reply_redirect(
	struct api_reply *reply, const char *const segments[], const char *type, struct err *err)
{
	if (encode_path(segments, &reply->redirect, err) < 0)
		return -1;
	reply->kind = API_REPLY_REDIRECT;
	reply->type = type;
	return 0;
}

void api_reply_stream(struct api_reply *reply, struct api_stream *stream, const char *type)
{
	reply->kind = API_REPLY_STREAM;
	reply->stream = stream;
	reply->type = type;
}

void api_reply_later(struct api_reply *reply, struct api_later *later)
{
	reply->kind = API_REPLY_LATER;
	reply->later = later;
}

/* Errors */

const struct field api_violation_fields[] = {
	{ "path", .type = FIELD_TEXT, FROM(struct policy_violation, path),
		.says = "XPath of what the policy refuses" },
	{ "value", .type = FIELD_TEXT, FROM(struct policy_violation, value) },
	{ "rule", .type = FIELD_TEXT, FROM(struct policy_violation, rule),
		.says = "the rule of the policy that the value breaks" },
	{ 0 },
};

/* The members of an error as RFC 9457 has them, and ours; NULL or -1: left out. */
struct problem_libvirt {
	int code, domain;
	const char *message;
};

struct problem {
	const char *type, *title;
	int status;
	const char *code, *detail, *request_id;
	bool retryable;
	const char *hint, *state;
	int line, column;
	struct json *allowed, *violations, *libvirt; /* owned */
};

static const struct field libvirt_fields[] = {
	{ "code", .type = FIELD_NUMBER, FROM(struct problem_libvirt, code),
		.says = "virErrorNumber" },
	{ "domain", .type = FIELD_NUMBER, FROM(struct problem_libvirt, domain),
		.says = "virErrorDomain" },
	{ "message", .type = FIELD_TEXT, FROM(struct problem_libvirt, message), .optional = true,
		.says = "libvirt's own message; only admins get it" },
	{ 0 },
};

const struct field api_problem_fields[] = {
	{ "type", .type = FIELD_TEXT, FROM(struct problem, type),
		.says = "always about:blank; the code identifies the problem" },
	{ "title", .type = FIELD_TEXT, FROM(struct problem, title),
		.says = "the reason phrase of the status", .example = "\"Conflict\"" },
	{ "status", .type = FIELD_NUMBER, FROM(struct problem, status), .min = 400, .max = 599,
		.example = "409" },
	{ "code", .type = FIELD_TEXT, FROM(struct problem, code),
		.says = "identifies the problem for programs; its meaning never changes",
		.example = "\"wrong_state\"" },
	{ "detail", .type = FIELD_TEXT, FROM(struct problem, detail),
		.says = "describes the problem for people" },
	{ "request_id", .type = FIELD_TEXT, FROM(struct problem, request_id) },
	{ "retryable", .type = FIELD_FLAG, FROM(struct problem, retryable),
		.says = "true: the same request may succeed later" },
	{ "hint", .type = FIELD_TEXT, FROM(struct problem, hint), .optional = true,
		.says = "what the client can do" },
	{ "state", .type = FIELD_WORD, FROM(struct problem, state), .words = VM_STATE_NAMES,
		.optional = true, .says = "the VM's state, in which the request is impossible" },
	{ "allowed", .type = FIELD_TEXTS, FROM(struct problem, allowed), .optional = true,
		.says = "methods that the path has" },
	{ "line", .type = FIELD_NUMBER, FROM(struct problem, line), .min = 1, .optional = true,
		.says = "in the body" },
	{ "column", .type = FIELD_NUMBER, FROM(struct problem, column), .optional = true,
		.says = "in the body" },
	{ "violations", .type = FIELD_LIST, .of = api_violation_fields,
		FROM(struct problem, violations), .optional = true,
		.says = "what the policy refuses: the first 32 at most" },
	{ "libvirt", .type = FIELD_OBJECT, .of = libvirt_fields, FROM(struct problem, libvirt),
		.optional = true },
	{ 0 },
};

static int retry_after(const struct err *err)
{
	return err->unknown ? 0 : err_retry_after(err->kind);
}

static struct json *allowed_methods(const char *allow)
{
	struct json *methods = json_new_array();
	char copy[sizeof((struct err *)0)->allow];
	(void)snprintf(copy, sizeof copy, "%s", allow);
	char *rest = copy;
	for (char *method; (method = strsep(&rest, ", "));)
		if (*method)
			json_push_string(methods, method);
	return methods;
}

/* RFC 9457 section 3.1; the type about:blank takes the status' own title (section 4.2.1). */
struct json *api_problem_json(
	const struct err *err, const char *request_id, enum role role, struct json *violations)
{
	struct problem problem = {
		.type = "about:blank",
		.title = http_reason(err_status(err->kind)),
		.status = err_status(err->kind),
		.code = err_code(err->kind),
		.detail = err->text,
		.request_id = request_id,
		.retryable = retry_after(err) > 0,
		.hint = err->hint[0] ? err->hint : NULL,
		.state = err->state[0] ? err->state : NULL,
		.line = err->line ? err->line : -1,
		.column = err->line ? err->column : -1,
		.allowed = err->allow[0] ? allowed_methods(err->allow) : NULL,
		.violations = violations,
	};
	if (err->libvirt_code) {
		/* The message may hold paths of the host and QEMU's own output. */
		bool whole = role == ROLE_ADMIN && err->private[0];
		const struct problem_libvirt libvirt = { err->libvirt_code, err->libvirt_domain,
			whole ? err->private : NULL };
		problem.libvirt = answer_json(libvirt_fields, &libvirt, NULL);
	}
	struct json *answer = answer_json(api_problem_fields, &problem, NULL);
	json_free(problem.allowed);
	json_free(problem.violations);
	json_free(problem.libvirt);
	return answer;
}

int api_apply_policy(const struct api_call *call, const struct xml *doc, struct api_reply *reply,
	struct err *err)
{
	struct policy_report report;
	if (policy_check(doc, call->api->config, &report, err) < 0)
		return -1;
	if (!report.count)
		return 0;
	reply->violations = json_new_array();
	for (size_t i = 0; i < report.count; i++)
		json_push(reply->violations,
			answer_json(api_violation_fields, &report.found[i], call));
	return err_set(err, ERR_POLICY_DENIED, "the policy refuses the XML, first at %s: %s",
		report.found[0].path, report.found[0].rule);
}

void api_reply_error(const struct api_call *call, const struct err *err, struct api_reply *reply)
{
	struct err failed;
	struct api_reply made = {
		.role = call->role,
		.failed = true,
		.err = *err,
		.status = err_status(err->kind),
		.retry_after = retry_after(err),
	};
	struct json *violations = TAKE(reply->violations);
	api_reply_done(reply);
	if (api_reply_json(&made,
		    api_problem_json(err, call->req->request_id, call->role, violations),
		    &failed) < 0)
		made.body = NULL; /* out of memory: the status must do */
	made.type = "application/problem+json";
	(void)snprintf(made.allow, sizeof made.allow, "%s", err->allow);
	*reply = made;
}

void api_answer_error(const struct api_call *call, const struct err *err, struct api_reply *ret)
{
	*ret = (struct api_reply){ 0 };
	api_reply_error(call, err, ret);
}
