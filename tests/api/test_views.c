/* SPDX-License-Identifier: MIT */
/* What each role sees of the host, in process on libvirt's test driver. */
#include "in_api.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char images[] = "/tmp/virtgate-views-XXXXXX";
static struct config config = TEST_CONFIG(images);
static struct api api = { .config = &config };

static void send(enum http_method method, const char *target, const char *role, const char *media,
	const char *body, struct api_reply *ret)
{
	struct http_req req = test_request(method, target, role);
	req.content_type = body ? media : "";
	req.body = body ? body : "";
	req.body_len = strlen(req.body);
	test_answer(&api, &req, ret);
}

static void make_vm(const char *xml)
{
	struct api_reply reply;
	send(HTTP_POST, "/v1/vms", "admin", "application/xml", xml, &reply);
	CHECK(reply.status == 201, "%s", reply.body);
	api_reply_done(&reply);
}

static void delete_vm(const char *target)
{
	struct api_reply reply;
	send(HTTP_DELETE, target, "admin", NULL, NULL, &reply);
	CHECK(reply.status == 200, "%s", reply.body);
	api_reply_done(&reply);
}

static void test_xml_needs_an_operator(void **state)
{
	static const struct {
		const char *role;
		int status;
	} cases[] = { { "viewer", 403 }, { "operator", 200 }, { "admin", 200 } };
	(void)state;
	make_vm("<domain type='test'><name>shown</name><memory>8192</memory><os><type>hvm</type>"
		"<kernel>vmlinuz</kernel><cmdline>password=secret</cmdline></os></domain>");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct api_reply reply;
		send(HTTP_GET, "/v1/vms/shown/xml", cases[i].role, NULL, NULL, &reply);
		CHECK(reply.status == cases[i].status, "%s: %d", cases[i].role, reply.status);
		bool whole = strstr(reply.body, "password=secret") && strstr(reply.body, images);
		CHECK(whole == (cases[i].status == 200), "%s: %s", cases[i].role, reply.body);
		api_reply_done(&reply);
	}
	delete_vm("/v1/vms/shown");
}

static void test_no_other_view_has_a_path_of_the_host(void **state)
{
	static const char *const targets[] = { "/v1/vms/elsewhere", "/v1/vms/elsewhere/stats",
		"/v1/vms", "/vms", "/v1/vms/elsewhere/snapshots", "/metrics", "/v1", "/v1/host",
		"/v1/templates" };
	(void)state;
	config.policy = POLICY_OFF; /* as if virsh had defined it */
	make_vm("<domain type='test'><name>elsewhere</name><memory>8192</memory>"
		"<os><type>hvm</type><kernel>/secret/kernel</kernel></os><devices><disk "
		"type='file' "
		"device='disk'><driver type='raw'/><source file='/secret/dir/a.img'/>"
		"<target dev='vda' bus='virtio'/></disk></devices></domain>");
	config.policy = POLICY_ON;
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		struct api_reply reply;
		send(HTTP_GET, targets[i], "viewer", NULL, NULL, &reply);
		CHECK(reply.status == 200, "%s: %s", targets[i], reply.body);
		CHECK(!strstr(reply.body, "/secret") && !strstr(reply.body, images), "%s: %s",
			targets[i], reply.body);
		CHECK(i || strstr(reply.body, "\"source\":\"a.img\""), "%s", reply.body);
		api_reply_done(&reply);
	}
	delete_vm("/v1/vms/elsewhere");
}

static void convert(const char *role, const char *kernel, const char *format, const char *disk,
	struct api_reply *ret)
{
	char line[512];
	(void)snprintf(line, sizeof line,
		"qemu-system-x86_64 -kernel %s/%s -drive file=%s/%s,format=%s", images, kernel,
		images, disk, format);
	send(HTTP_POST, "/v1/convert/qemu-argv", role, "text/plain", line, ret);
	CHECK(ret->status == 200, "%s", ret->body);
}

static void make_file(const char *name, const char *content)
{
	char path[128];
	(void)snprintf(path, sizeof path, "%s/%s", images, name);
	FILE *out = fopen(path, "we");
	CHECK(out && fputs(content, out) >= 0 && !fclose(out), "%s", path);
}

/* A kernel, and a disk of this format: is any of them refused for what is or is not there? */
static void test_a_conversion_tells_admins_alone_which_files_exist(void **state)
{
	static const char *const roles[] = { "viewer", "operator" };
	static const struct {
		const char *kernel, *format, *disk, *told;
	} cases[] = {
		{ "there", "raw", "there", NULL },
		{ ".", "raw", "there", NULL }, /* refused by its text, to all alike */
		{ "there", "qcow2", "missing", "does not exist" },
		{ "there", "qcow2", "there", "/source/@file" },
		{ "there", "raw", "header", "is a qcow2 image" },
		{ "dir", "raw", "there", "not a regular file" },
		{ "dir/../there", "raw", "there", NULL },
		{ "there/below", "raw", "there", "/os/kernel" },
	};
	char path[128];
	(void)state;
	make_file("there", "text");
	make_file("header", "QFI\xfb");
	(void)snprintf(path, sizeof path, "%s/dir", images);
	CHECK(!mkdir(path, 0755), "%s", path);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct api_reply reply;
		convert("admin", cases[i].kernel, cases[i].format, cases[i].disk, &reply);
		CHECK(!cases[i].told || strstr(reply.body, cases[i].told), "case %zu: %s", i,
			reply.body);
		api_reply_done(&reply);
		for (size_t r = 0; r < ARRAY_LEN(roles); r++) {
			convert(roles[r], cases[i].kernel, cases[i].format, cases[i].disk, &reply);
			CHECK(!cases[i].told || strstr(reply.body, "\"violations\":[]"),
				"case %zu: %s", i, reply.body);
			api_reply_done(&reply);
		}
	}
}

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(images) ? test_api_begin(&api) : -1;
}

static int tear_down(void **state)
{
	static const char *const names[] = { "there", "header", "dir", "" };
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
		cmocka_unit_test(test_xml_needs_an_operator),
		cmocka_unit_test(test_no_other_view_has_a_path_of_the_host),
		cmocka_unit_test(test_a_conversion_tells_admins_alone_which_files_exist),
	};
	return cmocka_run_group_tests_name("views", tests, set_up, tear_down);
}
