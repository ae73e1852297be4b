/* SPDX-License-Identifier: MIT */
/*
 * The dispatcher and all handlers in process, on libvirt's test driver: request values in, reply
 * values out. test:///default is one host for the whole process, so each test makes VMs of its
 * own and removes them.
 */
#include "in_api.h"

#include "api/handlers.h"
#include "base/clock.h"
#include "base/uuid.h"
#include "format/json.h"
#include "libvirt/host_info.h"
#include "vm/agents.h"
#include "vm/events.h"

#include <stdio.h>
#include <string.h>

static struct config config = TEST_CONFIG("/images");
static struct api api = { .config = &config };

struct request {
	const char *method, *target;
	const char *role;  /* NULL: admin; "": none */
	const char *body;  /* NULL: none */
	const char *media; /* NULL: JSON */
	size_t body_len;   /* 0: the text's */
	const char *if_match;
	const char *if_none_match;
	const char *idempotency_key;
};

static void send(const struct request *r, struct api_reply *ret)
{
	struct http_req req =
		test_request(http_method_of(r->method), r->target, r->role ? r->role : "admin");
	if (r->body) {
		req.content_type = "application/json";
		req.body = r->body;
		req.body_len = r->body_len ? r->body_len : strlen(r->body);
	}
	if (r->media)
		req.content_type = r->media;
	if (r->if_match)
		req.if_match = r->if_match;
	if (r->if_none_match)
		req.if_none_match = r->if_none_match;
	if (r->idempotency_key)
		req.idempotency_key = r->idempotency_key;
	test_answer(&api, &req, ret);
}

/* Sends it and says whether status and a part of the body are as wanted. */
static void expect(const struct request *r, int status, const char *part)
{
	struct api_reply reply;
	send(r, &reply);
	const char *body = reply.body ? reply.body : "";
	CHECK(reply.status == status, "%s %s: %d instead of %d: %s", r->method, r->target,
		reply.status, status, body);
	CHECK(!part || strstr(body, part), "%s %s: no %s in %s", r->method, r->target, part, body);
	api_reply_done(&reply);
}

static void get(const char *target, int status, const char *part)
{
	expect(&(struct request){ "GET", target }, status, part);
}

static void post(const char *target, int status, const char *part)
{
	expect(&(struct request){ "POST", target }, status, part);
}

static void delete (const char *target, int status, const char *part)
{
	expect(&(struct request){ "DELETE", target }, status, part);
}

static void make_vm_of(const char *template, const char *name, bool start)
{
	char body[128];
	(void)snprintf(body, sizeof body, "{\"template\":\"%s\",\"name\":\"%s\",\"start\":%s}",
		template, name, start ? "true" : "false");
	expect(&(struct request){ "POST", "/v1/vms", .body = body }, 201, name);
}

static void make_vm(const char *name, bool start)
{
	make_vm_of("helloworld", name, start);
}

static void kill_vm(const char *name, const char *part)
{
	char target[128];
	(void)snprintf(target, sizeof target, "/v1/vms/%s/stop", name);
	expect(&(struct request){ "POST", target, .body = "{\"mode\":\"kill\"}" }, 200, part);
}

static void test_routes_are_sorted_and_told_apart(void **state)
{
	(void)state;
	for (size_t i = 1; i < route_count; i++) {
		const struct route *a = &routes[i - 1];
		const struct route *b = &routes[i];
		int order = strcmp(a->path, b->path);
		CHECK(order < 0 || (!order && a->method < b->method), "%s after %s", b->path,
			a->path);
	}
	for (size_t i = 0; i < route_count; i++)
		CHECK(routes[i].summary && routes[i].handle && routes[i].status, "%s",
			routes[i].path);
}

static void check_example(const struct field *fields, const char *example, const char *of)
{
	AUTO(json_free) struct json *value = NULL;
	struct err err;
	if (!example)
		return;
	CHECK(!json_parse(example, strlen(example), &value, &err), "%s: %s", of, err.text);
	CHECK(!fields || !field_check_object(fields, value, &err), "%s: %s", of, err.text);
}

static void check_field_examples(const struct field *fields)
{
	for (const struct field *f = fields; f && f->name; f++) {
		check_example(NULL, f->example, f->name);
		check_field_examples(f->of);
	}
}

static void test_what_rows_say_of_errors_and_examples_is_right(void **state)
{
	(void)state;
	for (size_t i = 0; i < route_count; i++) {
		const char *errors = routes[i].errors ? routes[i].errors : "";
		for (const char *s = errors; *s; s += strcspn(s, "|"), s += *s == '|') {
			char code[64];
			bool known = false;
			(void)snprintf(code, sizeof code, "%.*s", (int)strcspn(s, "|"), s);
			for (int kind = 0; kind < ERR_KIND_COUNT; kind++)
				known = known || !strcmp(err_code(kind), code);
			CHECK(known, "%s: %s", routes[i].path, code);
		}
		check_example(routes[i].fields, routes[i].example, routes[i].path);
		check_field_examples(routes[i].fields);
		check_field_examples(routes[i].query);
		check_field_examples(routes[i].answer);
	}
}

static void test_every_route_refuses_those_below_its_role(void **state)
{
	static const char *const below[] = {
		[ROLE_VIEWER] = "", [ROLE_OPERATOR] = "viewer", [ROLE_ADMIN] = "operator"
	};
	(void)state;
	for (size_t i = 0; i < route_count; i++) {
		if (routes[i].role == ROLE_NONE)
			continue;
		struct request r = { http_method_name(routes[i].method), routes[i].path,
			.role = below[routes[i].role] };
		expect(&r, 403, "\"code\":\"forbidden\"");
	}
}

static void test_every_path_knows_its_methods(void **state)
{
	static const char *const methods[] = { "GET", "POST", "PUT", "PATCH", "DELETE", "get",
		"BREW" };
	(void)state;
	for (size_t i = 0; i < route_count; i++) {
		for (size_t m = 0; m < ARRAY_LEN(methods); m++) {
			bool known = false;
			for (size_t j = 0; j < route_count; j++)
				known |= !strcmp(routes[j].path, routes[i].path) &&
					!strcmp(http_method_name(routes[j].method), methods[m]);
			if (known)
				continue;
			struct api_reply reply;
			send(&(struct request){ methods[m], routes[i].path }, &reply);
			CHECK(reply.status == 405, "%s %s: %d", methods[m], routes[i].path,
				reply.status);
			CHECK(strstr(reply.allow, http_method_name(routes[i].method)), "%s",
				reply.allow);
			CHECK(!strstr(reply.allow, "GET") == !strstr(reply.allow, "HEAD"), "%s",
				reply.allow);
			api_reply_done(&reply);
		}
	}
}

static void test_strangers_learn_nothing(void **state)
{
	struct http_req req = test_request(HTTP_GET, "/nowhere", "admin");
	req.user = "";
	struct api_reply reply;
	(void)state;
	test_answer(&api, &req, &reply);
	assert_int_equal(reply.status, 401);
	api_reply_done(&reply);
	req.target = "/healthz";
	test_answer(&api, &req, &reply);
	assert_int_equal(reply.status, 200);
	api_reply_done(&reply);
	req.method = HTTP_PUT;
	test_answer(&api, &req, &reply);
	assert_int_equal(reply.status, 405);
	api_reply_done(&reply);
	req.method = HTTP_GET;
	config.anonymous = ROLE_VIEWER;
	req.target = "/v1";
	test_answer(&api, &req, &reply);
	config.anonymous = ROLE_NONE;
	assert_int_equal(reply.status, 200);
	CHECK(strstr(reply.body, "\"role\":\"viewer\""), "%s", reply.body);
	api_reply_done(&reply);
	expect(&(struct request){ "GET", "/v1", .role = "" }, 403, "forbidden");
	expect(&(struct request){ "GET", "/v1", .role = "Admin" }, 403, "forbidden");
	expect(&(struct request){ "GET", "/nowhere", .role = "" }, 403, "forbidden");
}

static void test_pages_of_other_sites_may_read_and_change_nothing(void **state)
{
	struct http_req req = test_request(HTTP_POST, "/shutdown", "admin");
	req.origin = "https://elsewhere.example";
	req.sec_fetch_site = "cross-site";
	req.host = "localhost";
	struct api_reply reply;
	(void)state;
	test_answer(&api, &req, &reply);
	CHECK(reply.status == 403 && !reply.stop, "%d", reply.status);
	CHECK(strstr(reply.body, "\"code\":\"cross_site\""), "%s", reply.body);
	api_reply_done(&reply);
	req.method = HTTP_GET;
	req.target = "/v1/vms";
	test_answer(&api, &req, &reply);
	assert_int_equal(reply.status, 200);
	api_reply_done(&reply);
}

static void test_a_problem_has_the_members_of_rfc_9457(void **state)
{
	struct api_reply reply;
	(void)state;
	send(&(struct request){ "GET", "/v1/vms/none" }, &reply);
	assert_string_equal(reply.type, "application/problem+json");
	assert_string_equal(reply.body,
		"{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,"
		"\"code\":\"vm_not_found\",\"detail\":\"there is no VM 'none'\","
		"\"request_id\":\"id-1\",\"retryable\":false}");
	api_reply_done(&reply);
}

static void test_parameters_are_strict(void **state)
{
	static const struct {
		struct request r;
		int status;
		const char *part;
	} cases[] = {
		{ { "GET", "/v1/vms?x=1" }, 400, "'x' is not a query parameter" },
		{ { "GET", "/v1/vms?=1" }, 400, "unknown_parameter" },
		{ { "POST", "/vm/suspend" }, 400, "name: this query parameter is missing" },
		{ { "POST", "/vm/suspend?name=" }, 400, "name: must not be empty" },
		{ { "POST", "/vm/suspend?name=a&name=b" }, 400, "given twice" },
		{ { "POST", "/vm/suspend?name=%zz" }, 400, "bad_request" },
		{ { "POST", "/vm/suspend?name=%00" }, 400, "NUL" },
		{ { "POST", "/vm/suspend?name=%ff" }, 400, "UTF-8" },
		{ { "POST", "/vm/suspend?Name=a" }, 400, "accepted here: name" },
		{ { "POST", "/vm/suspend?name=a&x=1" }, 400, "unknown_parameter" },
		{ { "POST", "/v1/vms?start=yes" }, 400, "start: 'yes' is not 0 or 1" },
		{ { "POST", "/v1/vms?start=1", .body = "{\"template\":\"linux\",\"start\":true}" },
			400, "start: given twice" },
		{ { "POST", "/vm?xmlName=a&xmlContent=b" }, 400, "XML and a template" },
		{ { "POST", "/vm" }, 400, "no spec, template or XML" },
		{ { "POST", "/v1/vms" }, 400, "no spec, template or XML" },
		{ { "POST", "/v1/vms", .body = "{}" }, 400, "no spec, template or XML" },
		{ { "POST", "/v1/vms", .body = "[]" }, 400, "must be a JSON object" },
		{ { "POST", "/v1/vms", .body = "null" }, 400, "must be a JSON object" },
		{ { "POST", "/v1/vms", .body = "{\"template\":1}" }, 400,
			"template: must be a string" },
		{ { "POST", "/v1/vms", .body = "{\"template\":null}" }, 400,
			"template: must be a string" },
		{ { "POST", "/v1/vms", .body = "{\"template\":\"\"}" }, 400,
			"template: must not be empty" },
		{ { "POST", "/v1/vms", .body = "{\"template\":\"a\\u0000b\"}" }, 400, "NUL" },
		{ { "POST", "/v1/vms", .body = "{\"name\":\"a\",\"title\":\"\\u202egpj\"}" }, 400,
			"title: may have no control, direction or invisible characters" },
		{ { "POST", "/v1/vms", .body = "{\"labels\":{\"a\":\"\\u009b\"}}" }, 400,
			"labels.a: may have no control" },
		{ { "PATCH", "/v1/vms/test", .body = "{\"description\":\"a\\u2028b\"}" }, 400,
			"description: may have no control" },
		{ { "POST", "/v1/vms/test/snapshots", .body = "{\"description\":\"\\ufeff\"}" },
			400, "description: may have no control" },
		{ { "POST", "/v1/vms", .body = "{\"start\":1}" }, 400,
			"start: must be true or false" },
		{ { "POST", "/v1/vms", .body = "{\"nmae\":\"x\"}" }, 400, "'nmae' is not a field" },
		{ { "POST", "/v1/vms", .body = "{\"name\":\"x\",\"name\":\"y\"}" }, 400,
			"'name' is given twice" },
		{ { "POST", "/v1/vms",
			  .body = "{\"template\":\"linux\",\"persistent\":false,"
				  "\"start\":false}" },
			400, "exists only while it runs" },
		{ { "POST", "/v1/vms", .body = "{" }, 400, "bad_json" },
		{ { "POST", "/v1/vms", .body = "<domain/>", .media = "text/plain" }, 415,
			"application/json or application/xml" },
		{ { "POST", "/v1/vms", .body = "{}", .media = "" }, 415, "no Content-Type" },
		{ { "POST", "/v1/vms/test/start", .body = "<x/>", .media = "text/xml" }, 415,
			"send application/json" },
		{ { "POST", "/v1/vms/test/suspend", .body = "{\"mode\":\"x\"}" }, 400,
			"body: this request takes no body" },
		{ { "GET", "/v1/vms", .body = "{\"a\":1}" }, 400, "this request takes no body" },
		{ { "GET", "/v1/vms", .body = "{}\r\n" }, 200, "items" },
		{ { "GET", "/nowhere" }, 404, "not_found" },
		{ { "GET", "/v1/vms/" }, 404, "not_found" },
		{ { "GET", "/v1/vms/a/b/c" }, 404, "not_found" },
		{ { "GET", "/v1/vms/%" }, 400, "hexadecimal" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		expect(&cases[i].r, cases[i].status, cases[i].part);
}

/* A body that nobody may look into: only its length is known. */
static void expect_refusal(struct http_req req, size_t body_len, int status)
{
	struct api_call call;
	struct api_reply reply;
	req.body = NULL;
	req.body_len = body_len;
	req.content_type = "application/json";
	api_call_init(&api, &req, &call);
	CHECK(!api_reads_body(&call), "%s %s", http_method_name(req.method), req.target);
	CHECK(api_is_instant(&call), "%s %s", http_method_name(req.method), req.target);
	api_answer(&call, &reply);
	CHECK(reply.status == status, "%s %s: %d instead of %d: %s", http_method_name(req.method),
		req.target, reply.status, status, reply.body);
	api_reply_done(&reply);
	api_call_done(&call);
}

static void test_what_is_refused_has_its_body_not_read(void **state)
{
	enum { SOME = 1000 };
	(void)state;
	for (size_t i = 0; i < route_count; i++) {
		const struct route *route = &routes[i];
		struct http_req req = test_request(route->method, route->path, "admin");
		char target[64];
		(void)snprintf(target, sizeof target, "%s%s", route->path,
			route->query && route->query->required ? "?name=test" : "");
		req.target = target;
		if (!route->body)
			expect_refusal(req, SOME, 400);
		req.role = "viewer";
		if (route->role > ROLE_VIEWER)
			expect_refusal(req, SOME, 403);
		req.role = req.user = "";
		if (route->role != ROLE_NONE)
			expect_refusal(req, SOME, 401);
	}
	expect_refusal(test_request(HTTP_POST, "/nowhere", "admin"), SOME, 404);
	expect_refusal(test_request(HTTP_POST, "/healthz", "admin"), SOME, 405);
	expect_refusal(test_request(HTTP_POST, "/v1/vms?x=1", "admin"), SOME, 400);
	expect_refusal(test_request(HTTP_OPTIONS, "/v1/vms", "admin"), SOME, 204);
	struct http_req typed = test_request(HTTP_POST, "/v1/vms", "admin");
	typed.if_match = "\"a\"";
	expect_refusal(typed, SOME, 400);
}

static void test_a_vm_that_is_not_there_is_404_everywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < route_count; i++) {
		char target[256] = "";
		size_t len = 0;
		for (const char *p = routes[i].path; *p; p++) {
			if (*p == '{') {
				len += (size_t)sprintf(target + len, "none");
				p += strcspn(p, "}");
			} else {
				target[len++] = *p;
			}
		}
		bool by_query = routes[i].query && routes[i].query->as &&
			!strcmp(routes[i].query->as, "ref");
		if (by_query)
			(void)strcat(target, "?name=none");
		else if (!strchr(routes[i].path, '{'))
			continue;
		expect(&(struct request){ http_method_name(routes[i].method), target }, 404,
			"\"code\":\"vm_not_found\"");
	}
}

static void test_actions_go_by_state(void **state)
{
	static const struct {
		const char *action;
		int status;
		const char *part;
	} steps[] = {
		{ "stop", 200, "\"changed\":false" },
		{ "suspend", 409, "\"state\":\"shutoff\"" },
		{ "resume", 409, "\"code\":\"wrong_state\"" },
		{ "reboot", 409, "\"hint\":\"start it first\"" },
		{ "reset", 409, "\"state\":\"shutoff\"" },
		{ "start", 200, "\"changed\":true" },
		{ "start", 200, "\"changed\":false" },
		{ "resume", 200, "\"changed\":false" },
		{ "reset", 200, "\"changed\":true" },
		{ "suspend", 200, "\"state\":\"paused\"" },
		{ "suspend", 200, "\"changed\":false" },
		{ "start", 409, "\"hint\":\"resume it instead\"" },
		{ "reboot", 409, "\"state\":\"paused\"" },
		{ "resume", 200, "\"state\":\"running\"" },
		{ "stop", 200, "\"how\":\"acpi\"" },
		{ "save", 409, "\"code\":\"wrong_state\"" },
		{ "start", 200, "\"restored\":false" },
		{ "save", 200, "\"managed_save\":true" },
		{ "save", 200, "\"changed\":false" },
		{ "start", 200, "\"restored\":true" },
		{ "reboot", 200, "\"changed\":true" },
		{ "stop", 200, "\"state\":\"shutoff\"" },
	};
	(void)state;
	make_vm_of("linux", "steps", false); /* it has ACPI */
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		char target[64];
		(void)snprintf(target, sizeof target, "/v1/vms/steps/%s", steps[i].action);
		post(target, steps[i].status, steps[i].part);
	}
	delete ("/v1/vms/steps", 200, "\"removed\":[\"definition\"]");
	get("/v1/vms/steps", 404, NULL);
}

static void test_a_save_that_was_dropped_is_not_restored(void **state)
{
	(void)state;
	make_vm("dropped", true);
	post("/v1/vms/dropped/save", 200, "\"managed_save\":true");
	delete ("/v1/vms/dropped/save", 200, "\"managed_save\":false,");
	delete ("/v1/vms/dropped/save", 200, "\"changed\":false");
	post("/v1/vms/dropped/start", 200, "\"restored\":false");
	delete ("/v1/vms/dropped", 200, NULL);
}

static void test_a_screen_is_shown_as_png(void **state)
{
	static const char png[] = "\x89PNG\r\n\x1a\n";
	struct api_reply reply;
	(void)state;
	make_vm_of("linux", "shown", false);
	get("/v1/vms/shown/screenshot", 409, "\"state\":\"shutoff\"");
	post("/v1/vms/shown/start", 200, NULL);
	get("/v1/vms/shown/screenshot?screen=1", 422, "screen: 1 is not from 0 to 0");
	send(&(struct request){ "GET", "/v1/vms/shown/screenshot", .role = "operator" }, &reply);
	assert_int_equal(reply.status, 200);
	assert_string_equal(reply.type, "image/png");
	assert_true(reply.body_len > sizeof png && reply.etag[0]);
	assert_memory_equal(reply.body, png, sizeof png - 1);
	api_reply_done(&reply);
	delete ("/v1/vms/shown", 200, NULL);
}

static void test_a_patch_says_where_it_went(void **state)
{
	static const char patched[] =
		"\"changed\":true,\"applied\":{\"config\":[\"vcpus\",\"title\"],"
		"\"live\":[\"title\"]},\"restart_required\":[\"vcpus\"]";
	static const char body[] = "{\"title\":\"t\",\"vcpus\":2}";
	static const char type[] = API_PATCH_TYPE;
	(void)state;
	make_vm("patched", true);
	expect(&(struct request){ "PATCH", "/v1/vms/patched", .role = "operator", .body = body,
		       .media = type },
		200, patched);
	expect(&(struct request){ "PATCH", "/v1/vms/patched", .body = body }, 200,
		"\"changed\":false");
	expect(&(struct request){ "PATCH", "/v1/vms/patched?apply=both", .body = body }, 422,
		"at most 1, not 2");
	expect(&(struct request){ "PATCH", "/v1/vms/patched?apply=none", .body = body }, 400,
		"apply");
	expect(&(struct request){ "PATCH", "/v1/vms/patched", .body = body,
		       .if_match = "\"0123\"" },
		412, "precondition_failed");
	kill_vm("patched", NULL);
	expect(&(struct request){ "PATCH", "/v1/vms/patched?apply=live", .body = body }, 409,
		"\"state\":\"shutoff\"");
	delete ("/v1/vms/patched", 200, NULL);
}

static void test_a_vm_that_hears_nothing_is_stopped_by_force_alone(void **state)
{
	static const struct {
		const char *action, *body;
		int status;
		const char *part;
	} steps[] = {
		{ "stop", NULL, 409, "\"code\":\"cannot_shut_down\"" },
		{ "stop", "{\"mode\":\"acpi\"}", 409, "\"code\":\"cannot_shut_down\"" },
		{ "stop", "{\"mode\":\"agent\"}", 409, "\"code\":\"agent_unavailable\"" },
		{ "reboot", NULL, 409, "\"code\":\"cannot_shut_down\"" },
		{ "stop", "{\"then\":\"kill\"}", 200, "\"how\":\"kill\"" },
		{ "stop", NULL, 200, "\"how\":\"none\"" },
		{ "stop", "{\"timeout\":601}", 400, "timeout: 601 is not from 1 to 600" },
		{ "stop", "{\"mode\":\"hard\"}", 400, "mode: 'hard' is not one of" },
	};
	(void)state;
	make_vm("deaf", true);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		char target[64];
		(void)snprintf(target, sizeof target, "/v1/vms/deaf/%s", steps[i].action);
		expect(&(struct request){ "POST", target, .body = steps[i].body }, steps[i].status,
			steps[i].part);
	}
	delete ("/v1/vms/deaf", 200, NULL);
}

static void test_one_request_acts_on_many(void **state)
{
	static const struct {
		const char *action, *body;
		int status;
		const char *part;
	} steps[] = {
		{ "start", NULL, 400, "in refs or select them in select" },
		{ "start", "{\"refs\":[]}", 400, "refs: must name a VM" },
		{ "start", "{\"refs\":[\"m1\",\"\"]}", 400, "refs[1]: must not be empty" },
		{ "start", "{\"refs\":[\"m1\",\"m2\",\"m1\"]}", 400, "refs[2]: names the same" },
		{ "start", "{\"refs\":[\"m1\"],\"max\":1}", 400,
			"max: can be used with select only" },
		{ "start", "{\"select\":{},\"max\":1}", 400, "select: must have a member" },
		{ "start", "{\"select\":{\"name\":\"m?\"}}", 400, "max: this field is missing" },
		{ "start", "{\"select\":{\"name\":\"m?\"},\"max\":1}", 409, "too_many_selected" },
		{ "start", "{\"select\":{\"name\":\"m?\",\"state\":\"running\"},\"max\":1}", 200,
			"{\"items\":[],\"succeeded\":0,\"failed\":0}" },
		{ "start", "{\"select\":{\"name\":\"m?\"},\"max\":2}", 200, "\"succeeded\":2" },
		{ "suspend", "{\"refs\":[\"m2\",\"none\"]}", 200, "\"succeeded\":1,\"failed\":1" },
		{ "resume", "{\"refs\":[\"m2\",\"m1\"]}", 200,
			"\"changed\":true,\"state\":\"running\"},"
			"{\"ref\":\"m1\"" },
		{ "stop", "{\"refs\":[\"m1\",\"m2\"]}", 200, "\"code\":\"cannot_shut_down\"" },
		{ "stop", "{\"refs\":[\"m1\",\"m2\"],\"then\":\"kill\"}", 200, "\"succeeded\":2" },
		{ "delete", "{\"refs\":[\"m1\",\"m2\"]}", 200, "\"stopped\":false" },
	};
	(void)state;
	make_vm("m1", false);
	make_vm("m2", false);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		char target[64];
		(void)snprintf(target, sizeof target, "/v1/vms:%s", steps[i].action);
		expect(&(struct request){ "POST", target, .body = steps[i].body }, steps[i].status,
			steps[i].part);
	}
	get("/v1/vms/m1", 404, NULL);
}

static void test_a_vm_is_found_by_name_and_by_uuid(void **state)
{
	struct api_reply reply;
	(void)state;
	make_vm("found", false);
	send(&(struct request){ "GET", "/v1/vms/found" }, &reply);
	char uuid[UUID_SIZE] = "";
	(void)sscanf(strstr(reply.body, "\"uuid\":\"") + 8, "%36s", uuid);
	api_reply_done(&reply);
	char target[80];
	(void)snprintf(target, sizeof target, "/v1/vms/%s", uuid);
	get(target, 200, "\"name\":\"found\"");
	delete (target, 200, "\"name\":\"found\"");
}

static void test_one_vm_is_shown_with_a_tag_that_holds_until_it_is_changed(void **state)
{
	char old[ETAG_SIZE];
	struct api_reply reply;
	(void)state;
	make_vm("shown", true);
	get("/v1/vms/shown", 200, "\"pending\":[]");
	get("/v1/vms/shown", 200, "\"snapshots\":0");
	send(&(struct request){ "GET", "/v1/vms/shown" }, &reply);
	(void)snprintf(old, sizeof old, "%s", reply.etag);
	api_reply_done(&reply);
	for (int i = 0; i < 2; i++)
		expect(&(struct request){ "POST",
			       i ? "/v1/vms/shown/resume" : "/v1/vms/shown/suspend",
			       .if_match = old },
			i ? 412 : 200, i ? "precondition_failed" : "\"changed\":true");
	get("/v1/vms/shown", 200, "\"state\":\"paused\"");
	get("/v1/vms/shown/stats", 200, "\"rss_kib\":null");
	get("/v1/vms/shown/job", 200, "{\"job\":null}");
	expect(&(struct request){ "DELETE", "/v1/vms/shown/job", .role = "operator" }, 200,
		"\"changed\":false");
	delete ("/v1/vms/shown", 200, NULL);
}

/* Events come a moment after the fact. */
static void test_since_is_told_of_what_was_seen(void **state)
{
	(void)state;
	make_vm("seen", true);
	bool told = false;
	for (int64_t end = clock_ms() + 20000; !told && clock_ms() < end;) {
		struct api_reply reply;
		send(&(struct request){ "GET", "/v1/vms/seen" }, &reply);
		told = strstr(reply.body, "\"since\":\"2");
		api_reply_done(&reply);
	}
	assert_true(told);
	delete ("/v1/vms/seen", 200, NULL);
	get("/v1/vms/test", 200, "\"since\":null");
}

static void test_create_answers_location_and_overwrites_nothing(void **state)
{
	struct api_reply reply;
	(void)state;
	struct request r = { "POST", "/v1/vms",
		.body = "{\"template\":\"helloworld\",\"name\":\"once\"}" };
	send(&r, &reply);
	assert_int_equal(reply.status, 201);
	get(reply.location, 200, "\"name\":\"once\"");
	char uuid[UUID_SIZE] = "";
	(void)sscanf(reply.location, "/v1/vms/%36s", uuid);
	api_reply_done(&reply);
	expect(&r, 409, "\"code\":\"already_exists\"");
	get("/v1/vms/once", 200, uuid);

	char same_uuid[300];
	(void)snprintf(same_uuid, sizeof same_uuid,
		"<domain type='test'><name>other</name><uuid>%s</uuid><memory>8192</memory>"
		"<os><type>hvm</type></os></domain>",
		uuid);
	expect(&(struct request){ "POST", "/v1/vms", .body = same_uuid,
		       .media = "application/xml" },
		409, "a VM with uuid");
	get("/v1/vms/other", 404, NULL);
	delete ("/v1/vms/once", 200, NULL);
}

static void test_xml_is_taken_three_ways(void **state)
{
	static const char xml[] = "<domain type='kvm'>\n<name>x1</name>\n<memory>8192</memory>\n"
				  "<os><type>hvm</type></os>\n</domain>";
	char query[512] = "/vm?xmlContent=";
	char json[512];
	(void)state;
	expect(&(struct request){ "POST", "/v1/vms", .body = xml, .media = "application/xml" }, 201,
		"\"state\":\"shutoff\"");
	delete ("/v1/vms/x1", 200, NULL);

	(void)snprintf(json, sizeof json,
		"{\"xml\":\"<domain type='kvm'>\\n<name>x1</name><memory>8192</memory>"
		"<os><type>hvm</type></os></domain>\",\"name\":\"x2\"}");
	expect(&(struct request){ "POST", "/v1/vms", .body = json }, 201, "\"name\":\"x2\"");
	delete ("/v1/vms/x2", 200, NULL);

	AUTO(free) char *encoded = http_encode_segment(xml);
	(void)strcat(query, encoded);
	post(query, 201, "\"persistent\":false");
	delete ("/vm?name=x1", 200, "\"stopped\":true");
	expect(&(struct request){ "POST", "/vm", .body = xml, .media = "text/xml; charset=utf-8" },
		201, "\"state\":\"running\"");
	kill_vm("x1", "\"state\":\"shutoff\"");
	get("/v1/vms/x1", 404, NULL);
}

static void test_bad_domains_are_refused_and_leave_nothing(void **state)
{
	static const struct {
		const char *xml;
		const char *part;
	} cases[] = {
		{ "<domain type='test'><name>bad</name></domain>", "invalid_xml" },
		{ "<domain type='test'><name>bad</name><memory>8192</memory><memoryy/>"
		  "<os><type>hvm</type></os></domain>",
			"policy_denied" },
		{ "<domain type='test'><name>bad</name><memory>x</memory>"
		  "<os><type>hvm</type></os></domain>",
			"policy_denied" },
		{ "<!DOCTYPE domain><domain type='test'/>", "document type" },
		{ "<domain", "not well-formed" },
		{ "<domain type='test'><name>../bad</name><memory>8192</memory></domain>",
			"invalid_spec" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct request r = { "POST", "/v1/vms?start=1", .body = cases[i].xml,
			.media = "application/xml" };
		expect(&r, 422, cases[i].part);
		get("/v1/vms/bad", 404, NULL);
	}
	struct request nul = { "POST", "/v1/vms", .body = "<domain>\0</domain>",
		.media = "application/xml", .body_len = 18 };
	expect(&nul, 422, "NUL");
}

static void test_a_vm_whose_xml_grew_by_escapes_can_be_deleted(void **state)
{
	enum { QUOTES = 40000 };
	(void)state;
	AUTO(free) char *xml = malloc(QUOTES + 300);
	char *p = xml +
		sprintf(xml,
			"<domain type='test'><name>quotes</name><memory>8192</memory>"
			"<os><type>hvm</type></os><description>");
	memset(p, '"', QUOTES);
	(void)strcpy(p + QUOTES, "</description></domain>");
	struct request r = { "POST", "/v1/vms?start=1", .body = xml, .media = "application/xml" };
	config.policy = POLICY_OFF;
	expect(&r, 201, NULL);
	config.policy = POLICY_ON;
	post("/v1/vms/quotes/snapshots", 201, NULL);
	get("/v1/vms/quotes/snapshots", 200, "\"current\":true");
	delete ("/v1/vms/quotes", 200, "snapshot_metadata");
}

static void test_schema_errors_name_no_file_of_the_host(void **state)
{
	struct api_reply reply;
	(void)state;
	send(&(struct request){ "POST", "/v1/vms",
		     .body = "<domain type='test'><name>bad</name><title>two\nlines</title>"
			     "<memory>8192</memory><os><type>hvm</type></os></domain>",
		     .media = "application/xml" },
		&reply);
	CHECK(!strstr(reply.body, "/usr/"), "%s", reply.body);
	CHECK(strstr(reply.body, "libvirt's schema refuses it: "), "%s", reply.body);
	api_reply_done(&reply);
}

/* Processor time of this process, in which libvirt's test driver is, for one request; at best. */
static double request_seconds(const char *target, const char *xml, int status)
{
	double best = 1e9;
	for (int i = 0; i < 3; i++) {
		struct timespec a, b;
		const struct request r = { "POST", target, .body = xml,
			.media = "application/xml" };
		(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
		expect(&r, status, NULL);
		(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
		double s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) * 1e-9;
		best = s < best ? s : best;
		if (status == 201)
			delete ("/v1/vms/mixed", 200, NULL);
	}
	return best;
}

/* libxml2 takes long to match text between elements with libvirt's schema, up to 243 ms. */
static void test_metadata_is_no_part_of_what_is_validated(void **state)
{
	enum { ELEMENTS = 4000, TIMES = 12 };
	static char xml[64 * 1024];
	char *end = stpcpy(xml,
		"<domain type='test'><name>mixed</name><memory>8192</memory><os><type>hvm</type>"
		"</os><metadata><m:a xmlns:m='urn:m'>");
	(void)state;
	for (int i = 0; i < ELEMENTS; i++)
		end = stpcpy(end, "t<m:b a=''/>");
	end = stpcpy(end, "</m:a></metadata>");
	(void)strcpy(end, "<seclabel/></domain>");
	double reading = request_seconds("/v1/vms", xml, 422);
	(void)strcpy(end, "</domain>");
	double dry_run = request_seconds("/v1/vms?dry_run=1", xml, 200);
	double creation = request_seconds("/v1/vms", xml, 201);
	CHECK(dry_run < reading * TIMES, "%.1f ms against %.1f ms", dry_run * 1e3, reading * 1e3);
	CHECK(creation < reading * TIMES, "%.1f ms against %.1f ms", creation * 1e3, reading * 1e3);
}

static void test_templates_are_listed_with_what_they_are(void **state)
{
	struct api_reply reply;
	(void)state;
	send(&(struct request){ "GET", "/v1/templates" }, &reply);
	assert_int_equal(reply.status, 200);
	CHECK(strstr(reply.body, "{\"items\":[{\"name\":\"helloworld\",\"title\":\"") == reply.body,
		"%s", reply.body);
	CHECK(strstr(reply.body, "\"name\":\"nginx\""), "%s", reply.body);
	CHECK(!strstr(reply.body, "\"error\"") && !strstr(reply.body, "\"title\":\"\""), "%s",
		reply.body);
	api_reply_done(&reply);
	config.templates = "/nowhere";
	get("/v1/templates", 500, "the templates cannot be read");
	config.templates = TEMPLATES;
}

static void test_the_policy_tells_all_that_it_refuses(void **state)
{
	struct request r = { "POST", "/v1/vms",
		.body = "<domain type='test'><name>bad</name><memory>8192</memory>"
			"<os><type>hvm</type></os><devices><emulator>/bin/sh</emulator>"
			"<hostdev/></devices></domain>",
		.media = "application/xml" };
	(void)state;
	expect(&r, 422,
		"\"violations\":[{\"path\":\"/domain/devices/emulator\",\"value\":\"\","
		"\"rule\":\"this element is not allowed\"},{\"path\":\"/domain/devices/hostdev\",");
	get("/v1/vms/bad", 404, NULL);
	config.policy = POLICY_OFF;
	expect(&r, 422, "\"code\":\"invalid_xml\"");
	config.policy = POLICY_ON;
}

static void test_the_list_has_every_vm_by_name(void **state)
{
	struct api_reply reply;
	(void)state;
	make_vm("list-b", true);
	make_vm("list-a", false);
	make_vm("list-c", true);
	post("/v1/vms/list-c/suspend", 200, NULL);
	send(&(struct request){ "GET", "/v1/vms" }, &reply);
	const char *a = strstr(reply.body, "\"name\":\"list-a\"");
	const char *b = strstr(reply.body, "\"name\":\"list-b\"");
	const char *c = strstr(reply.body, "\"name\":\"list-c\"");
	CHECK(a && b && c && a < b && b < c, "%s", reply.body);
	CHECK(strstr(a, "\"state\":\"shutoff\"") < b, "%s", reply.body);
	CHECK(strstr(a, "\"memory_kib\":2048"), "%s", reply.body);
	api_reply_done(&reply);
	send(&(struct request){ "GET", "/vms" }, &reply);
	CHECK(!strstr(reply.body, "list-a"), "a VM that is shut off: %s", reply.body);
	CHECK(strstr(reply.body, "list-b") && strstr(reply.body, "list-c"), "%s", reply.body);
	api_reply_done(&reply);
	delete ("/v1/vms/list-a", 200, "\"stopped\":false");
	delete ("/v1/vms/list-b", 200, "\"stopped\":true");
	delete ("/v1/vms/list-c", 200, NULL);
	send(&(struct request){ "GET", "/v1/vms" }, &reply);
	CHECK(!strstr(reply.body, "list-"), "%s", reply.body);
	api_reply_done(&reply);
}

static void test_one_of_three_is_the_one_that_is_named(void **state)
{
	(void)state;
	make_vm("three-a", true);
	make_vm("three-b", true);
	make_vm("three-c", true);
	post("/vm/suspend?name=three-a", 200, "\"name\":\"three-a\"");
	get("/v1/vms/three-a", 200, "\"state\":\"paused\"");
	get("/v1/vms/three-b", 200, "\"state\":\"running\"");
	get("/v1/vms/three-c", 200, "\"state\":\"running\"");
	post("/resume?name=three-a", 200, "\"state\":\"running\"");
	delete ("/vm?name=three-b", 200, "\"name\":\"three-b\"");
	get("/v1/vms/three-a", 200, NULL);
	get("/v1/vms/three-b", 404, NULL);
	get("/v1/vms/three-c", 200, NULL);
	delete ("/v1/vms/three-a", 200, NULL);
	delete ("/v1/vms/three-c", 200, NULL);
}

static void test_snapshots_from_first_to_last(void **state)
{
	struct api_reply reply;
	(void)state;
	make_vm("snap", true);
	get("/v1/vms/snap/snapshots", 200, "{\"items\":[]}");
	post("/vm/snapshot/revert?name=snap", 404, "\"code\":\"snapshot_not_found\"");
	expect(&(struct request){ "POST", "/v1/vms/snap/snapshots",
		       .body = "{\"name\":\"s1\",\"description\":\"<first> & \\\"only\\\"\"}" },
		201, "\"description\":\"<first> & \\\"only\\\"\"");
	expect(&(struct request){ "POST", "/v1/vms/snap/snapshots", .body = "{\"name\":\"s1\"}" },
		409, "\"code\":\"already_exists\"");
	expect(&(struct request){ "POST", "/vm/snapshot?name=snap",
		       .body = "<domainsnapshot><name>s2</name><description>d</description>"
			       "</domainsnapshot>",
		       .media = "application/xml" },
		201, "\"parent\":\"s1\"");
	send(&(struct request){ "POST", "/v1/vms/snap/snapshots" }, &reply);
	assert_int_equal(reply.status, 201);
	get(reply.location, 200, "\"current\":true");
	delete (reply.location, 200, "\"deleted\":[\"snap-");
	get(reply.location, 404, "snapshot_not_found");
	api_reply_done(&reply);
	post("/v1/vms/snap/suspend", 200, NULL);
	post("/v1/vms/snap/snapshots/s1/revert", 200, "\"state\":\"running\"");
	get("/v1/vms/snap/snapshots/s1", 200, "\"current\":true");
	get("/v1/vms/snap", 200, "\"has_snapshots\":true");
	expect(&(struct request){ "POST", "/v1/vms/snap/snapshots/s1/revert",
		       .body = "{\"state\":\"paused\"}" },
		200, "\"state\":\"paused\"");
	get("/v1/vms/snap/snapshots/s1", 200, "\"children\":1");
	expect(&(struct request){ "DELETE", "/v1/vms/snap/snapshots/s2", .if_match = "\"x\"" }, 412,
		"its entity tag is");
	delete ("/v1/vms/snap/snapshots/s2?metadata_only=1&children=1", 200,
		"\"deleted\":[\"s2\"],\"metadata_only\":true");
	delete ("/v1/vms/snap/snapshots/s2", 404, "has no snapshot 's2'");
	delete ("/v1/vms/snap", 200, "\"removed\":[\"definition\",\"snapshot_metadata\"]");
}

static void test_a_key_makes_one_snapshot(void **state)
{
	static const struct {
		const char *key, *body;
		int status;
		const char *part;
		bool replayed;
	} cases[] = {
		{ "k", "{}", 201, "\"name\":\"snap-", false },
		{ "k", "{}", 201, "\"description\":\"\"", true },
		{ "k", "{\"name\":\"a\"}", 422, "key_reused", false },
		{ "l", "{\"name\":\"a\",\"description\":\"b\"}", 201, "\"description\":\"b\"",
			false },
		{ "l", "{\"name\":\"a\",\"description\":\"b\"}", 201, "\"description\":\"b\"",
			true },
		{ "m", "{\"name\":\"a\",\"description\":\"b\"}", 409, "already_exists", false },
		{ "m", "{\"description\":\"virtgate:request=\"}", 422, "invalid_spec", false },
	};
	(void)state;
	make_vm("keyed", true);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct api_reply reply;
		send(&(struct request){ "POST", "/v1/vms/keyed/snapshots", .body = cases[i].body,
			     .idempotency_key = cases[i].key },
			&reply);
		CHECK(reply.status == cases[i].status && strstr(reply.body, cases[i].part) &&
				reply.replayed == cases[i].replayed,
			"case %zu: %s", i, reply.body);
		CHECK(reply.status >= 400 || !strstr(reply.body, "virtgate:"), "%s", reply.body);
		api_reply_done(&reply);
	}
	delete ("/v1/vms/keyed", 200, NULL);
}

static void test_bad_snapshots_are_refused(void **state)
{
	static const struct {
		const char *body, *media;
		int status;
		const char *part;
	} cases[] = {
		{ "{\"name\":\"a/b\"}", NULL, 422, "name: 'a/b' is not" },
		{ "{\"name\":\"..\"}", NULL, 422, "invalid_spec" },
		{ "{\"name\":\"\"}", NULL, 400, "must not be empty" },
		{ "{\"description\":7}", NULL, 400, "description: must be a string" },
		{ "{\"disks\":[]}", NULL, 400, "'disks' is not a field" },
		{ "<domain/>", "application/xml", 422, "not <domainsnapshot>" },
		{ "<domainsnapshot><name>../x</name></domainsnapshot>", "application/xml", 422,
			"invalid_spec" },
		{ "<!DOCTYPE x><domainsnapshot/>", "application/xml", 422, "document type" },
		{ "<domainsnapshot><memory snapshot='external' file='/x'/></domainsnapshot>",
			"application/xml", 422, "/domainsnapshot/memory/@file" },
	};
	(void)state;
	make_vm("badsnap", true);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		expect(&(struct request){ "POST", "/v1/vms/badsnap/snapshots",
			       .body = cases[i].body, .media = cases[i].media },
			cases[i].status, cases[i].part);
	get("/v1/vms/badsnap/snapshots", 200, "{\"items\":[]}");
	delete ("/v1/vms/badsnap", 200, NULL);
}

static void test_the_process_tells_of_itself(void **state)
{
	struct api_reply reply;
	(void)state;
	get("/v1", 200, "\"driver\":\"TEST\"");
	get("/v1", 200,
		"\"features\":{\"kvm\":false,\"simulated\":true,\"accel\":\"auto\",\"policy\":"
		"true}");
	get("/v1/host", 200, "\"driver\":\"TEST\"");
	get("/v1/host", 200, "\"vms\":{\"total\":");
	get("/metrics", 200, "\nvirtgate_host_up{host=\"local\"} 1\n");
	get("/metrics?vms=0", 200, "\nvirtgate_gates_held{host=\"local\"} 0\n");
	get("/metrics?vms=2", 400, "\"code\":\"bad_request\"");
	get("/healthz", 200, "{\"alive\":true}");
	get("/readyz", 200, "{\"ready\":true}");
	atomic_store(&api.draining, true);
	get("/readyz", 503, "\"code\":\"draining\"");
	get("/healthz", 200, NULL);
	atomic_store(&api.draining, false);
	send(&(struct request){ "POST", "/shutdown" }, &reply);
	CHECK(reply.stop && reply.status == 200, "%d", reply.status);
	api_reply_done(&reply);
	send(&(struct request){ "GET", "/shutdown" }, &reply);
	CHECK(!reply.stop && reply.status == 405, "%d", reply.status);
	api_reply_done(&reply);
}

static void test_libvirts_words_with_a_path_stand_in_its_message_alone(void **state)
{
	static const char disk[] = "<disk type='file'><driver type='raw'/><source file='d'/>"
				   "<target dev='vda'/></disk>";
	char xml[1024];
	struct api_reply reply;
	(void)state;
	(void)snprintf(xml, sizeof xml,
		"<domain "
		"type='test'><name>twice</name><memory>8192</memory><os><type>hvm</type></os>"
		"<devices>%s%s</devices></domain>",
		disk, disk);
	send(&(struct request){ "POST", "/v1/vms", .body = xml, .media = "text/xml" }, &reply);
	CHECK(reply.status == 422, "%s", reply.body);
	const char *message = strstr(reply.body, "\"message\":");
	CHECK(message && strstr(message, "/images/d"), "%s", reply.body);
	CHECK(strstr(reply.body, "/images/d") > message, "%s", reply.body);
	api_reply_done(&reply);
}

struct racer {
	pthread_t thread;
	int status;
};

static void *race_create(void *data)
{
	struct racer *racer = data;
	struct api_reply reply;
	send(&(struct request){ "POST", "/v1/vms",
		     .body = "{\"template\":\"helloworld\",\"name\":\"race\"}" },
		&reply);
	racer->status = reply.status;
	api_reply_done(&reply);
	return NULL;
}

static void test_of_many_creators_of_one_name_one_wins(void **state)
{
	struct racer racers[16];
	int winners = 0;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(racers); i++)
		assert_int_equal(
			pthread_create(&racers[i].thread, NULL, race_create, &racers[i]), 0);
	for (size_t i = 0; i < ARRAY_LEN(racers); i++) {
		(void)pthread_join(racers[i].thread, NULL);
		CHECK(racers[i].status == 201 || racers[i].status == 409, "%d", racers[i].status);
		winners += racers[i].status == 201;
	}
	assert_int_equal(winners, 1);
	delete ("/v1/vms/race", 200, NULL);
}

static int set_up(void **state)
{
	struct err err;
	(void)state;
	return test_api_begin(&api) < 0 ? -1 : api_docs_prepare(&api, &err);
}

static int tear_down(void **state)
{
	(void)state;
	free(api.document.text);
	test_api_end(&api);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes_are_sorted_and_told_apart),
		cmocka_unit_test(test_what_rows_say_of_errors_and_examples_is_right),
		cmocka_unit_test(test_every_route_refuses_those_below_its_role),
		cmocka_unit_test(test_every_path_knows_its_methods),
		cmocka_unit_test(test_strangers_learn_nothing),
		cmocka_unit_test(test_pages_of_other_sites_may_read_and_change_nothing),
		cmocka_unit_test(test_a_problem_has_the_members_of_rfc_9457),
		cmocka_unit_test(test_parameters_are_strict),
		cmocka_unit_test(test_what_is_refused_has_its_body_not_read),
		cmocka_unit_test(test_a_vm_that_is_not_there_is_404_everywhere),
		cmocka_unit_test(test_actions_go_by_state),
		cmocka_unit_test(test_a_save_that_was_dropped_is_not_restored),
		cmocka_unit_test(test_a_screen_is_shown_as_png),
		cmocka_unit_test(test_a_patch_says_where_it_went),
		cmocka_unit_test(test_a_vm_that_hears_nothing_is_stopped_by_force_alone),
		cmocka_unit_test(test_one_request_acts_on_many),
		cmocka_unit_test(test_a_vm_is_found_by_name_and_by_uuid),
		cmocka_unit_test(test_one_vm_is_shown_with_a_tag_that_holds_until_it_is_changed),
		cmocka_unit_test(test_since_is_told_of_what_was_seen),
		cmocka_unit_test(test_create_answers_location_and_overwrites_nothing),
		cmocka_unit_test(test_xml_is_taken_three_ways),
		cmocka_unit_test(test_bad_domains_are_refused_and_leave_nothing),
		cmocka_unit_test(test_a_vm_whose_xml_grew_by_escapes_can_be_deleted),
		cmocka_unit_test(test_schema_errors_name_no_file_of_the_host),
		cmocka_unit_test(test_metadata_is_no_part_of_what_is_validated),
		cmocka_unit_test(test_the_list_has_every_vm_by_name),
		cmocka_unit_test(test_one_of_three_is_the_one_that_is_named),
		cmocka_unit_test(test_snapshots_from_first_to_last),
		cmocka_unit_test(test_a_key_makes_one_snapshot),
		cmocka_unit_test(test_bad_snapshots_are_refused),
		cmocka_unit_test(test_the_process_tells_of_itself),
		cmocka_unit_test(test_libvirts_words_with_a_path_stand_in_its_message_alone),
		cmocka_unit_test(test_templates_are_listed_with_what_they_are),
		cmocka_unit_test(test_the_policy_tells_all_that_it_refuses),
		cmocka_unit_test(test_of_many_creators_of_one_name_one_wins),
	};
	return cmocka_run_group_tests_name("api", tests, set_up, tear_down);
}
