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

static const char *param(const FCGX_Request *fcgi, const char *name)
{
	const char *value = FCGX_GetParam(name, fcgi->envp);
	return value ? value : "";
}

/*
 * Reads the whole body, because what stays unread would be taken for the next request on this
 * connection, and keeps at most API_BODY_MAX bytes of it. A body of another length than announced
 * broke off, and is refused.
 */
static int exchange_read_body(
	const FCGX_Request *fcgi, char **ret_body, size_t *ret_len, struct err *err)
{
	const char *length = param(fcgi, "CONTENT_LENGTH");
	long long announced = strtoll(length, NULL, 10);
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
	if (len && !*length)
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

/* nginx's, if it can stand in a header and in the log unescaped; otherwise a new one. */
static const char *request_id(const FCGX_Request *fcgi, char own[static UUID_SIZE])
{
	const char *given = param(fcgi, "REQUEST_ID");
	if (text_is_name(given))
		return given;
	uuid_make(own);
	return own;
}

static void exchange_set_request(struct exchange *x)
{
	const FCGX_Request *fcgi = &x->fcgi;
	size_t len = 0;
	x->broken = exchange_read_body(fcgi, &x->body, &len, &x->failure) < 0;
	x->req = (struct http_req){
		.method = http_method_of(param(fcgi, "REQUEST_METHOD")),
		.target = param(fcgi, "REQUEST_URI"),
		.content_type = param(fcgi, "CONTENT_TYPE"),
		.body = x->broken ? "" : x->body,
		.body_len = len,
		.request_id = request_id(fcgi, x->own_id),
		.user = param(fcgi, "REMOTE_USER"),
		.role = param(fcgi, "VIRTGATE_ROLE"),
		.origin = param(fcgi, "HTTP_ORIGIN"),
		.sec_fetch_site = param(fcgi, "HTTP_SEC_FETCH_SITE"),
		.host = param(fcgi, "HTTP_HOST"),
		.if_match = param(fcgi, "HTTP_IF_MATCH"),
		.if_none_match = param(fcgi, "HTTP_IF_NONE_MATCH"),
		.cache_control = param(fcgi, "HTTP_CACHE_CONTROL"),
		.idempotency_key = param(fcgi, "HTTP_IDEMPOTENCY_KEY"),
	};
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
	return param(&x->fcgi, "REQUEST_METHOD");
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

/* Headers that few replies have. */
static void out_rare_headers(FCGX_Stream *out, const struct api_reply *reply)
{
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
}

/* The headers that all kinds of replies have, without the empty line that ends them. */
static void out_headers(FCGX_Stream *out, const struct http_req *req, const struct api_reply *reply)
{
	(void)FCGX_FPrintF(out, "Status: %s %s\r\n", http_status_text(reply->status),
		http_reason(reply->status));
	out_header(out, "X-Request-Id", req->request_id);
	/* A client may keep a reply with an entity tag, and ask whether it is still valid. */
	out_header(out, "Cache-Control", reply->etag[0] ? "private, no-cache" : "no-store");
	out_header(out, "Vary", "Accept-Encoding");
	out_rare_headers(out, reply);
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
