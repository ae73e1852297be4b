/* SPDX-License-Identifier: MIT */
#include "api/api.h"

#include <stdio.h>
#include <string.h>

/* The caller */

static const char *const role_names[] = { ROLES(NAMED_ROW, NAMED_ROW) };

const char *api_role_name(enum role role)
{
	return role_names[role];
}

static enum role role_of(const struct api *api, const struct http_req *req)
{
	if (!*req->user)
		return (enum role)api->config->anonymous;
	for (int role = ROLE_VIEWER; role < ROLE_COUNT; role++)
		if (!strcmp(req->role, role_names[role]))
			return (enum role)role;
	return ROLE_NONE;
}

static int check_caller(const struct api_call *call, struct err *err)
{
	const struct http_req *req = call->req;
	if (!call->open && call->role == ROLE_NONE && !*req->user)
		return err_set(err, ERR_UNAUTHENTICATED, "this request needs authentication");
	if (!call->open && call->role == ROLE_NONE)
		return err_set(err, ERR_FORBIDDEN, "user '%.64s' has no role", req->user);
	if (!call->open && call->route && call->role < call->route->role)
		return err_set(err, ERR_FORBIDDEN,
			"this request needs the role %s, and user '%.64s' has the role %s",
			role_names[call->route->role], req->user, role_names[call->role]);
	/* A page of another site can make a browser send its user's credentials along. */
	if (!call->safe && http_is_cross_site(req))
		return err_set(
			err, ERR_CROSS_SITE, "a page of another site may not change anything here");
	return 0;
}

/* Routing */

/* The first row of the path, whose {names} stand for any segment; NULL: there is none. */
static const struct route *find_path(const struct api *api, const struct http_path *path)
{
	for (const struct route *route = api->routes; route < api->routes + api->route_count;
		route++) {
		const char *p = route->path;
		size_t i = 0;
		for (; *p == '/' && i < path->count; i++) {
			size_t n = strcspn(++p, "/");
			if (*p != '{' &&
				(strncmp(path->segment[i], p, n) != 0 || path->segment[i][n]))
				break;
			p += n;
		}
		if (!*p && i == path->count)
			return route;
	}
	return NULL;
}

/* Adds the segments that the path's {names} stand for to the arguments. */
static void read_path(struct api_call *call, const char *pattern)
{
	static const char *const names[] = { "ref", "snap" };
	for (size_t i = 0; i < call->path.count; i++) {
		const char *segment = call->path.segment[i];
		pattern = strchr(pattern, '/') + 1;
		for (size_t n = 0; *pattern == '{' && n < ARRAY_LEN(names); n++)
			if (!strncmp(pattern + 1, names[n], strlen(names[n])))
				call->args[call->arg_count++] =
					(struct arg){ names[n], segment, strlen(segment), false };
	}
}

/* Finds the row, or for OPTIONS the path alone, and the methods that the path has. */
static int find_route(struct api_call *call, struct err *err)
{
	const struct api *api = call->api;
	enum http_method method = call->req->method == HTTP_HEAD ? HTTP_GET : call->req->method;
	const struct route *first = find_path(api, &call->path);
	if (!first)
		return err_set(
			err, ERR_NOT_FOUND, "there is nothing at this path; start at GET /v1");
	size_t n = 0;
	for (const struct route *route = first;
		route < api->routes + api->route_count && !strcmp(route->path, first->path);
		route++) {
		n += (size_t)snprintf(call->allow + n, sizeof call->allow - n, "%s%s, ",
			http_method_name(route->method), route->method == HTTP_GET ? ", HEAD" : "");
		call->patchable = call->patchable || route->method == HTTP_PATCH;
		if (route->method == method)
			call->route = route;
	}
	(void)snprintf(call->allow + n, sizeof call->allow - n, "OPTIONS");
	call->open = first->role == ROLE_NONE;
	read_path(call, first->path);
	if (call->route || method == HTTP_OPTIONS)
		return 0;
	(void)err_set(
		err, ERR_METHOD_NOT_ALLOWED, "this path has only the methods %s", call->allow);
	(void)snprintf(err->allow, sizeof err->allow, "%s", call->allow);
	return -1;
}

/* A precondition that the handler ignores must not look as if it held. */
static int check_headers(const struct api_call *call, struct err *err)
{
	const struct http_req *req = call->req;
	if (!call->safe && *req->if_none_match)
		return err_set(
			err, ERR_BAD_REQUEST, "If-None-Match: only GET and HEAD take this header");
	if (!call->safe && *req->if_match && !call->route->if_match)
		return err_set(
			err, ERR_BAD_REQUEST, "If-Match: this request does not take this header");
	if (call->route->keyed && strlen(req->idempotency_key) > API_KEY_MAX)
		return err_set(
			err, ERR_BAD_REQUEST, "Idempotency-Key: longer than %d bytes", API_KEY_MAX);
	return 0;
}

/*
 * All that can be refused without a look into the body. A stranger gets the same answer for every
 * path that is not public, whether it exists or not, so the caller is checked before a wrong path
 * is reported.
 */
static int check_call(struct api_call *call, struct err *err)
{
	struct err missing;
	int found = http_path_parse(call->req->target, &call->path, &missing);
	if (!found)
		found = find_route(call, &missing);
	if (check_caller(call, err) < 0)
		return -1;
	if (found < 0)
		*err = missing;
	if (found < 0 || !call->route)
		return found;
	if (check_headers(call, err) < 0 || api_call_read_query(call, err) < 0)
		return -1;
	return api_call_check_body(call, err);
}

void api_call_init(struct api *api, const struct http_req *req, struct api_call *ret)
{
	enum http_method method = req->method;
	*ret = (struct api_call){
		.api = api,
		.req = req,
		.role = role_of(api, req),
		.safe = method == HTTP_GET || method == HTTP_HEAD || method == HTTP_OPTIONS,
	};
	ret->refused = check_call(ret, &ret->refusal) < 0;
}

bool api_reads_body(const struct api_call *call)
{
	return !call->refused && call->route;
}

bool api_is_instant(const struct api_call *call)
{
	return !api_reads_body(call) || call->route->instant;
}

void api_call_done(struct api_call *call)
{
	http_path_done(&call->path);
	http_query_done(&call->query);
	json_free(call->body);
}

int api_deadline(const struct api_call *call)
{
	const struct config *config = call->api->config;
	if (call->route && call->route->takes_long)
		return config->long_deadline;
	return call->safe ? config->read_deadline : config->action_deadline;
}

void api_late_error(const struct api_call *call, const char *ref, struct err *err)
{
	int seconds = api_deadline(call);
	if (!call->route || call->route->method == HTTP_GET) {
		(void)err_set(err, ERR_DEADLINE_EXCEEDED,
			"the host or the VM did not answer within %d s", seconds);
		return;
	}
	(void)err_set(err, ERR_DEADLINE_EXCEEDED,
		"the operation did not complete within %d s; it continues and may still succeed",
		seconds);
	AUTO(free) char *encoded = ref ? http_encode_segment(ref) : NULL;
	(void)err_hint(err, "before you retry, look at the result: GET /v1/vms%s%.200s",
		encoded ? "/" : "", encoded ? encoded : "");
}

/* The answer */

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

/*
 * An entity tag, and 304 if the client has the answer (RFC 9110 sections 8.8.3, 13.1.2 and 15.4.5).
 * nginx tags the files that it sends.
 */
static void tag_reply(const struct api_call *call, struct api_reply *reply)
{
	if (!call->safe || reply->status != 200 || reply->kind != API_REPLY_BODY)
		return;
	if (!reply->etag[0])
		etag_make(reply->body, reply->body_len, reply->etag);
	if (!api_is_held(call, reply))
		return;
	reply->status = 304;
	reply->type = NULL;
	api_reply_drop_body(reply);
}

static int answer_call(struct api_call *call, struct api_reply *reply, struct err *err)
{
	if (call->refused) {
		*err = call->refusal;
		return -1;
	}
	if (!call->route) {
		reply->status = 204;
		(void)snprintf(reply->allow, sizeof reply->allow, "%s", call->allow);
		reply->accept_patch = call->patchable ? API_PATCH_TYPE : NULL;
		return 0;
	}
	reply->status = call->route->status;
	if (api_call_read_body(call, err) < 0 || call->route->handle(call, reply, err) < 0)
		return -1;
	tag_reply(call, reply);
	return 0;
}

void api_answer(struct api_call *call, struct api_reply *ret)
{
	struct err err;
	*ret = (struct api_reply){ .role = call->role };
	if (answer_call(call, ret, &err) < 0)
		api_reply_error(call, &err, ret);
}

void api_finish(struct api_call *call, struct api_later *later, struct api_reply *ret)
{
	struct err err;
	*ret = (struct api_reply){ .role = call->role, .status = call->route->status };
	if (later->finish(later, call, ret, &err) < 0)
		api_reply_error(call, &err, ret);
}

/* Metrics */

/* A row for each route, and after these one for each method without a route. */
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
