/* SPDX-License-Identifier: MIT */
/*
 * How large and how many VMs may be, in process on libvirt's test driver, whose host has 3 GiB of
 * memory and a VM of its own.
 */
#include "in_api.h"

#include <stdio.h>
#include <string.h>

static char images[] = "/tmp/virtgate-limits-XXXXXX";
static struct config config = TEST_CONFIG(images);
static struct api api = { .config = &config };

static void expect(enum http_method method, const char *target, const char *role, const char *body,
	int status, const char *part)
{
	struct api_reply reply;
	struct http_req req = test_request(method, target, role);
	req.content_type = !body ? "" : *body == '{' ? "application/json" : "application/xml";
	req.body = body ? body : "";
	req.body_len = strlen(req.body);
	test_answer(&api, &req, &reply);
	CHECK(reply.status == status, "%s %s: %d: %s", target, body ? body : "", reply.status,
		reply.body);
	CHECK(!part || strstr(reply.body, part), "%s: no %s in %s", target, part, reply.body);
	api_reply_done(&reply);
}

static const char *domain(const char *memory, const char *vcpus)
{
	static char xml[512];
	(void)snprintf(xml, sizeof xml,
		"<domain type='test'><name>sized</name>%s<vcpu>%s</vcpu><os><type>hvm</type></os>"
		"</domain>",
		memory, vcpus);
	return xml;
}

static void set_limits(int memory, int vcpus, int vms, int disk)
{
	config.max_memory = memory;
	config.max_vcpus = vcpus;
	config.max_vms = vms;
	config.max_disk = disk;
}

#define LARGE "<memory unit='KiB'>16385</memory>"
#define SMALL "<memory unit='MiB'>16</memory>"

static void test_no_request_makes_a_larger_vm(void **state)
{
	static const struct {
		const char *memory, *vcpus, *setting;
	} cases[] = {
		{ LARGE, "1", "VIRTGATE_MAX_MEMORY" },
		{ "<memory unit='GiB'>1</memory>", "1", "VIRTGATE_MAX_MEMORY" },
		{ "<memory unit='bytes'>16777217</memory>", "1", "VIRTGATE_MAX_MEMORY" },
		{ SMALL "<currentMemory unit='MiB'>17</currentMemory>", "1",
			"VIRTGATE_MAX_MEMORY" },
		{ SMALL, "3", "VIRTGATE_MAX_VCPUS" },
		{ SMALL, " 256 ", "VIRTGATE_MAX_VCPUS" },
	};
	static const char *const targets[] = { "/v1/vms", "/v1/vms?start=1", "/v1/vms?dry_run=1",
		"/v1/vms?persistent=0", "/vm" };
	(void)state;
	set_limits(16, 2, 0, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t t = 0; t < ARRAY_LEN(targets); t++)
			expect(HTTP_POST, targets[t], "admin",
				domain(cases[i].memory, cases[i].vcpus), 422, cases[i].setting);
	expect(HTTP_POST, "/v1/vms", "admin",
		"{\"template\":\"helloworld\",\"name\":\"sized\",\"memory_kib\":32768}", 422,
		"policy_denied");
	expect(HTTP_GET, "/v1/vms/sized", "viewer", NULL, 404, NULL);
	expect(HTTP_POST, "/v1/vms", "admin", domain(SMALL, "2"), 201, NULL);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *xml = domain(cases[i].memory, cases[i].vcpus);
		expect(HTTP_PUT, "/v1/vms/sized/xml", "admin", xml, 422, cases[i].setting);
		expect(HTTP_PUT, "/v1/vms/sized/xml?dry_run=1", "admin", xml, 422,
			cases[i].setting);
	}
	expect(HTTP_DELETE, "/v1/vms/sized", "admin", NULL, 200, NULL);
}

static void test_no_patch_makes_a_vm_larger(void **state)
{
	static const char *const bodies[] = { "{\"memory_kib\":16385}",
		"{\"memory_kib\":1073741824}", "{\"vcpus\":3}", "{\"title\":\"a\",\"vcpus\":256}" };
	static const char *const roles[] = { "operator", "admin" };
	(void)state;
	set_limits(16, 2, 0, 0);
	expect(HTTP_POST, "/v1/vms?start=1", "admin", domain(SMALL, "1"), 201, NULL);
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		for (size_t r = 0; r < ARRAY_LEN(roles); r++)
			expect(HTTP_PATCH, "/v1/vms/sized", roles[r], bodies[i], 422,
				"policy_denied");
	expect(HTTP_GET, "/v1/vms/sized", "viewer", NULL, 200, "\"title\":null");
	expect(HTTP_PATCH, "/v1/vms/sized", "operator", "{\"vcpus\":2,\"memory_kib\":8192}", 200,
		NULL);
	/* The host's own memory is the limit that no setting is needed for. */
	set_limits(0, 0, 0, 0);
	expect(HTTP_PATCH, "/v1/vms/sized", "operator", "{\"memory_kib\":1073741824}", 422,
		"as much as the host has");
	expect(HTTP_PATCH, "/v1/vms/sized", "operator", "{\"memory_kib\":65536}", 200, NULL);
	/* What is larger already can be changed, but not grow. */
	set_limits(16, 1, 0, 0);
	expect(HTTP_PATCH, "/v1/vms/sized", "operator", "{\"title\":\"a\"}", 200, NULL);
	expect(HTTP_PATCH, "/v1/vms/sized", "operator", "{\"memory_kib\":65537}", 422, NULL);
	expect(HTTP_PATCH, "/v1/vms/sized", "operator", "{\"memory_kib\":32768}", 200, NULL);
	expect(HTTP_DELETE, "/v1/vms/sized", "admin", NULL, 200, NULL);
}

static void test_a_revert_brings_no_larger_vm_back(void **state)
{
	(void)state;
	set_limits(0, 0, 0, 0);
	expect(HTTP_POST, "/v1/vms?start=1", "admin", domain(LARGE, "1"), 201, NULL);
	expect(HTTP_POST, "/v1/vms/sized/snapshots", "operator", "{\"name\":\"large\"}", 201, NULL);
	set_limits(16, 2, 0, 0);
	expect(HTTP_POST, "/v1/vms/sized/snapshots/large/revert", "operator", NULL, 200, NULL);
	expect(HTTP_POST, "/v1/vms/sized/stop", "operator", "{\"mode\":\"kill\"}", 200, NULL);
	expect(HTTP_PUT, "/v1/vms/sized/xml", "admin", domain(SMALL, "1"), 200, NULL);
	expect(HTTP_POST, "/v1/vms/sized/snapshots/large/revert", "operator", NULL, 422,
		"VIRTGATE_MAX_MEMORY");
	expect(HTTP_DELETE, "/v1/vms/sized", "admin", NULL, 200, NULL);
}

static void test_there_are_no_more_vms_than_allowed(void **state)
{
	(void)state;
	set_limits(0, 0, 2, 0);
	expect(HTTP_POST, "/v1/vms", "admin", domain(SMALL, "1"), 201, NULL);
	expect(HTTP_POST, "/v1/vms", "admin", "{\"template\":\"helloworld\",\"name\":\"third\"}",
		422, "at most 2 VMs: VIRTGATE_MAX_VMS");
	expect(HTTP_POST, "/vm?xmlName=helloworld", "admin", NULL, 422, "VIRTGATE_MAX_VMS");
	expect(HTTP_POST, "/v1/vms/sized/start", "operator", NULL, 200, NULL);
	expect(HTTP_DELETE, "/v1/vms/sized", "admin", NULL, 200, NULL);
	expect(HTTP_POST, "/v1/vms", "admin", domain(SMALL, "1"), 201, NULL);
	expect(HTTP_DELETE, "/v1/vms/sized", "admin", NULL, 200, NULL);
}

static void test_no_image_is_made_larger(void **state)
{
	static const char body[] = "{\"template\":\"helloworld\",\"name\":\"sized\",\"disks\":[{"
				   "\"source\":\"a.qcow2\","
				   "\"capacity_bytes\":1073741824},{\"source\":\"b.qcow2\","
				   "\"capacity_bytes\":1073742336}]}";
	(void)state;
	set_limits(0, 0, 0, 1);
	expect(HTTP_POST, "/v1/vms", "admin", body, 422, "disks[1].capacity_bytes");
	expect(HTTP_POST, "/v1/vms?dry_run=1", "admin", body, 422, "VIRTGATE_MAX_DISK");
	set_limits(0, 0, 0, 2);
	expect(HTTP_POST, "/v1/vms", "admin", body, 201, NULL);
	expect(HTTP_DELETE, "/v1/vms/sized?disks=1", "admin", NULL, 200, NULL);
}

static void test_clients_can_read_the_limits(void **state)
{
	(void)state;
	set_limits(0, 0, 0, 0);
	expect(HTTP_GET, "/v1", "viewer", NULL, 200,
		"\"limits\":{\"memory_kib\":null,\"vcpus\":256,\"vms\":null,"
		"\"disk_bytes\":70368744177664}");
	set_limits(16, 2, 3, 1);
	expect(HTTP_GET, "/v1", "viewer", NULL, 200,
		"\"limits\":{\"memory_kib\":16384,\"vcpus\":2,\"vms\":3,\"disk_bytes\":"
		"1073741824}");
}

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(images) ? test_api_begin(&api) : -1;
}

static int tear_down(void **state)
{
	static const char *const names[] = { "a.qcow2", "b.qcow2", "" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char path[128];
		(void)snprintf(path, sizeof path, "%s/%s", images, names[i]);
		(void)remove(path);
	}
	test_api_end(&api);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_request_makes_a_larger_vm),
		cmocka_unit_test(test_no_patch_makes_a_vm_larger),
		cmocka_unit_test(test_a_revert_brings_no_larger_vm_back),
		cmocka_unit_test(test_there_are_no_more_vms_than_allowed),
		cmocka_unit_test(test_no_image_is_made_larger),
		cmocka_unit_test(test_clients_can_read_the_limits),
	};
	return cmocka_run_group_tests_name("limits", tests, set_up, tear_down);
}
