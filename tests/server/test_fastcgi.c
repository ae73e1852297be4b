/* SPDX-License-Identifier: MIT */
/* What a connection may bring, in whole and in pieces: requests as bytes, and what becomes of them.
 */
#include "check.h"

#include "server/fastcgi.h"

#include <string.h>
#include <sys/socket.h>

enum { BODY_MAX = 16, PIECE = 30000 };

#define HEAD(type, len) "\1" type "\0\1\0" len "\0\0"
#define BEGIN HEAD("\1", "\x8") "\0\1\1\0\0\0\0\0"
#define NO_PARAMS HEAD("\4", "\0")
#define NO_BODY HEAD("\5", "\0")
#define PAIR "\1\2Axy"
#define BYTES(text) text, sizeof(text) - 1

static const struct {
	const char *what;
	const char *bytes;
	size_t len;
	enum fastcgi_step step;
} cases[] = {
	{ "nothing", BYTES(""), FASTCGI_PARTIAL },
	{ "a whole request", BYTES(BEGIN HEAD("\4", "\5") PAIR NO_PARAMS NO_BODY), FASTCGI_WHOLE },
	{ "no parameters", BYTES(BEGIN NO_PARAMS NO_BODY), FASTCGI_WHOLE },
	{ "a body", BYTES(BEGIN NO_PARAMS HEAD("\5", "\3") "abc" NO_BODY), FASTCGI_WHOLE },
	{ "padding", BYTES(BEGIN "\1\4\0\1\0\0\3\0pad" NO_BODY), FASTCGI_WHOLE },
	{ "a pair in two records",
		BYTES(BEGIN HEAD("\4", "\2") "\1\2" HEAD("\4", "\3") "Axy" NO_PARAMS NO_BODY),
		FASTCGI_WHOLE },
	{ "no end of the body", BYTES(BEGIN NO_PARAMS), FASTCGI_PARTIAL },
	{ "half a header", BYTES(BEGIN "\1\4\0"), FASTCGI_PARTIAL },
	{ "half a record", BYTES(BEGIN HEAD("\4", "\5") "\1\2A"), FASTCGI_PARTIAL },

	{ "lengths that overflow together",
		BYTES(BEGIN HEAD("\4", "\x8") "\xff\xff\xff\xfe\x80\0\0\1" NO_PARAMS NO_BODY),
		FASTCGI_BROKEN },
	{ "a length beyond the record", BYTES(BEGIN HEAD("\4", "\3") "\1\2A" NO_PARAMS NO_BODY),
		FASTCGI_BROKEN },
	{ "a name without a value's length", BYTES(BEGIN HEAD("\4", "\1") "\1" NO_PARAMS NO_BODY),
		FASTCGI_BROKEN },
	{ "half a length", BYTES(BEGIN HEAD("\4", "\3") "\1\x80\0" NO_PARAMS NO_BODY),
		FASTCGI_BROKEN },
	{ "a NUL in a value", BYTES(BEGIN HEAD("\4", "\5") "\1\2Ax\0" NO_PARAMS NO_BODY),
		FASTCGI_BROKEN },
	{ "another version", BYTES("\2\1\0\1\0\x8\0\0\0\1\1\0\0\0\0\0"), FASTCGI_BROKEN },
	{ "no begin", BYTES(NO_PARAMS), FASTCGI_BROKEN },
	{ "a begin of another length", BYTES(HEAD("\1", "\7") "\0\1\1\0\0\0\0"), FASTCGI_BROKEN },
	{ "a begin with id 0", BYTES("\1\1\0\0\0\x8\0\0\0\1\1\0\0\0\0\0"), FASTCGI_BROKEN },
	{ "two begins", BYTES(BEGIN BEGIN), FASTCGI_BROKEN },
	{ "another role", BYTES(HEAD("\1", "\x8") "\0\2\1\0\0\0\0\0"), FASTCGI_BROKEN },
	{ "another id", BYTES(BEGIN "\1\4\0\2\0\0\0\0"), FASTCGI_BROKEN },
	{ "a body before the parameters' end", BYTES(BEGIN NO_BODY), FASTCGI_BROKEN },
	{ "an abort", BYTES(BEGIN HEAD("\2", "\0")), FASTCGI_BROKEN },
	{ "a management record", BYTES("\1\x9\0\0\0\0\0\0"), FASTCGI_BROKEN },
	{ "an unknown type", BYTES(BEGIN HEAD("\x63", "\0")), FASTCGI_BROKEN },
	{ "a second request", BYTES(BEGIN NO_PARAMS NO_BODY BEGIN), FASTCGI_BROKEN },
};

/* Sends the bytes in pieces, and receives after each. */
static enum fastcgi_step receive(
	struct fastcgi *request, const int fds[2], const char *bytes, size_t len, size_t piece)
{
	enum fastcgi_step step = fastcgi_receive(request, fds[1]);
	for (size_t at = 0; at < len && step == FASTCGI_PARTIAL; at += piece) {
		size_t n = len - at < piece ? len - at : piece;
		assert_int_equal(write(fds[0], bytes + at, n), n);
		step = fastcgi_receive(request, fds[1]);
	}
	return step;
}

static struct fastcgi *request;
static int fds[2];

static int set_up(void **state)
{
	(void)state;
	request = fastcgi_new(BODY_MAX);
	return request && !socketpair(AF_UNIX, SOCK_STREAM, 0, fds) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	fastcgi_free(request);
	(void)close(fds[0]);
	(void)close(fds[1]);
	return 0;
}

static void test_requests_are_whole_partial_or_broken_however_they_arrive(void **state)
{
	static const size_t pieces[] = { 1, 3, PIECE };
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t p = 0; p < ARRAY_LEN(pieces); p++) {
			enum fastcgi_step step =
				receive(request, fds, cases[i].bytes, cases[i].len, pieces[p]);
			/* In pieces, the first request is answered before the second comes. */
			bool answered = step == FASTCGI_WHOLE && pieces[p] < PIECE &&
				!strcmp(cases[i].what, "a second request");
			CHECK(step == cases[i].step || answered, "%s in pieces of %zu: %d",
				cases[i].what, pieces[p], (int)step);
			(void)tear_down(state);
			assert_int_equal(set_up(state), 0);
		}
}

static void test_a_request_is_put_together(void **state)
{
	static const char sent[] =
		BEGIN HEAD("\4", "\xa") PAIR "\2\x80\0\0\0"
					     "\1\4\0\1\0\5\3\0"
					     "AB\1\0C"
					     "pad" NO_PARAMS HEAD("\5", "\3") "abc" NO_BODY;
	static const char head[] = BEGIN HEAD("\4", "\xf") PAIR "\2\x80\0\0\0AB\1\0C" NO_PARAMS;
	(void)state;
	for (int turn = 0; turn < 2; turn++) {
		size_t len = 0;
		assert_int_equal(
			receive(request, fds, sent, sizeof sent - 1, PIECE), FASTCGI_WHOLE);
		assert_memory_equal(fastcgi_head(request, &len), head, sizeof head - 1);
		assert_int_equal(len, sizeof head - 1);
		assert_string_equal(fastcgi_body(request), "abc");
		assert_int_equal(fastcgi_body_len(request), 3);
		assert_true(fastcgi_keeps(request));
		fastcgi_reset(request);
	}
}

static void test_a_body_that_is_too_long_is_read_but_not_kept(void **state)
{
	static const char bytes[] =
		BEGIN NO_PARAMS HEAD("\5", "\x14") "0123456789012345678901" NO_BODY;
	(void)state;
	/* Of 22 bytes, two are a header that is none. */
	assert_int_equal(receive(request, fds, bytes, sizeof bytes - 1, PIECE), FASTCGI_BROKEN);
	fastcgi_reset(request);
	static const char good[] =
		BEGIN NO_PARAMS HEAD("\5", "\x14") "01234567890123456789" NO_BODY;
	assert_int_equal(receive(request, fds, good, sizeof good - 1, PIECE), FASTCGI_WHOLE);
	assert_int_equal(fastcgi_body_len(request), 20);
	assert_true(strlen(fastcgi_body(request)) <= BODY_MAX);
}

static void test_more_parameters_than_nginx_sends_are_refused(void **state)
{
	static char record[8 + PIECE] = HEAD("\4", "\0");
	enum fastcgi_step step = receive(request, fds, BEGIN, sizeof BEGIN - 1, PIECE);
	(void)state;
	record[4] = (char)(PIECE >> 8);
	record[5] = (char)PIECE;
	size_t sent = 0;
	for (; step == FASTCGI_PARTIAL && sent < 10 * (size_t)PIECE; sent += PIECE)
		step = receive(request, fds, record, sizeof record, PIECE);
	assert_int_equal(step, FASTCGI_BROKEN);
	assert_true(sent > FASTCGI_PARAMS_MAX && sent <= FASTCGI_PARAMS_MAX + 2 * PIECE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_requests_are_whole_partial_or_broken_however_they_arrive, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(test_a_request_is_put_together, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_body_that_is_too_long_is_read_but_not_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_more_parameters_than_nginx_sends_are_refused, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
