/* SPDX-License-Identifier: MIT */
#include "server/exchange.h"

#include "base/text.h"
#include "base/uuid.h"

#include <fcgiapp.h>
#include <stdio.h>
#include <string.h>

struct exchange {
	FCGX_Request fcgi;
	struct http_req req;
	char own_id[UUID_SIZE];
	char *body;
	bool broken; /* the body could not be read: `failure` says why */
	struct err failure;
};

int exchange_init(void)
{
	return FCGX_Init() ? -1 : 0;
}

struct exchange *exchange_new(void)
{
	return calloc(1, sizeof(struct exchange));
}

void exchange_free(struct exchange *exchange)
{
	free(exchange);
}

/* The request */

/*
 * Reads the whole body, because what stays unread would be taken for the next request on this
 * connection, and keeps at most API_BODY_MAX bytes of it. A body of another length than announced
 * broke off, and is refused.
 */
static int exchange_read_body(
	const FCGX_Request *fcgi, char **ret_body, size_t *ret_len, struct err *err)
{
	const char *length = FCGX_GetParam("CONTENT_LENGTH", fcgi->envp);
	long long announced = length ? strtoll(length, NULL, 10) : 0;
	size_t room = announced < 0        ? 0
		: announced > API_BODY_MAX ? API_BODY_MAX
					   : (size_t)announced;
	AUTO(free) char *body = malloc(room + 1);
	char surplus[4096];
	size_t len = 0;
	for (int n = 1; n > 0; len += (size_t)n) {
		bool fits = body && len < room;
		size_t size = fits ? room - len : sizeof surplus;
		/* cppcheck-suppress legacyUninitvar */
		n = FCGX_GetStr(fits ? body + len : surplus, (int)size, fcgi->in);
	}
	if (!body)
		return err_memory(err);
	if (len && (!length || !*length))
		return err_set(err, ERR_LENGTH_REQUIRED, "body: the request has no Content-Length");
	if (len > API_BODY_MAX)
		return err_set(err, ERR_BODY_TOO_LARGE,
			"body: %zu bytes are more than the %d allowed", len, API_BODY_MAX);
	if (FCGX_GetError(fcgi->in) || (long long)len != announced)
		return err_set(err, ERR_BAD_REQUEST,
			"body: Content-Length is %lld, but %zu bytes arrived", announced, len);
	body[len] = '\0';
	*ret_len = len;
	*ret_body = TAKE(body);
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
	for (size_t i = 0; i < ARRAY_LEN(params); i++) {
		const char *value = FCGX_GetParam(params[i].name, x->fcgi.envp);
		*(const char **)(void *)((char *)req + params[i].at) = value ? value : "";
	}
	x->broken = exchange_read_body(&x->fcgi, &x->body, &req->body_len, &x->failure) < 0;
	req->body = x->broken ? "" : x->body;
	/* nginx's id is used if it can stand in a header and in the log unescaped. */
	if (!text_is_name(req->request_id)) {
		uuid_make(x->own_id);
		req->request_id = x->own_id;
	}
}

/*
 * Without a listening socket, libfcgi returns an error when the connection was closed; with one it
 * would accept another connection.
 */
bool exchange_read(struct exchange *x, int fd)
{
	*x = (struct exchange){ 0 };
	(void)FCGX_InitRequest(&x->fcgi, -1, 0);
	x->fcgi.ipcFd = fd;
	x->fcgi.keepConnection = 1; /* otherwise FCGX_Accept_r() closes it first */
	if (FCGX_Accept_r(&x->fcgi))
		return false;
	exchange_set_request(x);
	return true;
}

const struct http_req *exchange_request(const struct exchange *x)
{
	return &x->req;
}

const char *exchange_method(const struct exchange *x)
{
	const char *method = FCGX_GetParam("REQUEST_METHOD", x->fcgi.envp);
	return method ? method : "";
}

const struct err *exchange_failure(const struct exchange *x)
{
	return x->broken ? &x->failure : NULL;
}

/* The reply */

static void out_header(FCGX_Stream *out, const char *name, const char *value)
{
	(void)FCGX_FPrintF(out, "%s: %s\r\n", name, value);
}

static void out_number(FCGX_Stream *out, const char *name, size_t value)
{
	(void)FCGX_FPrintF(out, "%s: %lu\r\n", name, (unsigned long)value);
}

/* The headers that all kinds of replies have, without the empty line that ends them. */
static void out_headers(FCGX_Stream *out, const struct http_req *req, const struct api_reply *reply)
{
	(void)FCGX_FPrintF(out, "Status: %d %s\r\n", reply->status, http_reason(reply->status));
	out_header(out, "X-Request-Id", req->request_id);
	/* A client may keep a reply with an entity tag, and ask whether it is still valid. */
	out_header(out, "Cache-Control", reply->etag[0] ? "private, no-cache" : "no-store");
	out_header(out, "Vary", "Accept-Encoding");
	if (reply->location)
		out_header(out, "Location", reply->location);
	if (reply->allow[0])
		out_header(out, "Allow", reply->allow);
	if (reply->accept_patch)
		out_header(out, "Accept-Patch", reply->accept_patch);
	if (reply->replayed)
		out_header(out, "Idempotent-Replay", "true");
	if (reply->age) /* RFC 9111 section 5.1 */
		out_number(out, "Age", (size_t)reply->age);
	if (reply->status == 401) /* RFC 9110 section 15.5.2; nginx's own 401 is the usual one */
		out_header(out, "WWW-Authenticate", "Basic realm=\"virtgate\"");
	if (reply->retry_after)
		out_number(out, "Retry-After", (size_t)reply->retry_after);
	if (reply->etag[0])
		out_header(out, "ETag", reply->etag);
	if (reply->type)
		out_header(out, "Content-Type", reply->type);
}

/* What FCGX_Finish_r() does, but without freeing the request, which its owner may still read. */
bool exchange_end(struct exchange *x)
{
	bool kept = x->fcgi.keepConnection;
	kept = !FCGX_FClose(x->fcgi.err) && kept;
	kept = !FCGX_FClose(x->fcgi.out) && kept;
	return !FCGX_GetError(x->fcgi.in) && kept;
}

enum exchange_end exchange_answer(struct exchange *x, const struct api_reply *reply)
{
	FCGX_Stream *out = x->fcgi.out;
	bool has_body = x->req.method != HTTP_HEAD;
	out_headers(out, &x->req, reply);
	switch (reply->kind) {
	case API_REPLY_BODY:
		/* RFC 9110 section 8.6: none with a 204; a 304's would be that of the 200. */
		if (reply->status != 204 && reply->status != 304)
			out_number(out, "Content-Length", reply->body_len);
		(void)FCGX_PutS("\r\n", out);
		if (reply->body && has_body)
			(void)FCGX_PutStr(reply->body, (int)reply->body_len, out);
		break;
	case API_REPLY_REDIRECT: /* nginx, ngx_http_upstream_module: an internal location */
		out_header(out, "X-Accel-Redirect", reply->redirect);
		(void)FCGX_PutS("\r\n", out);
		break;
	case API_REPLY_STREAM:
		out_header(out, "X-Accel-Buffering", "no");
		(void)FCGX_PutS("\r\n", out);
		if (!has_body)
			break;
		return exchange_write(x, "", 0) ? EXCHANGE_STREAMED : EXCHANGE_BROKEN;
	}
	return exchange_end(x) ? EXCHANGE_KEPT : EXCHANGE_BROKEN;
}

bool exchange_write(struct exchange *x, const void *bytes, size_t len)
{
	return FCGX_PutStr(bytes, (int)len, x->fcgi.out) == (int)len && !FCGX_FFlush(x->fcgi.out);
}

void exchange_done(struct exchange *x)
{
	FCGX_Free(&x->fcgi, 0);
	free(TAKE(x->body));
}
