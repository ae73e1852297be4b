/* SPDX-License-Identifier: MIT */
#include "api/openapi.h"

#include "base/text.h"
#include "format/schema.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

struct writer {
	struct json *schemas; /* components of the document */
	const struct route *route;
};

static struct json *reference(const char *to)
{
	struct json *o = json_new_object();
	json_put_string(o, "$ref", to);
	return o;
}

static bool is_mutation(const struct route *route)
{
	return route->method != HTTP_GET;
}

/* Is there such an argument, in the query or as {argument} in the path? */
static bool names(const struct route *route, const char *argument)
{
	char braced[32];
	(void)snprintf(braced, sizeof braced, "{%s}", argument);
	for (const struct field *f = route->query; f && f->name; f++)
		if (!strcmp(f->as ? f->as : f->name, argument))
			return true;
	return strstr(route->path, braced);
}

/* Errors */

/* What the dispatcher and libvirt's door add to what the row says. */
static void mark_implied(const struct route *route, bool kinds[static ERR_KIND_COUNT])
{
	bool mutation = is_mutation(route);
	kinds[ERR_BAD_REQUEST] = kinds[ERR_UNKNOWN_PARAMETER] = true;
	kinds[ERR_UNAUTHENTICATED] = kinds[ERR_FORBIDDEN] = route->role != ROLE_NONE;
	kinds[ERR_CROSS_SITE] = kinds[ERR_BAD_JSON] = kinds[ERR_BODY_TOO_LARGE] =
		kinds[ERR_UNSUPPORTED_MEDIA_TYPE] = mutation;
	kinds[ERR_PRECONDITION_FAILED] = route->if_match;
	kinds[ERR_KEY_REUSED] = route->keyed;
	kinds[ERR_VM_NOT_FOUND] = names(route, "ref");
	kinds[ERR_SNAPSHOT_NOT_FOUND] = names(route, "snap");
}

static void mark_errors(const struct route *route, bool kinds[static ERR_KIND_COUNT])
{
	mark_implied(route, kinds);
	for (int kind = 0; kind < ERR_KIND_COUNT; kind++)
		if (route->errors && text_is_word(route->errors, '|', err_code(kind)))
			kinds[kind] = true;
}

static struct json *problem_content(struct json *schema)
{
	struct json *media = json_new_object();
	struct json *content = json_new_object();
	json_put(media, "schema", schema);
	json_put(content, "application/problem+json", media);
	return content;
}

/* The problem with one of the codes that go with this status here. */
static struct json *problem_schema(struct json *codes)
{
	struct json *code = json_new_object();
	struct json *properties = json_new_object();
	struct json *narrowed = json_new_object();
	struct json *all = json_new_array();
	struct json *o = json_new_object();
	json_put(code, "enum", codes);
	json_put(properties, "code", code);
	json_put(narrowed, "properties", properties);
	json_push(all, reference("#/components/schemas/Problem"));
	json_push(all, narrowed);
	json_put(o, "allOf", all);
	return o;
}

static void put_header(struct json *headers, const char *name, const char *component)
{
	json_put(headers, name, reference(component));
}

static struct json *error_response(int status, const bool kinds[static ERR_KIND_COUNT])
{
	struct json *o = json_new_object();
	struct json *headers = json_new_object();
	struct json *codes = json_new_array();
	bool retry = false;
	for (int kind = 0; kind < ERR_KIND_COUNT; kind++) {
		if (!kinds[kind] || err_status(kind) != status)
			continue;
		json_push_string(codes, err_code(kind));
		retry = retry || err_retry_after(kind);
	}
	put_header(headers, "X-Request-Id", "#/components/headers/X-Request-Id");
	if (retry)
		put_header(headers, "Retry-After", "#/components/headers/Retry-After");
	if (status == 401)
		put_header(headers, "WWW-Authenticate", "#/components/headers/WWW-Authenticate");
	json_put_string(o, "description", http_reason(status));
	json_put(o, "headers", headers);
	json_put(o, "content", problem_content(problem_schema(codes)));
	return o;
}

static void put_errors(struct json *responses, const struct route *route)
{
	bool kinds[ERR_KIND_COUNT] = { false };
	mark_errors(route, kinds);
	for (int kind = 0; kind < ERR_KIND_COUNT; kind++) {
		const char *status = http_status_text(err_status(kind));
		if (kinds[kind] && !json_member(responses, status))
			json_put(responses, status, error_response(err_status(kind), kinds));
	}
	json_put(responses, "default", reference("#/components/responses/Other"));
}

/* Answers */

static struct json *object_schema(struct writer *w, const struct field *fields)
{
	return schema_of_object(fields, SCHEMA_ANSWER, w->schemas);
}

static struct json *answer_schema(struct writer *w)
{
	const struct route *route = w->route;
	if (!route->answer)
		return schema_of_text(0, 0);
	if (!route->dry_answer || route->status != 200)
		return object_schema(w, route->answer);
	struct json *o = json_new_object();
	struct json *any = json_new_array();
	json_push(any, object_schema(w, route->answer));
	json_push(any, object_schema(w, route->dry_answer));
	json_put(o, "anyOf", any);
	return o;
}

static const char *success_media(const struct route *route)
{
	if (route->media)
		return route->media;
	return route->answer ? "application/json" : "application/xml";
}

static struct json *success_content(struct writer *w)
{
	const struct route *route = w->route;
	struct json *media = json_new_object();
	struct json *content = json_new_object();
	/* What is no text has no schema (OpenAPI 3.1 section 4.8.14.2). */
	if (!route->media || strncmp(route->media, "image/", 6) != 0)
		json_put(media, "schema", answer_schema(w));
	json_put(content, success_media(route), media);
	return content;
}

static struct json *success_response(struct writer *w)
{
	const struct route *route = w->route;
	struct json *o = json_new_object();
	struct json *headers = json_new_object();
	put_header(headers, "X-Request-Id", "#/components/headers/X-Request-Id");
	if (route->method == HTTP_GET)
		put_header(headers, "ETag", "#/components/headers/ETag");
	if (route->aged)
		put_header(headers, "Age", "#/components/headers/Age");
	if (route->status == 201)
		put_header(headers, "Location", "#/components/headers/Location");
	if (route->keyed)
		put_header(headers, "Idempotent-Replay", "#/components/headers/Idempotent-Replay");
	json_put_string(o, "description", http_reason(route->status));
	json_put(o, "headers", headers);
	json_put(o, "content", success_content(w));
	return o;
}

static struct json *not_modified_response(const struct route *route)
{
	struct json *o = json_new_object();
	struct json *headers = json_new_object();
	put_header(headers, "X-Request-Id", "#/components/headers/X-Request-Id");
	put_header(headers, "ETag", "#/components/headers/ETag");
	if (route->aged)
		put_header(headers, "Age", "#/components/headers/Age");
	json_put_string(o, "description", "As If-None-Match has it");
	json_put(o, "headers", headers);
	return o;
}

static struct json *dry_run_response(struct writer *w)
{
	struct json *media = json_new_object();
	struct json *content = json_new_object();
	struct json *headers = json_new_object();
	struct json *o = json_new_object();
	put_header(headers, "X-Request-Id", "#/components/headers/X-Request-Id");
	json_put(media, "schema", object_schema(w, w->route->dry_answer));
	json_put(content, "application/json", media);
	json_put_string(o, "description", "Of a dry run: nothing was created");
	json_put(o, "headers", headers);
	json_put(o, "content", content);
	return o;
}

static struct json *responses(struct writer *w)
{
	struct json *o = json_new_object();
	json_put(o, http_status_text(w->route->status), success_response(w));
	if (w->route->dry_answer && w->route->status != 200)
		json_put(o, "200", dry_run_response(w));
	if (w->route->method == HTTP_GET)
		json_put(o, "304", not_modified_response(w->route));
	put_errors(o, w->route);
	return o;
}

/* Requests */

static struct json *body_media(struct json *schema, const char *example)
{
	struct json *media = json_new_object();
	json_put(media, "schema", schema);
	schema_put_example(media, "example", example);
	return media;
}

static struct json *request_body(struct writer *w)
{
	const struct route *route = w->route;
	struct json *content = json_new_object();
	struct json *o = json_new_object();
	if (route->body & (API_BODY_JSON | API_BODY_PATCH))
		json_put(content, "application/json",
			body_media(schema_of_object(route->fields, SCHEMA_REQUEST, w->schemas),
				route->example));
	if (route->body & API_BODY_PATCH)
		json_put(content, API_PATCH_TYPE,
			body_media(schema_of_object(route->fields, SCHEMA_REQUEST, w->schemas),
				route->example));
	if (route->body & API_BODY_XML)
		json_put(content, "application/xml", body_media(schema_of_text(0, 0), NULL));
	if (route->body & API_BODY_TEXT)
		json_put(content, "text/plain", body_media(schema_of_text(0, 0), NULL));
	json_put(o, "content", content);
	return o;
}

static struct json *query_parameter(const struct field *field)
{
	struct json *o = json_new_object();
	json_put_string(o, "name", field->name);
	json_put_string(o, "in", "query");
	json_put_bool(o, "required", field->required);
	if (field->says)
		json_put_string(o, "description", field->says);
	json_put(o, "schema", schema_of_param(field));
	schema_put_example(o, "example", field->example);
	return o;
}

static struct json *parameters(const struct route *route)
{
	struct json *array = json_new_array();
	if (strstr(route->path, "{ref}"))
		json_push(array, reference("#/components/parameters/ref"));
	if (strstr(route->path, "{snap}"))
		json_push(array, reference("#/components/parameters/snap"));
	for (const struct field *f = route->query; f && f->name; f++)
		json_push(array, query_parameter(f));
	if (!is_mutation(route))
		json_push(array, reference("#/components/parameters/If-None-Match"));
	if (route->aged)
		json_push(array, reference("#/components/parameters/Cache-Control"));
	if (route->if_match)
		json_push(array, reference("#/components/parameters/If-Match"));
	if (route->keyed)
		json_push(array, reference("#/components/parameters/Idempotency-Key"));
	return array;
}

/* Operations */

static const char *tag_of(const struct route *route)
{
	static const char *const tags[][2] = {
		{ "/v1/vms/{ref}/snapshots", "snapshots" },
		{ "/v1/vms", "vms" },
		{ "/v1", "service" },
		{ "/healthz", "service" },
		{ "/metrics", "service" },
		{ "/readyz", "service" },
		{ "/shutdown", "service" },
	};
	for (size_t i = 0; i < ARRAY_LEN(tags); i++)
		if (!strncmp(route->path, tags[i][0], strlen(tags[i][0])))
			return tags[i][1];
	return "short";
}

/* get_v1_vms_ref: of letters, digits and _ alone. */
static void make_id(const struct route *route, char *ret, size_t size)
{
	int n = snprintf(ret, size, "%s%s", http_method_name(route->method), route->path);
	char *to = ret;
	for (const char *s = ret; n > 0 && *s; s++) {
		bool plain = isalnum((unsigned char)*s);
		if (plain || (s[1] && isalnum((unsigned char)s[1])))
			*to++ = plain ? (char)tolower((unsigned char)*s) : '_';
	}
	*to = '\0';
}

static struct json *operation(struct writer *w)
{
	const struct route *route = w->route;
	char id[128];
	struct json *o = json_new_object();
	struct json *tags = json_new_array();
	make_id(route, id, sizeof id);
	json_push_string(tags, tag_of(route));
	json_put_string(o, "operationId", id);
	json_put_string(o, "summary", route->summary);
	json_put(o, "tags", tags);
	json_put_string(o, "x-role", api_role_name(route->role));
	if (route->role == ROLE_NONE)
		json_put(o, "security", json_new_array());
	json_put(o, "parameters", parameters(route));
	if (route->body)
		json_put(o, "requestBody", request_body(w));
	json_put(o, "responses", responses(w));
	return o;
}

static const char *method_key(enum http_method method)
{
	static const char *const keys[HTTP_METHOD_COUNT] = {
		[HTTP_GET] = "get",
		[HTTP_POST] = "post",
		[HTTP_PUT] = "put",
		[HTTP_PATCH] = "patch",
		[HTTP_DELETE] = "delete",
	};
	return keys[method];
}

static struct json *paths(struct json *schemas, const struct route *routes, size_t count)
{
	struct json *all = json_new_object();
	struct json *path = NULL;
	for (size_t i = 0; i < count; i++) {
		struct writer writer = { schemas, &routes[i] };
		if (!i || strcmp(routes[i].path, routes[i - 1].path) != 0) {
			path = json_new_object();
			json_put(all, routes[i].path, path);
		}
		json_put(path, method_key(routes[i].method), operation(&writer));
	}
	return all;
}

/* Components */

static struct json *described(const char *says, struct json *schema)
{
	struct json *o = json_new_object();
	json_put_string(o, "description", says);
	json_put(o, "schema", schema);
	return o;
}

static struct json *headers(void)
{
	static const struct {
		const char *name, *says;
	} rows[] = {
		{ "ETag", "Names what the answer says (RFC 9110 section 8.8.3)." },
		{ "Idempotent-Replay", "true: an earlier request with this key made it." },
		{ "Location", "Where the new resource is." },
		{ "WWW-Authenticate", "How to authenticate (RFC 9110 section 11.6.1)." },
		{ "X-Request-Id", "Stands in the log line of this request, too." },
	};
	struct json *o = json_new_object();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		json_put(o, rows[i].name, described(rows[i].says, schema_of_text(0, 0)));
	static const char *const seconds[][2] = {
		{ "Age",
			"Seconds since what is answered was so; none: it is of after the "
			"request." },
		{ "Retry-After", "Seconds until the same may succeed." },
	};
	for (size_t i = 0; i < ARRAY_LEN(seconds); i++) {
		struct json *integer = json_new_object();
		json_put_string(integer, "type", "integer");
		json_put(o, seconds[i][0], described(seconds[i][1], integer));
	}
	return o;
}

static struct json *parameter(
	const char *name, const char *in, const char *says, int64_t most, const char *example)
{
	struct json *o = described(says, schema_of_text(1, most));
	json_put_string(o, "name", name);
	json_put_string(o, "in", in);
	json_put_bool(o, "required", !strcmp(in, "path"));
	schema_put_example(o, "example", example);
	return o;
}

static struct json *shared_parameters(void)
{
	static const struct {
		const char *name, *in, *says;
		int64_t most;
		const char *example;
	} rows[] = {
		{ "ref", "path", "A VM's uuid or its name.", 0, "\"web\"" },
		{ "snap", "path", "A snapshot's name.", 0, "\"before-upgrade\"" },
		{ "If-None-Match", "header", "Entity tags: 304 when one still holds.", 0, NULL },
		{ "If-Match", "header", "Entity tags: 412 unless one still holds.", 0, NULL },
		{ "Cache-Control", "header",
			"no-cache: wait for what is of now, rather than get what is stale.", 0,
			NULL },
		{ "Idempotency-Key", "header",
			"Makes it safe to repeat: the same key and body make one thing.",
			API_KEY_MAX, NULL },
	};
	struct json *o = json_new_object();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		json_put(o, rows[i].name,
			parameter(rows[i].name, rows[i].in, rows[i].says, rows[i].most,
				rows[i].example));
	return o;
}

/* What a row cannot say: that of nginx, and what should not happen. */
static struct json *other_response(void)
{
	struct json *o = json_new_object();
	json_put_string(o, "description",
		"What any request may meet: nginx's limits (408, 411, 413, 414, 429, 431), an "
		"internal error (500), virtgate stopped (502), too much to do (503), a host that "
		"hangs (504)");
	json_put(o, "content", problem_content(reference("#/components/schemas/Problem")));
	return o;
}

static struct json *security_schemes(void)
{
	struct json *basic = json_new_object();
	struct json *o = json_new_object();
	json_put_string(basic, "type", "http");
	json_put_string(basic, "scheme", "basic");
	json_put_string(basic, "description", "As nginx is set up; this is how it comes.");
	json_put(o, "nginx", basic);
	return o;
}

static struct json *components(struct json *schemas)
{
	struct json *o = json_new_object();
	struct json *shared = json_new_object();
	json_put(shared, "Other", other_response());
	json_put(schemas, "Problem", schema_of_object(api_problem_fields, SCHEMA_ANSWER, schemas));
	json_put(o, "schemas", schemas);
	json_put(o, "responses", shared);
	json_put(o, "headers", headers());
	json_put(o, "parameters", shared_parameters());
	json_put(o, "securitySchemes", security_schemes());
	return o;
}

/* The document */

static struct json *info(void)
{
	struct json *license = json_new_object();
	struct json *o = json_new_object();
	json_put_string(license, "name", "MIT");
	json_put_string(license, "identifier", "MIT");
	json_put_string(o, "title", "virtgate");
	json_put_string(o, "version", VIRTGATE_VERSION);
	json_put_string(o, "summary", "A JSON API for virtual machines.");
	json_put_string(o, "description",
		"Each operation needs the role in its x-role: viewer, operator and admin include "
		"each other in this order. HEAD is known wherever GET is, OPTIONS everywhere. A "
		"flag in a query is 0 or 1.");
	json_put(o, "license", license);
	return o;
}

static struct json *one(const char *name, struct json *value)
{
	struct json *o = json_new_object();
	struct json *array = json_new_array();
	json_put(o, name, value);
	json_push(array, o);
	return array;
}

static struct json *tags(void)
{
	static const struct {
		const char *name, *says;
	} rows[] = {
		{ "service", "The service itself." },
		{ "vms", "Virtual machines." },
		{ "snapshots", "Snapshots of one." },
		{ "short", "Short forms, with the VM's name in the query." },
	};
	struct json *array = json_new_array();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct json *o = json_new_object();
		json_put_string(o, "name", rows[i].name);
		json_put_string(o, "description", rows[i].says);
		json_push(array, o);
	}
	return array;
}

struct json *openapi_json(const struct route *routes, size_t count)
{
	struct json *o = json_new_object();
	struct json *schemas = json_new_object();
	json_put_string(o, "openapi", "3.1.0");
	json_put(o, "info", info());
	json_put(o, "servers", one("url", json_string("/")));
	json_put(o, "security", one("nginx", json_new_array()));
	json_put(o, "tags", tags());
	json_put(o, "paths", paths(schemas, routes, count));
	json_put(o, "components", components(schemas));
	return o;
}
