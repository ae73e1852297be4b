/* SPDX-License-Identifier: MIT */
#include "server/exchange.h"

#include "base/text.h"
#include "base/uuid.h"

#include <errno.h>
#include <fcgiapp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct exchange {
	struct fastcgi
		*fastcgi; /* NULL: its request has not arrived yet, and is the connection's */
	int head; /* a file in memory, from which libfcgi reads a request's parameters; or -1 */
	FCGX_Request fcgi;
	struct http_req req;
	char own_id[UUID_SIZE];
	bool broken; /* the body cannot be used: `failure` says why */
	struct err failure;
};

int exchange_init(void)
{
	return FCGX_Init() ? -1 : 0;
}

struct exchange *exchange_new(void)
{
	struct exchange *exchange = calloc(1, sizeof(struct exchange));
	if (exchange)
		exchange->head = -1;
	return exchange;
}

void exchange_free(struct exchange *exchange)
{
	if (exchange->fastcgi)
		fastcgi_free(exchange->fastcgi);
	if (exchange->head >= 0)
		(void)close(exchange->head);
	free(exchange);
}

/* The request */

static const char *exchange_param(const struct exchange *x, const char *name)
{
	const char *value = FCGX_GetParam(name, x->fcgi.envp);
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

/* What the file has from a longer head before is behind the end of the parameters. */
static bool write_head(struct exchange *x)
{
	size_t len = 0;
	const void *head = fastcgi_head(x->fastcgi, &len);
	if (x->head < 0)
		x->head = memfd_create("request", MFD_CLOEXEC);
	return x->head >= 0 && pwrite(x->head, head, len, 0) == (ssize_t)len &&
		!lseek(x->head, 0, SEEK_SET);
}

/*
 * libfcgi parses the parameters, which it reads from the file, and then writes the reply to the
 * connection. It closes the file if it fails.
 */
static bool parse_head(struct exchange *x, int fd)
{
	if (!write_head(x))
		return false;
	(void)FCGX_InitRequest(&x->fcgi, -1, 0);
	x->fcgi.ipcFd = x->head;
	x->fcgi.keepConnection = 1; /* otherwise FCGX_Accept_r() closes it first */
	if (FCGX_Accept_r(&x->fcgi)) {
		x->head = -1;
		return false;
	}
	x->fcgi.ipcFd = fd;
	return true;
}

/* The request that arrives on a connection: what is there of it, or the exchange's own, empty. */
static struct fastcgi *take_request(struct exchange *x, struct fastcgi **partial)
{
	if (!*partial)
		return x->fastcgi ? TAKE(x->fastcgi) : fastcgi_new(API_BODY_MAX);
	if (x->fastcgi)
		fastcgi_free(TAKE(x->fastcgi));
	return TAKE(*partial);
}

enum fastcgi_step exchange_read(struct exchange *x, int fd, struct fastcgi **partial)
{
	struct fastcgi *request = take_request(x, partial);
	enum fastcgi_step step = request ? fastcgi_receive(request, fd) : FASTCGI_BROKEN;
	if (step == FASTCGI_PARTIAL) {
		*partial = request;
		return step;
	}
	x->fastcgi = request;
	if (step == FASTCGI_WHOLE && !parse_head(x, fd))
		step = FASTCGI_BROKEN;
	if (step == FASTCGI_WHOLE)
		exchange_set_request(x);
	else if (request)
		fastcgi_reset(request);
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
	bool kept = fastcgi_keeps(x->fastcgi);
	kept = !FCGX_FClose(x->fcgi.err) && kept;
	return !FCGX_FClose(x->fcgi.out) && kept;
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
	case API_REPLY_LATER: /* is never written: api_finish() makes another reply of it */
		return EXCHANGE_BROKEN;
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
	fastcgi_reset(x->fastcgi);
}
