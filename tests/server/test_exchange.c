/* SPDX-License-Identifier: MIT */
/*
 * One FastCGI request and its reply, by a dispatcher with routes of its own: each kind of reply is
 * written as nginx expects it. The test is nginx and worker in turn.
 */
#include "check.h"
#include "fastcgi.h"

#include "base/thread.h"
#include "server/later.h"
#include "server/stream.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { PATIENCE_MS = 20000 };

/* A stream that the test itself writes, once the worker has handed it over. */
static struct {
	struct api_stream stream;
	struct api_sink *sink;
	int dropped;
} owner;

static void owner_start(struct api_stream *stream, struct api_sink *sink)
{
	assert_ptr_equal(stream, &owner.stream);
	owner.sink = sink;
}

static void owner_drop(struct api_stream *stream)
{
	assert_ptr_equal(stream, &owner.stream);
	owner.dropped++;
}

static int reply_body(struct api_call *call, struct api_reply *reply, struct err *err)
{
	struct json *object = json_new_object();
	(void)call;
	json_put_string(object, "kind", "body");
	return api_reply_json(reply, object, err);
}

static int reply_redirect(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const char *const segments[] = { "images", api_text(call, "ref"), NULL };
	return api_reply_redirect(reply, segments, "application/octet-stream", err);
}

static int reply_stream(struct api_call *call, struct api_reply *reply, struct err *err)
{
	(void)call;
	(void)err;
	memset(&owner, 0, sizeof owner);
	owner.stream = (struct api_stream){ owner_start, owner_drop };
	api_reply_stream(reply, &owner.stream, "text/event-stream");
	return 0;
}

/* A reply that the test makes when it likes. */
static struct {
	struct api_later later;
	struct api_waiter *waiter;
	int dropped;
} put_off;

static void put_off_wait(struct api_later *later, struct api_waiter *waiter)
{
	assert_ptr_equal(later, &put_off.later);
	put_off.waiter = waiter;
}

static int put_off_finish(
	struct api_later *later, struct api_call *call, struct api_reply *reply, struct err *err)
{
	struct json *object = json_new_object();
	assert_ptr_equal(later, &put_off.later);
	json_put_string(object, "ref", api_text(call, "ref"));
	return api_reply_json(reply, object, err);
}

static void put_off_drop(struct api_later *later)
{
	assert_ptr_equal(later, &put_off.later);
	put_off.dropped++;
}

static int reply_later(struct api_call *call, struct api_reply *reply, struct err *err)
{
	(void)call;
	(void)err;
	memset(&put_off, 0, sizeof put_off);
	put_off.later = (struct api_later){ put_off_wait, put_off_finish, put_off_drop };
	api_reply_later(reply, &put_off.later);
	return 0;
}

static const struct route routes[] = {
	{ "/body", HTTP_GET, ROLE_NONE, reply_body, 200, .summary = "" },
	{ "/file/{ref}", HTTP_GET, ROLE_NONE, reply_redirect, 200, .summary = "" },
	{ "/later/{ref}", HTTP_POST, ROLE_NONE, reply_later, 201, .summary = "" },
	{ "/stream", HTTP_GET, ROLE_NONE, reply_stream, 200, .summary = "" },
};

static struct config config = { .listen = "", .socket_group = "", .workers = 1 };
static struct api api = { .config = &config, .routes = routes, .route_count = ARRAY_LEN(routes) };
static char directory[] = "/tmp/virtgate-exchange-XXXXXX";
static char path[64];
static struct intake *intake;
static struct exchange *exchange;

static int set_up(void **state)
{
	struct err err;
	(void)state;
	if (intake_new(&config, &intake, &err) < 0)
		return -1;
	exchange = exchange_new();
	return exchange ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	exchange_free(exchange);
	intake_free(intake);
	return 0;
}

/* The worker's side: takes one request, and returns what became of its connection. */
static enum exchange_end serve_one(void)
{
	struct api_call call;
	struct api_reply reply;
	struct connection *connection = intake_take(intake);
	assert_non_null(connection);
	assert_int_equal(exchange_read(exchange, intake_fd(connection), intake_partial(connection)),
		FASTCGI_WHOLE);
	api_call_init(&api, exchange_request(exchange), &call);
	api_answer(&call, &reply);
	enum exchange_end end = exchange_answer(exchange, &reply);
	if (end == EXCHANGE_STREAMED) {
		stream_start(&reply, &exchange, intake, connection);
	} else {
		exchange_done(exchange);
		intake_give(intake, connection, end == EXCHANGE_KEPT ? INTAKE_KEPT : INTAKE_CLOSE);
	}
	api_reply_done(&reply);
	api_call_done(&call);
	return end;
}

static void test_a_body_is_sent_with_its_length(void **state)
{
	char text[2048] = "";
	(void)state;
	int fd = nginx_connect(path);
	nginx_send(fd, "GET", "/body");
	assert_int_equal(serve_one(), EXCHANGE_KEPT);
	assert_true(nginx_receive(fd, text, sizeof text, 0));
	CHECK(strstr(text, "Status: 200 OK\r\n") == text, "%s", text);
	CHECK(strstr(text, "\r\nContent-Length: 15\r\n"), "%s", text);
	CHECK(strstr(text, "\r\n\r\n{\"kind\":\"body\"}"), "%s", text);
	(void)close(fd);
}

static void test_a_redirect_names_an_internal_location_of_nginx(void **state)
{
	static const char *const methods[] = { "GET", "HEAD" };
	(void)state;
	int fd = nginx_connect(path);
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		char text[2048] = "";
		nginx_send(fd, methods[i], "/file/a%20b%0d");
		assert_int_equal(serve_one(), EXCHANGE_KEPT);
		assert_true(nginx_receive(fd, text, sizeof text, 0));
		CHECK(strstr(text, "\r\nX-Accel-Redirect: /images/a%20b%0D\r\n"), "%s", text);
		CHECK(strstr(text, "\r\nContent-Type: application/octet-stream\r\n"), "%s", text);
		CHECK(!strstr(text, "Content-Length") && !strstr(text, "ETag"), "%s", text);
		CHECK(!strcmp(strstr(text, "\r\n\r\n"), "\r\n\r\n"), "%s", text);
	}
	(void)close(fd);
}

static void test_a_stream_goes_on_while_the_worker_serves_others(void **state)
{
	char text[2048] = "";
	char other[2048] = "";
	(void)state;
	int fd = nginx_connect(path);
	int second = nginx_connect(path);
	nginx_send(fd, "GET", "/stream");
	assert_int_equal(serve_one(), EXCHANGE_STREAMED);
	assert_non_null(owner.sink);
	assert_false(nginx_receive(fd, text, sizeof text, 0));
	CHECK(strstr(text, "\r\nContent-Type: text/event-stream\r\n"), "%s", text);
	CHECK(!strstr(text, "Content-Length") && !strstr(text, "ETag"), "%s", text);

	nginx_send(second, "GET", "/body");
	assert_int_equal(serve_one(), EXCHANGE_KEPT);
	assert_true(nginx_receive(second, other, sizeof other, 0));
	assert_int_equal(intake_taken_count(intake), 1);

	assert_true(owner.sink->write(owner.sink, "data: 1\n\n", 9));
	assert_false(nginx_receive(fd, text, sizeof text, 0));
	CHECK(strstr(text, "\r\n\r\ndata: 1\n\n"), "%s", text);
	assert_true(owner.sink->write(owner.sink, "data: 2\n\n", 9));
	owner.sink->end(owner.sink);
	assert_true(nginx_receive(fd, text, sizeof text, 0));
	CHECK(strstr(text, "\r\n\r\ndata: 1\n\ndata: 2\n\n"), "%s", text);
	assert_int_equal(intake_taken_count(intake), 0);
	assert_int_equal(owner.dropped, 0);

	other[0] = '\0';
	nginx_send(fd, "GET", "/body");
	assert_int_equal(serve_one(), EXCHANGE_KEPT);
	assert_true(nginx_receive(fd, other, sizeof other, 0));
	CHECK(strstr(other, "{\"kind\":\"body\"}"), "%s", other);
	(void)close(fd);
	(void)close(second);
}

static void *write_and_end(void *data)
{
	struct api_sink *sink = data;
	for (int i = 0; i < 1000 && sink->write(sink, "tick\n", 5); i++)
		;
	sink->end(sink);
	return NULL;
}

/* The owner's thread gives the connection back while the worker serves another. */
static void test_a_stream_is_written_by_a_thread_of_its_own(void **state)
{
	static char text[64 * 1024];
	pthread_t thread;
	bool ended = false;
	(void)state;
	int fd = nginx_connect(path);
	int second = nginx_connect(path);
	text[0] = '\0';
	nginx_send(fd, "GET", "/stream");
	assert_int_equal(serve_one(), EXCHANGE_STREAMED);
	assert_int_equal(thread_start(&thread, "stream", write_and_end, owner.sink), 0);
	for (int i = 0; i < 20; i++) {
		char other[2048] = "";
		nginx_send(second, "GET", "/body");
		assert_int_equal(serve_one(), EXCHANGE_KEPT);
		assert_true(nginx_receive(second, other, sizeof other, 0));
		ended = ended || nginx_receive(fd, text, sizeof text, 0);
	}
	assert_true(ended || nginx_receive(fd, text, sizeof text, PATIENCE_MS));
	assert_int_equal(pthread_join(thread, NULL), 0);
	const char *body = strstr(text, "\r\n\r\n");
	assert_true(body && strlen(body + 4) == 5000);
	(void)close(fd);
	(void)close(second);
}

static void test_a_stream_learns_that_its_client_has_gone(void **state)
{
	(void)state;
	int fd = nginx_connect(path);
	nginx_send(fd, "GET", "/stream");
	assert_int_equal(serve_one(), EXCHANGE_STREAMED);
	(void)close(fd);
	assert_false(owner.sink->write(owner.sink, "data: 1\n\n", 9));
	owner.sink->end(owner.sink);
	assert_int_equal(intake_taken_count(intake), 0);
}

/* The worker's side: takes a request whose reply is put off. */
static void put_off_one(void)
{
	struct api_call call;
	struct api_reply reply;
	struct connection *connection = intake_take(intake);
	assert_null(intake_later(connection));
	assert_int_equal(exchange_read(exchange, intake_fd(connection), intake_partial(connection)),
		FASTCGI_WHOLE);
	api_call_init(&api, exchange_request(exchange), &call);
	api_answer(&call, &reply);
	assert_int_equal(reply.kind, API_REPLY_LATER);
	assert_true(later_start(&reply, &call, &exchange, intake, connection, clock_us()));
	api_call_done(&call);
}

/* The same once the reply can be made. */
static enum exchange_end finish_one(void)
{
	struct api_reply reply;
	struct connection *connection = intake_take(intake);
	struct later *later = intake_later(connection);
	assert_non_null(later);
	assert_null(intake_later(connection));
	exchange_free(exchange);
	exchange = later->exchange;
	api_finish(&later->call, later->reply, &reply);
	enum exchange_end end = exchange_answer(exchange, &reply);
	api_reply_done(&reply);
	later_done(later);
	exchange_done(exchange);
	intake_give(intake, connection, end == EXCHANGE_KEPT ? INTAKE_KEPT : INTAKE_CLOSE);
	return end;
}

static void test_a_reply_is_put_off_while_the_worker_serves_others(void **state)
{
	char text[2048] = "";
	char other[2048] = "";
	(void)state;
	int fd = nginx_connect(path);
	int second = nginx_connect(path);
	nginx_send(fd, "POST", "/later/a%20b");
	put_off_one();
	assert_false(nginx_receive(fd, text, sizeof text, 0));
	CHECK(!text[0], "%s", text);
	assert_int_equal(intake_taken_count(intake), 1);
	nginx_send(second, "GET", "/body");
	assert_int_equal(serve_one(), EXCHANGE_KEPT);
	assert_true(nginx_receive(second, other, sizeof other, 0));

	assert_false(put_off.waiter->is_gone(put_off.waiter));
	put_off.waiter->ready(put_off.waiter);
	assert_int_equal(finish_one(), EXCHANGE_KEPT);
	assert_true(nginx_receive(fd, text, sizeof text, 0));
	CHECK(strstr(text, "Status: 201 Created\r\n") == text, "%s", text);
	CHECK(strstr(text, "\r\n\r\n{\"ref\":\"a b\"}"), "%s", text);
	assert_int_equal(intake_taken_count(intake), 0);

	other[0] = '\0';
	nginx_send(fd, "GET", "/body");
	assert_int_equal(serve_one(), EXCHANGE_KEPT);
	assert_true(nginx_receive(fd, other, sizeof other, 0));
	assert_int_equal(put_off.dropped, 0);
	(void)close(fd);
	(void)close(second);
}

static void test_a_reply_that_is_put_off_learns_that_its_client_has_gone(void **state)
{
	(void)state;
	int fd = nginx_connect(path);
	nginx_send(fd, "POST", "/later/a");
	put_off_one();
	(void)close(fd);
	assert_true(put_off.waiter->is_gone(put_off.waiter));
	put_off.waiter->ready(put_off.waiter);
	assert_int_equal(finish_one(), EXCHANGE_BROKEN);
	assert_int_equal(intake_taken_count(intake), 0);
}

static void test_a_stream_without_a_body_is_not_started(void **state)
{
	char text[2048] = "";
	(void)state;
	int fd = nginx_connect(path);
	nginx_send(fd, "HEAD", "/stream");
	assert_int_equal(serve_one(), EXCHANGE_KEPT);
	assert_true(nginx_receive(fd, text, sizeof text, 0));
	CHECK(strstr(text, "\r\nContent-Type: text/event-stream\r\n"), "%s", text);
	assert_true(!owner.sink && owner.dropped == 1);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_a_body_is_sent_with_its_length, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_redirect_names_an_internal_location_of_nginx, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_stream_goes_on_while_the_worker_serves_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_stream_is_written_by_a_thread_of_its_own, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_stream_learns_that_its_client_has_gone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_stream_without_a_body_is_not_started, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_reply_is_put_off_while_the_worker_serves_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_reply_that_is_put_off_learns_that_its_client_has_gone, set_up,
			tear_down),
	};
	if (exchange_init() < 0 || !mkdtemp(directory))
		return 1;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)snprintf(path, sizeof path, "%s/socket", directory);
	config.listen = path;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(directory);
	return failed;
}
