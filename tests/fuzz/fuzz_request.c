/* SPDX-License-Identifier: MIT */
/*
 * Requests, up to four in a row, through the dispatcher and the handlers to libvirt's test driver:
 * a line of method, target and role, headers, an empty line, a body; "%%" on a line of its own
 * begins the next. Of every answer
 *  - the status and the code are those that the OpenAPI document has for the route;
 *  - the body is what the table of its fields says, and of an error an RFC 9457 problem;
 *  - nothing is `internal`;
 *  - an error, a safe method, a dry run and a viewer change nothing.
 */
#include "api/handlers.h"
#include "api/openapi.h"
#include "api/routes.h"
#include "base/text.h"
#include "libvirt/host_info.h"
#include "shape.h"
#include "vm/agents.h"
#include "vm/events.h"
#include "world.h"

static const struct config config = {
	.workers = 4,
	.read_deadline = 10,
	.action_deadline = 30,
	.long_deadline = 600,
	.images = "/nowhere/images",
	.shares = "/nowhere/fs",
	.logs = "/nowhere/logs",
	.templates = TEMPLATES,
	.networks = "default",
	.bridges = "virbr0",
};
static struct api api = { .config = &config, .routes = routes };
static struct json *document; /* of OpenAPI */
static uint64_t untouched;

/* Reading the input */

struct request {
	char *memory; /* of its first line and headers */
	struct http_req req;
};

static const struct {
	const char *name;
	size_t offset;
} headers[] = {
	{ "Content-Type", offsetof(struct http_req, content_type) },
	{ "Origin", offsetof(struct http_req, origin) },
	{ "Sec-Fetch-Site", offsetof(struct http_req, sec_fetch_site) },
	{ "Host", offsetof(struct http_req, host) },
	{ "If-Match", offsetof(struct http_req, if_match) },
	{ "If-None-Match", offsetof(struct http_req, if_none_match) },
	{ "Idempotency-Key", offsetof(struct http_req, idempotency_key) },
};

static void read_header(struct http_req *req, const char *line)
{
	for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
		size_t n = strlen(headers[i].name);
		if (!strncmp(line, headers[i].name, n) && !strncmp(line + n, ": ", 2))
			*(const char **)(void *)((char *)req + headers[i].offset) = line + n + 2;
	}
}

static const char *word(char **rest)
{
	const char *s = strsep(rest, " ");
	return s ? s : "";
}

/* A request without a role has no user. */
static void read_first_line(struct http_req *req, char *line)
{
	req->method = http_method_of(word(&line));
	req->target = word(&line);
	req->role = word(&line);
	req->user = *req->role ? "somebody" : "";
}

static void read_request(const char *text, size_t size, struct request *ret)
{
	const char *head_end = memmem(text, size, "\n\n", 2);
	size_t head_len = head_end ? (size_t)(head_end - text) : size;
	ret->memory = fuzz_text((const uint8_t *)text, head_len);
	ret->req = (struct http_req){ .content_type = "",
		.request_id = "id-1",
		.origin = "",
		.sec_fetch_site = "",
		.scheme = "https",
		.host = "",
		.if_match = "",
		.if_none_match = "",
		.idempotency_key = "",
		.cache_control = "" };
	char *rest = ret->memory;
	read_first_line(&ret->req, strsep(&rest, "\n"));
	while (rest)
		read_header(&ret->req, strsep(&rest, "\n"));
	/* A NUL follows a body, as it does in the server. */
	size_t len = head_end ? size - head_len - 2 : 0;
	char *body = malloc(len + 1);
	insist(body, "memory");
	memcpy(body, text + size - len, len);
	body[len] = '\0';
	ret->req.body = body;
	ret->req.body_len = len;
}

static void request_done(struct request *request)
{
	free(request->memory);
	free((char *)(uintptr_t)request->req.body);
}

/* Judging an answer */

static const char *text_of(const struct json *object, const char *member)
{
	size_t len = 0;
	const struct json *value = json_member(object, member);
	return value ? json_get_string(value, &len) : "";
}

/* What the document says of a route; its methods are in small letters there. */
static const struct json *documented(const struct route *route, int status)
{
	char method[16] = "";
	const char *name = http_method_name(route->method);
	for (size_t i = 0; name[i]; i++)
		method[i] = (char)(name[i] | 0x20);
	const struct json *path = json_member(json_member(document, "paths"), route->path);
	const struct json *responses = json_member(json_member(path, method), "responses");
	insist(responses, "%s %s is in no document", method, route->path);
	return json_member(responses, http_status_text(status));
}

static bool is_documented(const struct json *response, const char *code)
{
	const struct json *content = json_member(response, "content");
	const struct json *schema =
		json_member(json_member(content, "application/problem+json"), "schema");
	const struct json *narrowed = json_item(json_member(schema, "allOf"), 1);
	const struct json *codes =
		json_member(json_member(json_member(narrowed, "properties"), "code"), "enum");
	size_t len = 0;
	for (size_t i = 0; i < json_length(codes); i++)
		if (!strcmp(json_get_string(json_item(codes, i), &len), code))
			return true;
	return false;
}

static void check_problem(
	const struct api_call *call, const struct api_reply *reply, const struct json *body)
{
	static const char without_route[] =
		"not_found|method_not_allowed|bad_request|unauthenticated|forbidden|cross_site";
	const char *code = text_of(body, "code");
	const char *misfit = shape_misfit(api_problem_fields, body);
	insist(!misfit, "a problem's '%s': %s", misfit, reply->body);
	insist(!strcmp(reply->type, "application/problem+json"), "a problem of %s", reply->type);
	insist(reply->err.kind != ERR_INTERNAL, "internal: %s", reply->err.private);
	insist(json_get_int(json_member(body, "status")) == reply->status, "status %d: %s",
		reply->status, reply->body);
	insist(!strcmp(code, err_code(reply->err.kind)), "%s", reply->body);
	if (!call->route)
		insist(text_is_word(without_route, '|', code), "without a route: %s", reply->body);
	else
		insist(is_documented(documented(call->route, reply->status), code),
			"%s is not documented for %s %s: %s", code,
			http_method_name(call->route->method), call->route->path, reply->body);
}

static void check_success(
	const struct api_call *call, const struct api_reply *reply, const struct json *body)
{
	const struct route *route = call->route;
	if (!route) {
		insist(reply->status == 204 && call->req->method == HTTP_OPTIONS,
			"%d without a route", reply->status);
		return;
	}
	insist(documented(route, reply->status), "%d of %s", reply->status, route->path);
	if (reply->status == 304)
		insist(*call->req->if_none_match && !reply->body, "304 that nobody asked for");
	if (reply->status == 304 || !route->answer || !body)
		return;
	const char *misfit = shape_misfit(route->answer, body);
	if (misfit && route->dry_answer)
		misfit = shape_misfit(route->dry_answer, body);
	insist(!misfit, "%s: '%s' in %s", route->path, misfit, reply->body);
}

static void check_header(const char *value)
{
	for (const char *s = value ? value : ""; *s; s++)
		insist(*s >= ' ' && *s < 0x7f, "a header's value: %s", value);
}

static void check_reply(const struct api_call *call, const struct api_reply *reply)
{
	AUTO(json_free) struct json *body = NULL;
	struct err err;
	check_header(reply->location);
	check_header(reply->allow);
	check_header(reply->etag);
	insist(reply->failed == (reply->status >= 400), "status %d", reply->status);
	insist(!reply->body || strlen(reply->body) == reply->body_len ||
			!strcmp(reply->type, "image/png"),
		"a NUL in %s", reply->body);
	bool is_json = reply->body && reply->type && strstr(reply->type, "json") &&
		(!call->route || call->route->handle != api_docs_get);
	insist(!is_json || !json_parse(reply->body, reply->body_len, &body, &err), "%s: %s",
		err.text, reply->body);
	if (reply->failed)
		check_problem(call, reply, body);
	else
		check_success(call, reply, body);
}

/* Answering */

static bool may_change(const struct api_call *call, const struct api_reply *reply)
{
	enum http_method method = call->req->method;
	bool safe = method == HTTP_GET || method == HTTP_HEAD || method == HTTP_OPTIONS;
	bool dry = call->route && call->route->dry_answer && reply->status == 200 &&
		call->route->status != 200;
	return !safe && !dry && !reply->failed && reply->role > ROLE_VIEWER;
}

static void answer(const struct http_req *req)
{
	struct api_call call;
	struct api_reply reply;
	uint64_t before = world_fingerprint();
	api_call_init(&api, req, &call);
	api_answer(&call, &reply);
	check_reply(&call, &reply);
	insist(may_change(&call, &reply) || world_fingerprint() == before,
		"%s %s changed something and was answered %d: %s", http_method_name(req->method),
		req->target, reply.status, reply.body ? reply.body : "");
	insist(!reply.stop || (!reply.failed && reply.role == ROLE_ADMIN), "a stop");
	api_reply_done(&reply);
	api_call_done(&call);
}

static void reset(void)
{
	world_reset();
	inventory_touch(api.host->inventory, WORLD_ON);
	inventory_touch(api.host->inventory, WORLD_OFF);
	untouched = world_fingerprint();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct err err;
	(void)argc;
	(void)argv;
	xml_init();
	insist(!virt_start(&err), "%s", err.text);
	world_open();
	api.route_count = route_count;
	api.host = host_new("local", "test:///default", 4, 2, 10000);
	insist(!host_watch(api.host, &err), "%s", err.text);
	api.metrics = api_metrics_new(routes, route_count);
	insist(!api_docs_prepare(&api, &err), "%s", err.text);
	document = openapi_json(routes, route_count);
	reset();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum { REQUESTS_MAX = 4 };
	static const char separator[] = "\n%%\n";
	const char *text = (const char *)data;
	const char *end = text + size;
	for (int i = 0; i < REQUESTS_MAX && text < end; i++) {
		__attribute__((cleanup(request_done))) struct request request;
		const char *stop = memmem(text, (size_t)(end - text), separator, strlen(separator));
		read_request(text, (size_t)((stop ? stop : end) - text), &request);
		answer(&request.req);
		text = stop ? stop + strlen(separator) : end;
	}
	if (world_fingerprint() != untouched)
		reset();
	return 0;
}
