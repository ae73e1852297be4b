/* SPDX-License-Identifier: MIT */
#include "api/api.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Replies */

static void drop_body(struct api_reply *reply)
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
	drop_body(reply);
	if (reply->stream)
		reply->stream->drop(reply->stream);
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

struct json *api_violations_json(const struct policy_report *report)
{
	struct json *array = json_new_array();
	for (size_t i = 0; i < report->count; i++) {
		struct json *o = json_new_object();
		json_put_string(o, "path", report->found[i].path);
		json_put_string(o, "value", report->found[i].value);
		json_put_string(o, "rule", report->found[i].rule);
		json_push(array, o);
	}
	return array;
}

int api_apply_policy(const struct api_call *call, const struct xml *doc, struct api_reply *reply,
	struct err *err)
{
	struct policy_report report;
	if (policy_check(doc, call->api->config, &report, err) < 0)
		return -1;
	if (!report.count)
		return 0;
	reply->violations = api_violations_json(&report);
	return err_set(err, ERR_POLICY_DENIED,
		"the policy does not allow what the XML says, first at %s: %s",
		report.found[0].path, report.found[0].rule);
}

const struct field api_violation_fields[] = {
	{ "path", .type = FIELD_TEXT, .says = "XPath" },
	{ "value", .type = FIELD_TEXT, .nullable = true },
	{ "rule", .type = FIELD_TEXT, .says = "what is right" },
	{ 0 },
};

static const struct field libvirt_fields[] = {
	{ "code", .type = FIELD_NUMBER, .says = "virErrorNumber" },
	{ "domain", .type = FIELD_NUMBER, .says = "virErrorDomain" },
	{ "message", .type = FIELD_TEXT, .optional = true, .says = "for admins" },
	{ 0 },
};

const struct field api_problem_fields[] = {
	{ "type", .type = FIELD_TEXT, .says = "about:blank: the code says it" },
	{ "title", .type = FIELD_TEXT, .says = "the status in words", .example = "\"Conflict\"" },
	{ "status", .type = FIELD_NUMBER, .min = 400, .max = 599, .example = "409" },
	{ "code", .type = FIELD_TEXT, .says = "for programs; never changes its meaning",
		.example = "\"wrong_state\"" },
	{ "detail", .type = FIELD_TEXT, .says = "what was wrong, for people" },
	{ "request_id", .type = FIELD_TEXT },
	{ "retryable", .type = FIELD_FLAG, .says = "the same may succeed later" },
	{ "hint", .type = FIELD_TEXT, .optional = true, .says = "what to do about it" },
	{ "state", .type = FIELD_WORD, .words = VM_STATE_NAMES, .optional = true,
		.says = "the VM's, which forbids it" },
	{ "allowed", .type = FIELD_TEXTS, .optional = true, .says = "methods of this path" },
	{ "line", .type = FIELD_NUMBER, .min = 1, .optional = true, .says = "in the body" },
	{ "column", .type = FIELD_NUMBER, .optional = true, .says = "in the body" },
	{ "violations", .type = FIELD_LIST, .of = api_violation_fields, .optional = true,
		.says = "of the policy, at most 32" },
	{ "libvirt", .type = FIELD_OBJECT, .of = libvirt_fields, .optional = true },
	{ 0 },
};

static struct json *allowed_array(const char *allow)
{
	struct json *array = json_new_array();
	char copy[64];
	(void)snprintf(copy, sizeof copy, "%s", allow);
	char *rest = copy;
	for (char *method; (method = strsep(&rest, ", "));)
		if (*method)
			json_push_string(array, method);
	return array;
}

static struct json *libvirt_object(const struct err *err, enum role role)
{
	struct json *object = json_new_object();
	json_put_int(object, "code", err->libvirt_code);
	json_put_int(object, "domain", err->libvirt_domain);
	/* It may hold paths of the host and QEMU's own output. */
	if (role == ROLE_ADMIN && err->private[0])
		json_put_string(object, "message", err->private);
	return object;
}

static int retry_after(const struct err *err)
{
	return err->unknown ? 0 : err_retry_after(err->kind);
}

/* RFC 9457 section 3.1; the type about:blank takes the status' own title (section 4.2.1). */
struct json *api_problem_json(
	const struct err *err, const char *request_id, enum role role, struct json *violations)
{
	int status = err_status(err->kind);
	struct json *p = json_new_object();
	json_put_string(p, "type", "about:blank");
	json_put_string(p, "title", http_reason(status));
	json_put_int(p, "status", status);
	json_put_string(p, "code", err_code(err->kind));
	json_put_string(p, "detail", err->text);
	json_put_string(p, "request_id", request_id);
	json_put_bool(p, "retryable", retry_after(err) > 0);
	if (err->hint[0])
		json_put_string(p, "hint", err->hint);
	if (err->state[0])
		json_put_string(p, "state", err->state);
	if (err->allow[0])
		json_put(p, "allowed", allowed_array(err->allow));
	if (err->line) {
		json_put_int(p, "line", err->line);
		json_put_int(p, "column", err->column);
	}
	if (violations)
		json_put(p, "violations", violations);
	if (err->libvirt_code)
		json_put(p, "libvirt", libvirt_object(err, role));
	return p;
}

static void reply_error(struct api_reply *reply, const struct http_req *req, const struct err *err)
{
	struct err failed;
	struct api_reply made = { .role = reply->role, .failed = true, .err = *err };
	struct json *violations = TAKE(reply->violations);
	api_reply_done(reply);
	if (api_reply_json(&made, api_problem_json(err, req->request_id, reply->role, violations),
		    &failed) < 0)
		made.body = NULL; /* even that: the status must do */
	made.type = "application/problem+json";
	made.status = err_status(err->kind);
	made.retry_after = retry_after(err);
	(void)snprintf(made.allow, sizeof made.allow, "%s", err->allow);
	*reply = made;
}

void api_answer_error(const struct api_call *call, const struct err *err, struct api_reply *ret)
{
	*ret = (struct api_reply){ .role = call->role };
	reply_error(ret, call->req, err);
}

/* Arguments */

const struct arg *api_arg(const struct api_call *call, const char *name)
{
	for (size_t i = 0; i < call->arg_count; i++)
		if (!strcmp(call->args[i].name, name))
			return &call->args[i];
	return NULL;
}

const char *api_text(const struct api_call *call, const char *name)
{
	const struct arg *arg = api_arg(call, name);
	return arg ? arg->text : NULL;
}

bool api_flag(const struct api_call *call, const char *name, bool preset)
{
	const struct arg *arg = api_arg(call, name);
	return arg ? arg->flag : preset;
}

struct target api_target(const struct api_call *call)
{
	return (struct target){ api_text(call, "ref"), call->req->if_match };
}

/* `given` is the name that the client knows it by. */
static int add_arg(struct api_call *call, const struct arg *arg, const char *given, struct err *err)
{
	if (api_arg(call, arg->name))
		return err_set(err, ERR_BAD_REQUEST, "%s: given twice", given);
	if (call->arg_count == API_ARGS_MAX)
		return err_set(err, ERR_BAD_REQUEST, "too many parameters");
	call->args[call->arg_count++] = *arg;
	return 0;
}

static const char *arg_name(const struct field *field)
{
	return field->as ? field->as : field->name;
}

static int read_param(struct api_call *call, const char *name, const char *value, struct err *err)
{
	const struct field *field = field_find(call->route->query, name);
	if (!field)
		return field_unknown(call->route->query, "query parameter", name, err);
	if (field_check_param(field, value, err) < 0)
		return -1;
	struct arg arg = {
		.name = arg_name(field),
		.text = value,
		.len = strlen(value),
		.flag = field->type == FIELD_FLAG && value[0] == '1',
	};
	return add_arg(call, &arg, name, err);
}

static int read_query(struct api_call *call, const struct http_query *query, struct err *err)
{
	for (size_t i = 0; i < query->count; i++)
		if (read_param(call, query->param[i].name, query->param[i].value, err) < 0)
			return -1;
	for (const struct field *f = call->route->query; f && f->name; f++)
		if (f->required && !api_arg(call, arg_name(f)))
			return err_set(err, ERR_BAD_REQUEST, "%s: this query parameter is missing",
				f->name);
	return 0;
}

struct member_args {
	struct api_call *call;
	struct err *err;
};

/* Of a body that has been checked. */
static int add_member(const char *name, const struct json *value, void *data)
{
	struct member_args *args = data;
	struct arg arg = { .name = arg_name(field_find(args->call->route->fields, name)) };
	if (json_kind_of(value) == JSON_IS_STRING)
		arg.text = json_get_string(value, &arg.len);
	if (json_kind_of(value) == JSON_IS_BOOL)
		arg.flag = json_get_bool(value);
	return add_arg(args->call, &arg, name, args->err);
}

/* The body's media type; API_BODY_NONE: one that this route does not take. */
static unsigned body_kind(const struct api_call *call)
{
	const char *type = call->req->content_type;
	if (http_is_media_type(type, "application/json") && call->route->body != API_BODY_XML)
		return API_BODY_JSON;
	if (http_is_media_type(type, API_PATCH_TYPE))
		return call->route->body & API_BODY_PATCH;
	if (http_is_media_type(type, "application/xml") || http_is_media_type(type, "text/xml"))
		return call->route->body & API_BODY_XML;
	if (http_is_media_type(type, "text/plain"))
		return call->route->body & API_BODY_TEXT;
	return API_BODY_NONE;
}

static int refuse_media_type(const struct api_call *call, struct err *err)
{
	const char *type = call->req->content_type;
	static const char *const media[] = {
		[API_BODY_NONE] = "application/json",
		[API_BODY_JSON] = "application/json",
		[API_BODY_XML] = "application/xml",
		[API_BODY_JSON | API_BODY_XML] = "application/json or application/xml",
		[API_BODY_JSON | API_BODY_TEXT] = "application/json or text/plain",
		[API_BODY_PATCH] = API_PATCH_TYPE,
	};
	const char *right = media[call->route->body];
	if (!*type)
		return err_set(err, ERR_UNSUPPORTED_MEDIA_TYPE,
			"the body has no Content-Type: say %s", right);
	return err_set(err, ERR_UNSUPPORTED_MEDIA_TYPE,
		"a body of type '%.64s' is not taken here: send %s", type, right);
}

/* Fills the arguments from the body; *ret_json keeps their texts alive. */
static int read_body(struct api_call *call, struct json **ret_json, struct err *err)
{
	const struct http_req *req = call->req;
	unsigned kind = req->body_len ? body_kind(call) : API_BODY_JSON;
	if (kind == API_BODY_NONE)
		return refuse_media_type(call, err);
	if (kind == API_BODY_XML || kind == API_BODY_TEXT) {
		const char *name = kind == API_BODY_XML ? "xml" : "text";
		struct arg whole = { .name = name, .text = req->body, .len = req->body_len };
		return add_arg(call, &whole, "the body", err);
	}
	if (!req->body_len)
		*ret_json = json_new_object();
	else if (json_parse(req->body, req->body_len, ret_json, err) < 0)
		return -1;
	if (field_check_object(call->route->fields, *ret_json, err) < 0)
		return -1;
	struct member_args args = { .call = call, .err = err };
	call->body = *ret_json;
	return json_each(*ret_json, add_member, &args);
}

/* Routing */

/* The name in {braces}, as text that ends there. */
static const char *path_arg_name(const char *braced)
{
	static const char *const names[] = { "ref", "snap" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		size_t n = strlen(names[i]);
		if (!strncmp(braced + 1, names[i], n) && braced[n + 1] == '}')
			return names[i];
	}
	assert(!"the table has a name that is not listed here");
	return "";
}

/* Does the pattern match? Its {arguments} are added to the call when one is given. */
static bool match_path(const char *pattern, const struct http_path *path, struct api_call *call)
{
	size_t i = 0;
	for (const char *p = pattern; *p == '/'; i++) {
		size_t n = strcspn(++p, "/");
		if (i == path->count)
			return false;
		const char *segment = path->segment[i];
		if (*p != '{' && (strlen(segment) != n || strncmp(p, segment, n) != 0))
			return false;
		if (*p == '{' && call)
			/* A pattern has fewer names than API_ARGS_MAX. */
			call->args[call->arg_count++] = (struct arg){
				.name = path_arg_name(p),
				.text = segment,
				.len = strlen(segment),
			};
		p += n;
	}
	return i == path->count;
}

static enum http_method row_method(enum http_method method)
{
	return method == HTTP_HEAD ? HTTP_GET : method;
}

static bool is_safe(enum http_method method)
{
	return row_method(method) == HTTP_GET || method == HTTP_OPTIONS;
}

/* Finds the row, or for OPTIONS the path alone, and what the path allows. */
static int find_route(struct api_call *call, const struct http_path *path, struct err *err)
{
	const struct api *api = call->api;
	char *allow = call->allow;
	size_t n = 0;
	for (size_t i = 0; i < api->route_count; i++) {
		const struct route *route = &api->routes[i];
		if (!match_path(route->path, path, NULL))
			continue;
		call->open = route->role == ROLE_NONE;
		call->patchable = call->patchable || route->method == HTTP_PATCH;
		const char *name =
			route->method == HTTP_GET ? "GET, HEAD" : http_method_name(route->method);
		n += (size_t)snprintf(
			allow + n, sizeof call->allow - n, "%s%s", n ? ", " : "", name);
		if (route->method != row_method(call->req->method))
			continue;
		(void)match_path(route->path, path, call);
		call->route = route;
	}
	if (!n)
		return err_set(
			err, ERR_NOT_FOUND, "there is nothing at this path; GET /v1 is the start");
	(void)snprintf(allow + n, sizeof call->allow - n, ", OPTIONS");
	if (call->route || call->req->method == HTTP_OPTIONS)
		return 0;
	(void)err_set(err, ERR_METHOD_NOT_ALLOWED, "this path knows only %s", allow);
	(void)snprintf(err->allow, sizeof err->allow, "%s", allow);
	return -1;
}

static const char *const role_names[] = {
	[ROLE_NONE] = "none",
	[ROLE_VIEWER] = "viewer",
	[ROLE_OPERATOR] = "operator",
	[ROLE_ADMIN] = "admin",
};

const char *api_role_name(enum role role)
{
	return role_names[role];
}

static enum role role_of(const struct api *api, const struct http_req *req)
{
	if (!*req->user)
		return (enum role)api->config->anonymous;
	for (size_t r = ROLE_VIEWER; r < ARRAY_LEN(role_names); r++)
		if (!strcmp(req->role, role_names[r]))
			return (enum role)r;
	return ROLE_NONE;
}

/* Who is not known is not told which paths there are. */
static int refuse_strangers(const struct api_call *call, struct err *err)
{
	if (call->open)
		return 0;
	if (call->role == ROLE_NONE && !*call->req->user)
		return err_set(err, ERR_UNAUTHENTICATED, "this needs a user; none was given");
	if (call->role == ROLE_NONE)
		return err_set(
			err, ERR_FORBIDDEN, "user '%.64s' has no role here", call->req->user);
	if (call->route && call->role < call->route->role)
		return err_set(err, ERR_FORBIDDEN, "this needs the role %s, and user '%.64s' is %s",
			api_role_name(call->route->role), call->req->user,
			api_role_name(call->role));
	return 0;
}

/* A page of another site can make a browser send its user's credentials along. */
static int refuse_other_sites(const struct api_call *call, struct err *err)
{
	if (is_safe(call->req->method) || !http_is_cross_site(call->req))
		return 0;
	return err_set(err, ERR_CROSS_SITE, "a page of another site may not change anything here");
}

/* A precondition that is not looked at must not seem to have been met. */
static int refuse_preconditions(const struct api_call *call, struct err *err)
{
	const struct http_req *req = call->req;
	if (is_safe(req->method))
		return 0;
	if (*req->if_none_match)
		return err_set(err, ERR_BAD_REQUEST, "If-None-Match: only GET and HEAD know it");
	if (*req->if_match && !call->route->if_match)
		return err_set(err, ERR_BAD_REQUEST, "If-Match: this request does not know it");
	return 0;
}

static int check_key(const struct api_call *call, struct err *err)
{
	const char *key = call->req->idempotency_key;
	if (*key && call->route->keyed && strlen(key) > API_KEY_MAX)
		return err_set(
			err, ERR_BAD_REQUEST, "Idempotency-Key: longer than %d bytes", API_KEY_MAX);
	return 0;
}

enum inventory_need api_need(const struct api_call *call)
{
	return http_has_directive(call->req->cache_control, "no-cache") ? INVENTORY_FRESH
									: INVENTORY_STALE_OK;
}

bool api_is_held(const struct api_call *call, const struct api_reply *reply)
{
	const char *held = call->req->if_none_match;
	return *held && etag_is_listed(held, reply->etag);
}

/* RFC 9110 sections 8.8.3, 13.1.2 and 15.4.5. A file that nginx sends is tagged by nginx. */
static void tag(const struct api_call *call, struct api_reply *reply)
{
	if (row_method(call->req->method) != HTTP_GET || reply->status != 200 ||
		reply->kind != API_REPLY_BODY)
		return;
	if (!reply->etag[0])
		etag_make(reply->body, reply->body_len, reply->etag);
	if (!api_is_held(call, reply))
		return;
	reply->status = 304;
	reply->type = NULL;
	drop_body(reply);
}

static void reply_options(const struct api_call *call, struct api_reply *reply)
{
	reply->status = 204;
	(void)snprintf(reply->allow, sizeof reply->allow, "%s", call->allow);
	reply->accept_patch = call->patchable ? API_PATCH_TYPE : NULL;
}

static int run(struct api_call *call, const struct http_query *query, struct api_reply *reply,
	struct err *err)
{
	AUTO(json_free) struct json *body = NULL;
	assert(call->route);
	if (refuse_preconditions(call, err) < 0 || check_key(call, err) < 0 ||
		read_query(call, query, err) < 0 || read_body(call, &body, err) < 0)
		return -1;
	reply->status = call->route->status;
	if (call->route->handle(call, reply, err) < 0)
		return -1;
	tag(call, reply);
	return 0;
}

void api_call_init(struct api *api, const struct http_req *req, struct api_call *ret)
{
	*ret = (struct api_call){ .api = api, .req = req, .role = role_of(api, req) };
	ret->found = http_path_parse(req->target, &ret->path, &ret->missing);
	if (!ret->found)
		ret->found = find_route(ret, &ret->path, &ret->missing);
}

int api_deadline(const struct api_call *call)
{
	const struct config *config = call->api->config;
	if (call->route && call->route->takes_long)
		return config->long_deadline;
	return is_safe(call->req->method) ? config->read_deadline : config->action_deadline;
}

void api_call_done(struct api_call *call)
{
	http_path_done(&call->path);
}

static int answer(struct api_call *call, struct api_reply *reply, struct err *err)
{
	__attribute__((cleanup(http_query_done))) struct http_query query = { 0 };
	if (refuse_strangers(call, err) < 0 || refuse_other_sites(call, err) < 0)
		return -1;
	if (call->found < 0) {
		*err = call->missing;
		return -1;
	}
	if (!call->route) {
		reply_options(call, reply);
		return 0;
	}
	if (http_query_parse(call->req->target, &query, err) < 0)
		return -1;
	return run(call, &query, reply, err);
}

void api_answer(struct api_call *call, struct api_reply *ret)
{
	struct err err;
	*ret = (struct api_reply){ .role = call->role };
	if (answer(call, ret, &err) < 0)
		reply_error(ret, call->req, &err);
}

/* Metrics */

/* A row for each route, and behind these one for each method without a route. */
struct metrics *api_metrics_new(const struct route *table, size_t count)
{
	AUTO(free) struct metrics_row *rows = calloc(count + HTTP_METHOD_COUNT, sizeof *rows);
	if (!rows)
		return NULL;
	for (size_t i = 0; i < count; i++)
		rows[i] = (struct metrics_row){ table[i].path, http_method_name(table[i].method) };
	for (int method = 0; method < HTTP_METHOD_COUNT; method++)
		rows[count + (size_t)method] = (struct metrics_row){ "", http_method_name(method) };
	return metrics_new(rows, count + HTTP_METHOD_COUNT);
}

void api_count(const struct api_call *call, const struct api_reply *reply, int64_t microseconds)
{
	const struct api *api = call->api;
	size_t row = call->route ? (size_t)(call->route - api->routes)
				 : api->route_count + call->req->method;
	metrics_count(api->metrics, row, reply->status, microseconds);
}
