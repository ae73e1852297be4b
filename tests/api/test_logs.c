/* SPDX-License-Identifier: MIT */
/* Serial logs: no VM's definition names another's, in process on libvirt's test driver. */
#include "in_api.h"

#include "base/uuid.h"

#include <stdio.h>
#include <string.h>

static struct config config = TEST_CONFIG("/images");
static struct api api = { .config = &config };

#define OWN "11111111-2222-4333-8444-555555555555"
#define OTHER "11111111-2222-4333-8444-666666666666"

static void send(
	enum http_method method, const char *target, const char *xml, struct api_reply *ret)
{
	struct http_req req = test_request(method, target, "admin");
	req.content_type = xml ? "application/xml" : "";
	req.body = xml ? xml : "";
	req.body_len = strlen(req.body);
	test_answer(&api, &req, ret);
}

static void expect(
	enum http_method method, const char *target, const char *xml, int status, const char *part)
{
	struct api_reply reply;
	send(method, target, xml, &reply);
	CHECK(reply.status == status, "%s: %d: %s %s", target, reply.status, reply.body, xml);
	CHECK(!part || strstr(reply.body, part), "%s: no %s in %s", target, part, reply.body);
	api_reply_done(&reply);
}

static const char *domain(const char *name, const char *uuid, const char *log)
{
	static char xml[1024];
	(void)snprintf(xml, sizeof xml,
		"<domain type='test'><name>%s</name><uuid>%s</uuid><memory>8192</memory>"
		"<os><type>hvm</type></os><devices><serial type='pty'><log file='%s'/></serial>"
		"</devices></domain>",
		name, uuid, log);
	return xml;
}

static void test_a_name_becomes_a_log_of_the_vm_alone(void **state)
{
	static const char *const logs[] = { "web.log", "web.login.log", "future.log", "web.log.0",
		"serial.txt", "/logs/" OWN "@serial-web.log", " a ", "A" };
	static const char *const paths[] = { OWN "@web.log", OWN "@web.login.log",
		OWN "@future.log", OWN "@web.log.0", OWN "@serial.txt", OWN "@serial-web.log",
		OWN "@a", OWN "@A" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(logs); i++) {
		char wanted[128];
		(void)snprintf(wanted, sizeof wanted, "<log file='/logs/%s'", paths[i]);
		expect(HTTP_POST, "/v1/vms", domain("web", OWN, logs[i]), 201, NULL);
		expect(HTTP_GET, "/v1/vms/web/xml", NULL, 200, wanted);
		expect(HTTP_DELETE, "/v1/vms/web", NULL, 200, NULL);
	}
}

static void test_no_vm_has_a_log_of_another(void **state)
{
	static const char *const denied[] = { "/logs/web.log", "/logs/web.login.log",
		"/logs/web.log.0", "/logs/future.log", "/logs/serial-web.log", "/logs/own.log",
		"/logs/" OTHER "@serial.log", "/logs/" OWN "@", "/logs/" OWN "@.log",
		"/logs/" OWN "@a/b", "/logs/" OWN "/../" OTHER "@serial.log", "/logs/" OWN,
		"/logs/" OWN "@a@b", "/logs//../x", "/logs/dir/serial.log", "/etc/passwd",
		"/logs/1111111-2222-4333-8444-5555555555555@a" };
	static const char *const invalid[] = { "../serial.log", "dir/serial.log", ".hidden", "-x",
		"..", "a b", OWN "@serial.log" };
	(void)state;
	expect(HTTP_POST, "/v1/vms", domain("web", OTHER, "serial.log"), 201, NULL);
	for (size_t i = 0; i < ARRAY_LEN(denied); i++) {
		expect(HTTP_POST, "/v1/vms", domain("own", OWN, denied[i]), 422, "policy_denied");
		expect(HTTP_POST, "/v1/vms?dry_run=1", domain("own", OWN, denied[i]), 422,
			"policy_denied");
		expect(HTTP_POST, "/vm", domain("own", OWN, denied[i]), 422, "policy_denied");
	}
	for (size_t i = 0; i < ARRAY_LEN(invalid); i++)
		expect(HTTP_POST, "/v1/vms", domain("own", OWN, invalid[i]), 422, "invalid_spec");
	expect(HTTP_POST, "/v1/vms", domain("own", OWN, "serial.log"), 201, NULL);
	for (size_t i = 0; i < ARRAY_LEN(denied); i++)
		expect(HTTP_PUT, "/v1/vms/own/xml", domain("own", OWN, denied[i]), 422,
			"policy_denied");
	expect(HTTP_DELETE, "/v1/vms/own", NULL, 200, NULL);
	expect(HTTP_DELETE, "/v1/vms/web", NULL, 200, NULL);
}

static void test_a_definition_keeps_the_log_that_it_has(void **state)
{
	(void)state;
	config.policy = POLICY_OFF; /* as from an earlier version */
	expect(HTTP_POST, "/v1/vms", domain("old", OWN, "/logs/serial-old.log"), 201, NULL);
	config.policy = POLICY_ON;
	expect(HTTP_PUT, "/v1/vms/old/xml?dry_run=1", domain("old", OWN, "/logs/serial-old.log"),
		200, NULL);
	expect(HTTP_PUT, "/v1/vms/old/xml", domain("old", OWN, "/logs/serial-old.log"), 200, NULL);
	expect(HTTP_PUT, "/v1/vms/old/xml", domain("old", OWN, "/logs/serial-web.log"), 422,
		"policy_denied");
	expect(HTTP_POST, "/v1/vms", domain("new", OTHER, "/logs/serial-old.log"), 422,
		"virtgate then puts the VM's UUID in front");
	expect(HTTP_POST, "/v1/vms/old/start", NULL, 200, "running");
	expect(HTTP_PUT, "/v1/vms/old/xml", domain("old", OWN, "serial-old.log"), 200, NULL);
	expect(HTTP_PUT, "/v1/vms/old/xml", domain("old", OWN, "/logs/serial-old.log"), 422,
		"policy_denied");
	expect(HTTP_DELETE, "/v1/vms/old", NULL, 200, NULL);
}

static int set_up(void **state)
{
	(void)state;
	return test_api_begin(&api);
}

static int tear_down(void **state)
{
	(void)state;
	test_api_end(&api);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_name_becomes_a_log_of_the_vm_alone),
		cmocka_unit_test(test_no_vm_has_a_log_of_another),
		cmocka_unit_test(test_a_definition_keeps_the_log_that_it_has),
	};
	return cmocka_run_group_tests_name("logs", tests, set_up, tear_down);
}
