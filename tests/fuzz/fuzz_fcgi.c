/* SPDX-License-Identifier: MIT */
/*
 * What nginx can send over one connection: well-formed records, with any parameters and bodies, in
 * pieces of any size, which break off anywhere; the next request when the last is answered. A line
 * "NAME=value" is a parameter, an empty one begins the body, "%%" on a line of its own the next
 * request; the input's first three bytes say how long records are, how much padding follows them,
 * and how much of the last request never comes.
 *
 * Every request that was sent whole is answered, by headers of ours and as long a body as they say.
 * One that was broken off is not acted upon.
 */
#include "fuzz.h"

#include "api/api.h"
#include "api/routes.h"
#include "base/text.h"
#include "server/exchange.h"

#include <signal.h>
#include <sys/socket.h>

/* FastCGI specification 1.0, section 8. */
enum { BEGIN_REQUEST = 1, END_REQUEST = 3, PARAMS = 4, STDIN = 5, STDOUT = 6, STDERR = 7 };
enum { HEADER = 8, RESPONDER = 1, KEEP_CONN = 1 };

struct bytes {
	uint8_t *data;
	size_t len;
};

static void add(struct bytes *to, const void *data, size_t len)
{
	to->data = realloc(to->data, to->len + len + 1);
	insist(to->data, "memory");
	memcpy(to->data + to->len, data, len);
	to->len += len;
}

/* Sending */

struct shape {
	size_t record, padding;
};

static void add_record(struct bytes *to, int type, const void *data, size_t len, size_t padding)
{
	static const uint8_t zeros[UINT8_MAX];
	const uint8_t header[HEADER] = { 1, (uint8_t)type, 0, 1, (uint8_t)(len >> 8), (uint8_t)len,
		(uint8_t)padding, 0 };
	add(to, header, sizeof header);
	add(to, data, len);
	add(to, zeros, padding);
}

static void add_stream(
	struct bytes *to, int type, const struct bytes *stream, const struct shape *shape)
{
	for (size_t at = 0; at < stream->len; at += shape->record) {
		size_t left = stream->len - at;
		add_record(to, type, stream->data + at, left < shape->record ? left : shape->record,
			shape->padding);
	}
	add_record(to, type, "", 0, 0);
}

static void add_length(struct bytes *to, size_t n)
{
	const uint8_t four[] = { (uint8_t)(n >> 24 | 0x80), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
		(uint8_t)n };
	if (n < 0x80)
		add(to, &four[3], 1);
	else
		add(to, four, sizeof four);
}

static void add_param(struct bytes *to, const char *line, size_t len)
{
	const char *equals = memchr(line, '=', len);
	size_t name_len = equals ? (size_t)(equals - line) : len;
	size_t value_len = equals ? len - name_len - 1 : 0;
	if (memchr(line, '\0', len)) /* nginx refuses it, and so does virtgate */
		return;
	if (memchr(line, '\0', len)) /* nginx refuses it, and so does virtgate */
		return;
	add_length(to, name_len);
	add_length(to, value_len);
	add(to, line, name_len);
	add(to, line + len - value_len, value_len);
}

static void add_request(struct bytes *to, const char *text, size_t size, const struct shape *shape)
{
	static const uint8_t begin[] = { 0, RESPONDER, KEEP_CONN, 0, 0, 0, 0, 0 };
	struct bytes params = { 0 };
	struct bytes body = { 0 };
	const char *end = text + size;
	while (text < end && *text != '\n') {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t len = (size_t)((stop ? stop : end) - text);
		add_param(&params, text, len);
		text += len + (stop != NULL);
	}
	if (text < end)
		add(&body, text + 1, (size_t)(end - text) - 1);
	add_record(to, BEGIN_REQUEST, begin, sizeof begin, 0);
	add_stream(to, PARAMS, &params, shape);
	add_stream(to, STDIN, &body, shape);
	free(params.data);
	free(body.data);
}

/* Receiving */

static void check_headers(const char *text, size_t len)
{
	static const char known[] =
		"Status|X-Request-Id|Age|Cache-Control|Vary|Location|Allow|Accept-Patch|ETag|"
		"WWW-Authenticate|Retry-After|Content-Type|Content-Length";
	AUTO(free) char *copy = strndup(text, len);
	char *rest = copy;
	insist(copy && strlen(copy) == len, "a NUL in the headers");
	while (rest) {
		char *line = strsep(&rest, "\n");
		size_t n = strcspn(line, ":");
		insist(line[strcspn(line, "\r")] && line[strlen(line) - 1] == '\r', "a line's end");
		line[n] = '\0';
		insist(text_is_word(known, '|', line), "a header '%s'", line);
	}
}

/* Returns the status. */
static int check_answer(const struct bytes *answer, bool has_body)
{
	const char *text = (const char *)answer->data;
	const char *end = answer->len ? memmem(text, answer->len, "\r\n\r\n", 4) : NULL;
	insist(end && !strncmp(text, "Status: ", 8), "no headers");
	size_t len = (size_t)(end - text);
	check_headers(text, len + 1);
	const char *length = memmem(text, len, "Content-Length: ", 16);
	insist(length, "no length");
	size_t said = has_body ? strtoul(length + 16, NULL, 10) : 0;
	insist(said == answer->len - len - 4, "it is not as long as it says");
	return atoi(text + 8);
}

/* What has come, which is one answer; returns its status. */
static int receive(int fd, bool has_body)
{
	uint8_t header[HEADER] = { 0 };
	struct bytes answer = { 0 };
	while (header[1] != END_REQUEST) {
		uint8_t data[UINT16_MAX + UINT8_MAX];
		insist(recv(fd, header, HEADER, MSG_DONTWAIT) == HEADER, "there is no answer");
		size_t len = (size_t)header[4] << 8 | header[5];
		ssize_t all = (ssize_t)len + header[6];
		insist(!all || recv(fd, data, (size_t)all, MSG_DONTWAIT) == all, "half a record");
		insist(header[0] == 1 && !header[2] && header[3] == 1, "a record's header");
		insist(header[1] == STDOUT || header[1] == END_REQUEST || !len, "type %d",
			header[1]);
		if (header[1] == STDOUT)
			add(&answer, data, len);
	}
	int status = check_answer(&answer, has_body);
	free(answer.data);
	return status;
}

/* Serving */

static void check_request(const struct exchange *exchange)
{
	const struct http_req *req = exchange_request(exchange);
	insist(req->target && req->content_type && req->user && req->role && req->origin &&
			req->sec_fetch_site && req->scheme && req->host && req->if_match &&
			req->if_none_match && req->idempotency_key && exchange_method(exchange),
		"a member is missing");
	insist(text_is_name(req->request_id), "a request's id: %s", req->request_id);
	insist(req->body_len <= API_BODY_MAX && !req->body[req->body_len], "a body");
}

/* What was asked for, or why not; nobody asks libvirt. */
static void answer(struct exchange *exchange, struct api_reply *ret)
{
	static struct config config;
	static struct api api = { .config = &config, .routes = routes };
	const struct http_req *req = exchange_request(exchange);
	const struct err *failure = exchange_failure(exchange);
	struct api_call call;
	api.route_count = route_count;
	api_call_init(&api, req, &call);
	if (failure || call.refused) {
		api_answer_error(&call, failure ? failure : &call.refusal, ret);
	} else {
		*ret = (struct api_reply){ .status = 200, .type = "text/plain" };
		ret->body = fuzz_text((const uint8_t *)req->body, req->body_len);
		ret->body_len = strlen(ret->body);
		const char *const segments[] = { call.path.segment[0], NULL };
		struct err err;
		insist(!api_reply_location(ret, segments, &err), "memory");
		etag_make(ret->body, ret->body_len, ret->etag);
	}
	api_call_done(&call);
}

/* Answers what has been sent to fds[1], which is fds[0]'s. Is that one still open? */
static bool serve(const int fds[2], struct exchange *exchange, bool whole)
{
	struct api_reply reply;
	struct fastcgi *partial = NULL;
	if (exchange_read(exchange, fds[1], &partial) != FASTCGI_WHOLE) {
		insist(!whole && !partial, "a request was not read");
		(void)close(fds[1]);
		return false;
	}
	check_request(exchange);
	bool has_body = exchange_request(exchange)->method != HTTP_HEAD;
	answer(exchange, &reply);
	bool kept = exchange_answer(exchange, &reply) == EXCHANGE_KEPT;
	insist(kept || !whole, "the connection was given up");
	int status = receive(fds[0], has_body);
	insist(status == reply.status, "%d became %d", reply.status, status);
	insist(whole || status >= 400, "what was broken off was acted upon");
	api_reply_done(&reply);
	exchange_done(exchange);
	if (!kept)
		(void)close(fds[1]);
	return kept;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	insist(!exchange_init(), "libfcgi");
	(void)signal(SIGPIPE, SIG_IGN);
	return 0;
}

/* Sends all of the request but its last bytes. Is it whole? */
static bool send_request(int fd, const struct bytes *request, size_t kept_back)
{
	size_t len = kept_back < request->len ? request->len - kept_back : 0;
	insist(write(fd, request->data, len) == (ssize_t)len, "it was not sent");
	if (kept_back)
		(void)shutdown(fd, SHUT_WR);
	return !kept_back;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum { HEAD = 3, PADDINGS = 8 };
	static const char separator[] = "\n%%\n";
	int fds[2];
	if (size < HEAD || socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return 0;
	AUTO(exchange_free) struct exchange *exchange = exchange_new();
	const struct shape shape = { (size_t)data[0] + 1, data[1] % PADDINGS };
	size_t kept_back = data[2] > ' ' ? data[2] - ' ' : 0;
	const char *text = (const char *)data + HEAD;
	const char *end = (const char *)data + size;
	bool open = true;
	for (bool more = true; more && open;) {
		struct bytes request = { 0 };
		const char *stop = memmem(text, (size_t)(end - text), separator, strlen(separator));
		add_request(&request, text, (size_t)((stop ? stop : end) - text), &shape);
		more = stop;
		bool whole = send_request(fds[0], &request, more ? 0 : kept_back);
		open = serve(fds, exchange, whole);
		free(request.data);
		text = stop ? stop + strlen(separator) : end;
	}
	if (open)
		(void)close(fds[1]);
	(void)close(fds[0]);
	return 0;
}
