/* SPDX-License-Identifier: MIT */
#include "server/exchange.h"

#include "base/text.h"
#include "base/uuid.h"

#include <stdio.h>
#include <string.h>

struct exchange {
	struct fastcgi
		*fastcgi; /* NULL: its request has not arrived yet, and is the connection's */
	struct fastcgi_writer writer;
	struct http_req req;
	char own_id[UUID_SIZE];
	bool broken; /* the body cannot be used: `failure` says why */
	struct err failure;
};

struct exchange *exchange_new(void)
{
	return calloc(1, sizeof(struct exchange));
}

void exchange_free(struct exchange *exchange)
{
	if (exchange->fastcgi)
		fastcgi_free(exchange->fastcgi);
	free(exchange);
}

/* The request */

static const char *exchange_param(const struct exchange *x, const char *name)
{
	const char *value = fastcgi_param(x->fastcgi, name);
	return value ? value : "";
}

/* A body of another length than announced broke off, and is refused. */
static int exchange_check_body(const struct exchange *x, struct err *err)
{
	const char *length = exchange_param(x, "CONTENT_LENGTH");
	long long announced = strtoll(length, NULL, 10);
	size_t len = fastcgi_body_len(x->fastcgi);
	if (len && !*length)
		return err_set(err, ERR_LENGTH_REQUIRED, "body: the request has no Content-Length");
	if (len > API_BODY_MAX)
		return err_set(err, ERR_BODY_TOO_LARGE,
			"body: %zu bytes are more than the %d allowed", len, API_BODY_MAX);
	if ((long long)len != announced)
		return err_set(err, ERR_BAD_REQUEST,
			"body: Content-Length is %lld, but %zu bytes arrived", announced, len);
	return 0;
}

/* The parameters that become texts of the request. */
static const struct {
	const char *name;
	size_t at;
} params[] = {
	{ "REQUEST_URI", offsetof(struct http_req, target) },
	{ "CONTENT_TYPE", offsetof(struct http_req, content_type) },
	{ "REQUEST_ID", offsetof(struct http_req, request_id) },
	{ "REMOTE_USER", offsetof(struct http_req, user) },
	{ "VIRTGATE_ROLE", offsetof(struct http_req, role) },
	{ "HTTP_ORIGIN", offsetof(struct http_req, origin) },
	{ "HTTP_SEC_FETCH_SITE", offsetof(struct http_req, sec_fetch_site) },
	{ "REQUEST_SCHEME", offsetof(struct http_req, scheme) },
	{ "HTTP_HOST", offsetof(struct http_req, host) },
	{ "HTTP_IF_MATCH", offsetof(struct http_req, if_match) },
	{ "HTTP_IF_NONE_MATCH", offsetof(struct http_req, if_none_match) },
	{ "HTTP_CACHE_CONTROL", offsetof(struct http_req, cache_control) },
	{ "HTTP_IDEMPOTENCY_KEY", offsetof(struct http_req, idempotency_key) },
};

static void exchange_set_request(struct exchange *x)
{
	struct http_req *req = &x->req;
	req->method = http_method_of(exchange_method(x));
	for (size_t i = 0; i < ARRAY_LEN(params); i++)
		*(const char **)(void *)((char *)req + params[i].at) =
			exchange_param(x, params[i].name);
	x->broken = exchange_check_body(x, &x->failure) < 0;
	req->body = x->broken ? "" : fastcgi_body(x->fastcgi);
	req->body_len = x->broken ? 0 : fastcgi_body_len(x->fastcgi);
	/* nginx's id is used if it can stand in a header and in the log unescaped. */
	if (!text_is_name(req->request_id)) {
		uuid_make(x->own_id);
		req->request_id = x->own_id;
	}
}

enum fastcgi_step exchange_read(struct exchange *x, int fd, struct fastcgi **partial)
{
	struct fastcgi *request = *partial ? TAKE(*partial) : TAKE(x->fastcgi);
	if (!request)
		request = fastcgi_new(API_BODY_MAX);
	if (x->fastcgi)
		fastcgi_free(TAKE(x->fastcgi));
	if (!request)
		return FASTCGI_BROKEN;
	enum fastcgi_step step = fastcgi_receive(request, fd);
	if (step == FASTCGI_PARTIAL) {
		*partial = request;
		return step;
	}
	x->fastcgi = request;
	if (step == FASTCGI_BROKEN) {
		fastcgi_reset(request);
		return step;
	}
	x->writer = (struct fastcgi_writer){ .fd = fd, .id = fastcgi_id(request) };
	exchange_set_request(x);
	return step;
}

const struct http_req *exchange_request(const struct exchange *x)
{
	return &x->req;
}

const char *exchange_method(const struct exchange *x)
{
	return exchange_param(x, "REQUEST_METHOD");
}

const struct err *exchange_failure(const struct exchange *x)
{
	return x->broken ? &x->failure : NULL;
}

/* The reply */

static void out_text(struct exchange *x, const char *text)
{
	fastcgi_write(&x->writer, text, strlen(text));
}

static void out_header(struct exchange *x, const char *name, const char *value)
{
	out_text(x, name);
	out_text(x, ": ");
	out_text(x, value);
	out_text(x, "\r\n");
}

static void out_number(struct exchange *x, const char *name, size_t value)
{
	char text[24];
	(void)snprintf(text, sizeof text, "%zu", value);
	out_header(x, name, text);
}

static void out_status(struct exchange *x, int status)
{
	char text[64];
	(void)snprintf(text, sizeof text, "%d %s", status, http_reason(status));
	out_header(x, "Status", text);
}

/* The headers that all kinds of replies have, without the empty line that ends them. */
static void out_headers(struct exchange *x, const struct api_reply *reply)
{
	out_status(x, reply->status);
	out_header(x, "X-Request-Id", x->req.request_id);
	/* A client may keep a reply with an entity tag, and ask whether it is still valid. */
	out_header(x, "Cache-Control", reply->etag[0] ? "private, no-cache" : "no-store");
	out_header(x, "Vary", "Accept-Encoding");
	if (reply->location)
		out_header(x, "Location", reply->location);
	if (reply->allow[0])
		out_header(x, "Allow", reply->allow);
	if (reply->accept_patch)
		out_header(x, "Accept-Patch", reply->accept_patch);
	if (reply->replayed)
		out_header(x, "Idempotent-Replay", "true");
	if (reply->age) /* RFC 9111 section 5.1 */
		out_number(x, "Age", (size_t)reply->age);
	if (reply->status == 401) /* RFC 9110 section 15.5.2; nginx's own 401 is the usual one */
		out_header(x, "WWW-Authenticate", "Basic realm=\"virtgate\"");
	if (reply->retry_after)
		out_number(x, "Retry-After", (size_t)reply->retry_after);
	if (reply->etag[0])
		out_header(x, "ETag", reply->etag);
	if (reply->type)
		out_header(x, "Content-Type", reply->type);
}

bool exchange_end(struct exchange *x)
{
	return fastcgi_end(&x->writer) && fastcgi_keeps(x->fastcgi);
}

enum exchange_end exchange_answer(struct exchange *x, const struct api_reply *reply)
{
	bool has_body = x->req.method != HTTP_HEAD;
	out_headers(x, reply);
	switch (reply->kind) {
	case API_REPLY_BODY:
		/* RFC 9110 section 8.6: none with a 204; a 304's would be that of the 200. */
		if (reply->status != 204 && reply->status != 304)
			out_number(x, "Content-Length", reply->body_len);
		out_text(x, "\r\n");
		if (reply->body && has_body)
			fastcgi_write(&x->writer, reply->body, reply->body_len);
		break;
	case API_REPLY_REDIRECT: /* nginx, ngx_http_upstream_module: an internal location */
		out_header(x, "X-Accel-Redirect", reply->redirect);
		out_text(x, "\r\n");
		break;
	case API_REPLY_LATER: /* is never written: api_finish() makes another reply of it */
		return EXCHANGE_BROKEN;
	case API_REPLY_STREAM:
		out_header(x, "X-Accel-Buffering", "no");
		out_text(x, "\r\n");
		if (!has_body)
			break;
		return exchange_write(x, "", 0) ? EXCHANGE_STREAMED : EXCHANGE_BROKEN;
	}
	return exchange_end(x) ? EXCHANGE_KEPT : EXCHANGE_BROKEN;
}

bool exchange_write(struct exchange *x, const void *bytes, size_t len)
{
	fastcgi_write(&x->writer, bytes, len);
	return fastcgi_flush(&x->writer);
}

void exchange_done(struct exchange *x)
{
	fastcgi_reset(x->fastcgi);
}
