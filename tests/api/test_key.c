/* SPDX-License-Identifier: MIT */
/* What follows from an Idempotency-Key, in process on libvirt's test driver. */
#include "in_api.h"

#include "base/uuid.h"

#include <stdio.h>
#include <string.h>

static struct config config = TEST_CONFIG("/images");
static struct api api = { .config = &config };

static void create(const char *user, const char *key, const char *body, struct api_reply *ret)
{
	struct http_req req = test_request(HTTP_POST, "/v1/vms", "admin");
	req.user = user;
	req.idempotency_key = key;
	req.content_type = *body == '{' ? "application/json" : "application/xml";
	req.body = body;
	req.body_len = strlen(body);
	test_answer(&api, &req, ret);
}

static void delete_vm(const char *target)
{
	struct api_reply reply;
	struct http_req req = test_request(HTTP_DELETE, target, "admin");
	test_answer(&api, &req, &reply);
	CHECK(reply.status == 200, "%s", reply.body);
	api_reply_done(&reply);
}

static const char body[] = "{\"template\":\"helloworld\",\"name\":\"keyed\"}";

static void test_nobody_can_take_the_uuid_beforehand(void **state)
{
	/* Whoever knows user, key and the program would try this one: Python's uuid.uuid5(). */
	static const char taken[] =
		"<domain type='test'><name>first</name>"
		"<uuid>34435909-152a-532f-8a22-1741626a2158</uuid><memory>8192</memory>"
		"<os><type>hvm</type></os></domain>";
	struct api_reply reply;
	(void)state;
	create("mallory", "", taken, &reply);
	assert_int_equal(reply.status, 201);
	api_reply_done(&reply);
	create("alice", "k-1", body, &reply);
	CHECK(reply.status == 201 && !reply.replayed, "%s", reply.body);
	api_reply_done(&reply);
	delete_vm("/v1/vms/first");
	delete_vm("/v1/vms/keyed");
}

/* Two backends share the secret; another installation has another. */
static void test_the_same_secret_recognises_the_request(void **state)
{
	struct api_reply first;
	struct api_reply again;
	(void)state;
	create("alice", "k-1", body, &first);
	assert_int_equal(first.status, 201);
	create("alice", "k-1", body, &again);
	CHECK(again.status == 201 && again.replayed, "%s", again.body);
	assert_string_equal(first.location, again.location);
	api_reply_done(&again);
	create("bob", "k-1", body, &again);
	CHECK(again.status == 409 && !again.replayed, "%s", again.body);
	api_reply_done(&again);
	secret_make(api.secret);
	create("alice", "k-1", body, &again);
	CHECK(again.status == 409 && !again.replayed, "%s", again.body);
	api_reply_done(&again);
	api_reply_done(&first);
	delete_vm("/v1/vms/keyed");
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
		cmocka_unit_test(test_nobody_can_take_the_uuid_beforehand),
		cmocka_unit_test(test_the_same_secret_recognises_the_request),
	};
	return cmocka_run_group_tests_name("key", tests, set_up, tear_down);
}
