/* SPDX-License-Identifier: MIT */
#include "api/openapi.h"

#include "base/text.h"
#include "format/schema.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* What no route changes of the document. JSON(…) is its own text as a literal. */
#define JSON(...) #__VA_ARGS__

/* clang-format off */
static const char document_text[] =
"{\"openapi\": \"3.1.0\", \"info\": {\"version\": \"" VIRTGATE_VERSION "\"," JSON(
		"title": "virtgate",
		"summary": "A JSON API for virtual machines.",
		"description": )
"\"An operation's x-role is the role that it needs: an operator may do all "
"that a viewer may, and an admin all that an operator may. Every path "
"with GET also has HEAD, and every path has OPTIONS. A flag in a query is "
"0 or 1.\"," JSON(
		"license": { "name": "MIT", "identifier": "MIT" }
	},
	"servers": [ { "url": "/" } ],
	"security": [ { "nginx": [] } ],
	"tags": [
		{ "name": "service", "description": "The service itself." },
		{ "name": "vms", "description": "Virtual machines." },
		{ "name": "snapshots", "description": "Snapshots of a virtual machine." },
		{ "name": "short", "description": "Short forms, with the VM's name in the query." }
	]
}
);

static const char components_text[] = JSON(
{
	"headers": {
		"Age": {
			"description": )
"\"Age of the response in seconds; absent if it was computed after the "
"request arrived.\"," JSON(
			"schema": { "type": "integer" }
		},
		"ETag": {
			"description": "Identifies the content of the response (RFC 9110 section 8.8.3).",
			"schema": { "type": "string" }
		},
		"Idempotent-Replay": {
			"description": "true: an earlier request with this Idempotency-Key created the resource.",
			"schema": { "type": "string" }
		},
		"Location": {
			"description": "Path of the new resource.",
			"schema": { "type": "string" }
		},
		"Retry-After": {
			"description": "Seconds after which to retry the request.",
			"schema": { "type": "integer" }
		},
		"WWW-Authenticate": {
			"description": "How to authenticate (RFC 9110 section 11.6.1).",
			"schema": { "type": "string" }
		},
		"X-Request-Id": {
			"description": "Identifies the request; virtgate's log line has the same id.",
			"schema": { "type": "string" }
		}
	},
	"parameters": {
		"ref": {
			"name": "ref", "in": "path", "required": true, "example": "web",
			"description": "A VM's uuid or its name.",
			"schema": { "type": "string", "minLength": 1 }
		},
		"snap": {
			"name": "snap", "in": "path", "required": true, "example": "before-upgrade",
			"description": "A snapshot's name.",
			"schema": { "type": "string", "minLength": 1 }
		},
		"If-None-Match": {
			"name": "If-None-Match", "in": "header", "required": false,
			"description": "Entity tags: the response is 304 if one of them is current.",
			"schema": { "type": "string", "minLength": 1 }
		},
		"If-Match": {
			"name": "If-Match", "in": "header", "required": false,
			"description": "Entity tags: the response is 412 unless one of them is current.",
			"schema": { "type": "string", "minLength": 1 }
		},
		"Cache-Control": {
			"name": "Cache-Control", "in": "header", "required": false,
			"description": "no-cache: wait for a fresh response instead of a stale one.",
			"schema": { "type": "string", "minLength": 1 }
		},
		"Idempotency-Key": {
			"name": "Idempotency-Key", "in": "header", "required": false,
			"description": "Makes a retry safe: requests with the same key and body create one resource.",
			"schema": { "type": "string", "minLength": 1, "maxLength": 255 }
		}
	},
	"responses": {
		"Other": {
			"description": )
"\"Errors that any request may have: nginx's limits (408, 411, 413, 414, "
"429, 431), an internal error (500), virtgate is not running (502), "
"overload (503), a timeout (504)\"," JSON(
			"content": {
				"application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } }
			}
		}
	},
	"securitySchemes": {
		"nginx": {
			"type": "http", "scheme": "basic",
			"description": "Authentication is nginx's; basic authentication is its default setup."
		}
	}
}
);
/* clang-format on */
_Static_assert(API_KEY_MAX == 255, "the maxLength of Idempotency-Key above");

/* A literal: the tests see to it that it is JSON. NULL: out of memory. */
static struct json *parse_literal(const char *text)
{
	struct json *value = NULL;
	struct err ignored;
	(void)json_parse(text, strlen(text), &value, &ignored);
	return value;
}

struct writer {
	struct json *schemas; /* components of the document */
	const struct route *route;
};

static struct json *reference(const char *kind, const char *name)
{
	char to[96];
	struct json *o = json_new_object();
	(void)snprintf(to, sizeof to, "#/components/%s/%s", kind, name);
	json_put_string(o, "$ref", to);
	return o;
}

/* Is there such an argument, in the query or as {argument} in the path? */
static bool has_argument(const struct route *route, const char *argument)
{
	char braced[32];
	(void)snprintf(braced, sizeof braced, "{%s}", argument);
	for (const struct field *f = route->query; f && f->name; f++)
		if (!strcmp(f->as ? f->as : f->name, argument))
			return true;
	return strstr(route->path, braced);
}

/* Responses: description, headers besides X-Request-Id (separated by |), content or NULL */
static struct json *response_json(const char *says, const char *names, struct json *content)
{
	char name[32];
	struct json *o = json_new_object();
	struct json *headers = json_new_object();
	json_put(headers, "X-Request-Id", reference("headers", "X-Request-Id"));
	for (const char *s = names; *s; s += strcspn(s, "|"), s += *s == '|') {
		(void)snprintf(name, sizeof name, "%.*s", (int)strcspn(s, "|"), s);
		json_put_copy(headers, name, reference("headers", name));
	}
	json_put_string(o, "description", says);
	json_put(o, "headers", headers);
	if (content)
		json_put(o, "content", content);
	return o;
}

static void put_media(
	struct json *content, const char *type, struct json *schema, const char *example)
{
	struct json *media = json_new_object();
	if (schema)
		json_put(media, "schema", schema);
	schema_put_example(media, "example", example);
	json_put(content, type, media);
}

/* Errors */

/* What the dispatcher and libvirt's door add to what the row says. */
static void mark_implied(const struct route *route, bool kinds[static ERR_KIND_COUNT])
{
	bool mutation = route->method != HTTP_GET;
	kinds[ERR_BAD_REQUEST] = kinds[ERR_UNKNOWN_PARAMETER] = true;
	kinds[ERR_UNAUTHENTICATED] = kinds[ERR_FORBIDDEN] = route->role != ROLE_NONE;
	kinds[ERR_CROSS_SITE] = kinds[ERR_BAD_JSON] = kinds[ERR_BODY_TOO_LARGE] =
		kinds[ERR_UNSUPPORTED_MEDIA_TYPE] = mutation;
	kinds[ERR_PRECONDITION_FAILED] = route->if_match;
	kinds[ERR_KEY_REUSED] = route->keyed;
	kinds[ERR_VM_NOT_FOUND] = has_argument(route, "ref");
	kinds[ERR_SNAPSHOT_NOT_FOUND] = has_argument(route, "snap");
}

static void mark_errors(const struct route *route, bool kinds[static ERR_KIND_COUNT])
{
	mark_implied(route, kinds);
	for (int kind = 0; kind < ERR_KIND_COUNT; kind++)
		if (route->errors && text_is_word(route->errors, '|', err_code(kind)))
			kinds[kind] = true;
}

/* A problem with one of the codes that go with this status here. */
static struct json *error_response(int status, const bool kinds[static ERR_KIND_COUNT])
{
	struct json *codes = json_new_array();
	bool retry = false;
	for (int kind = 0; kind < ERR_KIND_COUNT; kind++) {
		if (!kinds[kind] || err_status(kind) != status)
			continue;
		json_push_string(codes, err_code(kind));
		retry = retry || err_retry_after(kind);
	}
	struct json *code = json_new_object();
	struct json *properties = json_new_object();
	struct json *narrowed = json_new_object();
	struct json *all = json_new_array();
	struct json *schema = json_new_object();
	struct json *content = json_new_object();
	json_put(code, "enum", codes);
	json_put(properties, "code", code);
	json_put(narrowed, "properties", properties);
	json_push(all, reference("schemas", "Problem"));
	json_push(all, narrowed);
	json_put(schema, "allOf", all);
	put_media(content, "application/problem+json", schema, NULL);
	return response_json(http_reason(status),
		retry                   ? "Retry-After"
			: status == 401 ? "WWW-Authenticate"
					: "",
		content);
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
	json_put(responses, "default", reference("responses", "Other"));
}

/* Answers */

static struct json *answer_schema(struct writer *w)
{
	const struct route *route = w->route;
	if (!route->answer)
		return schema_of_text(0, 0);
	struct json *schema = schema_of_object(route->answer, SCHEMA_ANSWER, w->schemas);
	if (!route->dry_answer || route->status != 200)
		return schema;
	struct json *o = json_new_object();
	struct json *any = json_new_array();
	json_push(any, schema);
	json_push(any, schema_of_object(route->dry_answer, SCHEMA_ANSWER, w->schemas));
	json_put(o, "anyOf", any);
	return o;
}

static struct json *success_content(struct writer *w)
{
	const struct route *route = w->route;
	struct json *content = json_new_object();
	const char *media = route->media ? route->media
		: route->answer          ? "application/json"
					 : "application/xml";
	/* What is no text has no schema (OpenAPI 3.1 section 4.8.14.2). */
	bool image = !strncmp(media, "image/", strlen("image/"));
	put_media(content, media, image ? NULL : answer_schema(w), NULL);
	return content;
}

static struct json *responses_json(struct writer *w)
{
	const struct route *route = w->route;
	struct json *o = json_new_object();
	char headers[96];
	const char *tagged = route->method == HTTP_GET ? "ETag|" : "";
	const char *aged = route->aged ? "Age|" : "";
	(void)snprintf(headers, sizeof headers, "%s%s%s%s", tagged, aged,
		route->status == 201 ? "Location|" : "", route->keyed ? "Idempotent-Replay" : "");
	json_put(o, http_status_text(route->status),
		response_json(http_reason(route->status), headers, success_content(w)));
	if (route->dry_answer && route->status != 200) {
		struct json *content = json_new_object();
		put_media(content, "application/json",
			schema_of_object(route->dry_answer, SCHEMA_ANSWER, w->schemas), NULL);
		json_put(o, "200",
			response_json("The result of a dry run: nothing was created", "", content));
	}
	(void)snprintf(headers, sizeof headers, "ETag|%s", aged);
	if (route->method == HTTP_GET)
		json_put(o, "304",
			response_json("The client has this response already, by If-None-Match",
				headers, NULL));
	put_errors(o, route);
	return o;
}

/* Requests */

static struct json *request_body(struct writer *w)
{
	const struct route *route = w->route;
	static const struct {
		const char *type;
		unsigned kinds;
	} media[] = {
		{ "application/json", API_BODY_JSON | API_BODY_PATCH },
		{ API_PATCH_TYPE, API_BODY_PATCH },
		{ "application/xml", API_BODY_XML },
		{ "text/plain", API_BODY_TEXT },
	};
	struct json *content = json_new_object();
	struct json *o = json_new_object();
	for (size_t i = 0; i < ARRAY_LEN(media); i++) {
		if (!(route->body & media[i].kinds))
			continue;
		if (media[i].kinds & (API_BODY_XML | API_BODY_TEXT))
			put_media(content, media[i].type, schema_of_text(0, 0), NULL);
		else
			put_media(content, media[i].type,
				schema_of_object(route->fields, SCHEMA_REQUEST, w->schemas),
				route->example);
	}
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

static struct json *parameters_json(const struct route *route)
{
	const struct {
		bool has;
		const char *name;
	} headers[] = {
		{ route->method == HTTP_GET, "If-None-Match" },
		{ route->aged, "Cache-Control" },
		{ route->if_match, "If-Match" },
		{ route->keyed, "Idempotency-Key" },
	};
	struct json *array = json_new_array();
	if (strstr(route->path, "{ref}"))
		json_push(array, reference("parameters", "ref"));
	if (strstr(route->path, "{snap}"))
		json_push(array, reference("parameters", "snap"));
	for (const struct field *f = route->query; f && f->name; f++)
		json_push(array, query_parameter(f));
	for (size_t i = 0; i < ARRAY_LEN(headers); i++)
		if (headers[i].has)
			json_push(array, reference("parameters", headers[i].name));
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

static struct json *operation_json(struct writer *w)
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
	json_put(o, "parameters", parameters_json(route));
	if (route->body)
		json_put(o, "requestBody", request_body(w));
	json_put(o, "responses", responses_json(w));
	return o;
}

static struct json *paths_json(struct json *schemas, const struct route *routes, size_t count)
{
	static const char *const methods[HTTP_METHOD_COUNT] = {
		[HTTP_GET] = "get",
		[HTTP_POST] = "post",
		[HTTP_PUT] = "put",
		[HTTP_PATCH] = "patch",
		[HTTP_DELETE] = "delete",
	};
	struct json *paths = json_new_object();
	struct json *path = NULL;
	for (size_t i = 0; i < count; i++) {
		struct writer writer = { schemas, &routes[i] };
		if (!i || strcmp(routes[i].path, routes[i - 1].path) != 0) {
			path = json_new_object();
			json_put(paths, routes[i].path, path);
		}
		json_put(path, methods[routes[i].method], operation_json(&writer));
	}
	return paths;
}

struct json *openapi_json(const struct route *routes, size_t count)
{
	struct json *document = parse_literal(document_text);
	struct json *components = parse_literal(components_text);
	struct json *schemas = json_new_object();
	json_put(document, "paths", paths_json(schemas, routes, count));
	json_put(schemas, "Problem", schema_of_object(api_problem_fields, SCHEMA_ANSWER, schemas));
	json_put(components, "schemas", schemas);
	json_put(document, "components", components);
	return document;
}
