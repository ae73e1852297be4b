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
	bool broken; /* the body: failure says how */
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
 * Reads the whole body, for what stays unread would be taken for the next request on this
 * connection, and keeps no more than API_BODY_MAX of it. A body that is not as long as announced
 * broke off somewhere and is not acted upon.
 */
static int read_body(const FCGX_Request *fcgi, char **ret_body, size_t *ret_len, struct err *err)
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
		return err_set(err, ERR_LENGTH_REQUIRED, "body: its length was not announced");
	if (len > API_BODY_MAX)
		return err_set(err, ERR_BODY_TOO_LARGE,
			"body: %zu bytes are more than the %d allowed", len, API_BODY_MAX);
	if (FCGX_GetError(fcgi->in) || (long long)len != announced)
		return err_set(err, ERR_BAD_REQUEST, "body: %lld bytes were announced and %zu came",
			announced, len);
	body[len] = '\0';
	*ret_len = len;
	*ret_body = TAKE(body);
	return 0;
}

/* nginx's, if it can stand in a header and in the log as it is; else one of our own. */
static const char *request_id(const FCGX_Request *fcgi, char own[static UUID_SIZE])
{
	const char *given = param(fcgi, "REQUEST_ID");
	if (text_is_name(given))
		return given;
	uuid_make(own);
	return own;
}

static void read_request(struct exchange *x)
{
	const FCGX_Request *fcgi = &x->fcgi;
	size_t len = 0;
	x->broken = read_body(fcgi, &x->body, &len, &x->failure) < 0;
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
 * With no listening socket libfcgi returns an error for a connection that was closed, where it
 * would otherwise wait for another.
 */
bool exchange_read(struct exchange *x, int fd)
{
	*x = (struct exchange){ 0 };
	(void)FCGX_InitRequest(&x->fcgi, -1, 0);
	x->fcgi.ipcFd = fd;
	x->fcgi.keepConnection = 1; /* or FCGX_Accept_r() begins by closing it */
	if (FCGX_Accept_r(&x->fcgi))
		return false;
	read_request(x);
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

/* The answer */

static void put(FCGX_Stream *out, const char *text)
{
	(void)FCGX_PutStr(text, (int)strlen(text), out);
}

static void put_header(FCGX_Stream *out, const char *name, const char *value)
{
	put(out, name);
	put(out, ": ");
	put(out, value);
	put(out, "\r\n");
}

static void put_number(FCGX_Stream *out, const char *name, size_t value)
{
	char digits[24];
	(void)snprintf(digits, sizeof digits, "%zu", value);
	put_header(out, name, digits);
}

static void put_status(FCGX_Stream *out, int status)
{
	put(out, "Status: ");
	put(out, http_status_text(status));
	put(out, " ");
	put(out, http_reason(status));
	put(out, "\r\n");
}

/* Those that few answers have. */
static void put_more_headers(FCGX_Stream *out, const struct api_reply *reply)
{
	if (reply->location)
		put_header(out, "Location", reply->location);
	if (reply->allow[0])
		put_header(out, "Allow", reply->allow);
	if (reply->accept_patch)
		put_header(out, "Accept-Patch", reply->accept_patch);
	if (reply->replayed)
		put_header(out, "Idempotent-Replay", "true");
	if (reply->age) /* RFC 9111 section 5.1; without, the answer is of this request */
		put_number(out, "Age", (size_t)reply->age);
	if (reply->status == 401) /* RFC 9110 section 15.5.2; nginx's own 401 is the usual one */
		put_header(out, "WWW-Authenticate", "Basic realm=\"virtgate\"");
	if (reply->retry_after)
		put_number(out, "Retry-After", (size_t)reply->retry_after);
}

static void write_reply(FCGX_Stream *out, const struct http_req *req, const struct api_reply *reply)
{
	put_status(out, reply->status);
	put_header(out, "X-Request-Id", req->request_id);
	/* An answer with an entity tag may be kept by who asked, to ask whether it still holds. */
	put_header(out, "Cache-Control", reply->etag[0] ? "private, no-cache" : "no-store");
	put_header(out, "Vary", "Accept-Encoding");
	put_more_headers(out, reply);
	if (reply->etag[0])
		put_header(out, "ETag", reply->etag);
	if (reply->type)
		put_header(out, "Content-Type", reply->type);
	/* RFC 9110 section 8.6: none with a 204; that of a 304 would be the whole answer's. */
	if (reply->status != 204 && reply->status != 304)
		put_number(out, "Content-Length", reply->body_len);
	put(out, "\r\n");
	if (reply->body && req->method != HTTP_HEAD)
		(void)FCGX_PutStr(reply->body, (int)reply->body_len, out);
}

/* What FCGX_Finish_r() does, but for what it frees: whoever has the request may still read it. */
bool exchange_answer(struct exchange *x, const struct api_reply *reply)
{
	bool kept = x->fcgi.keepConnection;
	write_reply(x->fcgi.out, &x->req, reply);
	kept = !FCGX_FClose(x->fcgi.err) && kept;
	kept = !FCGX_FClose(x->fcgi.out) && kept;
	return !FCGX_GetError(x->fcgi.in) && kept;
}

void exchange_done(struct exchange *x)
{
	FCGX_Free(&x->fcgi, 0);
	free(TAKE(x->body));
}
