/* SPDX-License-Identifier: MIT */
/*
 * One VM that libvirt cannot read does not empty the list: it is an item that says so. On libvirt's
 * test driver, with a virDomainGetInfo() that fails for VMs of one name.
 */
#include "in_process.h"

#include "api/routes.h"
#include "libvirt/host_info.h"

#include <string.h>

static const char *broken = "";

int __real_virDomainGetInfo(virDomainPtr dom, virDomainInfoPtr info);
int __wrap_virDomainGetInfo(virDomainPtr dom, virDomainInfoPtr info);
int __wrap_virDomainGetInfo(virDomainPtr dom, virDomainInfoPtr info)
{
	/* libvirt refuses that and sets its error. */
	bool fails = !strcmp(virDomainGetName(dom), broken);
	return __real_virDomainGetInfo(dom, fails ? NULL : info);
}

static struct config config = { .templates = TEMPLATES, .images = "/images" };
static struct api api = { .config = &config };

static void get(const char *target, struct api_reply *ret)
{
	struct http_req req = test_request(HTTP_GET, target, "viewer");
	test_answer(&api, &req, ret);
}

static void test_a_vm_that_cannot_be_read_is_an_item_with_an_error(void **state)
{
	struct api_reply reply;
	(void)state;
	broken = "test";
	get("/v1/vms?fields=name,state,vcpus,labels,error", &reply);
	assert_int_equal(reply.status, 200);
	assert_string_equal(reply.body,
		"{\"items\":[{\"name\":\"test\",\"state\":\"running\",\"vcpus\":null,\"labels\":"
		"null,"
		"\"error\":{\"status\":500,\"code\":\"internal\","
		"\"detail\":\"libvirt could not read this VM\"}}],\"next\":null,\"stale\":false}");
	api_reply_done(&reply);
	broken = "";
	get("/v1/vms?fields=name,vcpus,error", &reply);
	assert_string_equal(reply.body,
		"{\"items\":[{\"name\":\"test\",\"vcpus\":2}],\"next\":null,\"stale\":false}");
	api_reply_done(&reply);
}

static int set_up(void **state)
{
	(void)state;
	api.routes = routes;
	api.route_count = route_count;
	api.host = test_host_new(2);
	return api.host ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	test_host_free(api.host);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_vm_that_cannot_be_read_is_an_item_with_an_error),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
