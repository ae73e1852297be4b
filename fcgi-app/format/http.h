/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * An HTTP request as a value, and its target parsed strictly: percent-encoding by RFC 3986 section
 * 2.1, query strings by the form rules of the WHATWG URL standard ('+' is a space). Bad escapes,
 * NUL characters and malformed UTF-8 are refused. Nothing here knows FastCGI: tests build requests
 * by hand. Thread-safe: no state.
 */
#include "base/err.h"

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_PATCH,
	HTTP_DELETE,
	HTTP_OPTIONS,
	HTTP_OTHER,
	HTTP_METHOD_COUNT
};

/* The texts belong to the request's maker and are valid until it is answered. None is NULL. */
struct http_req {
	enum http_method method;
	const char *target; /* path and query as sent, still encoded */
	const char *content_type;
	const char *body;
	size_t body_len;
	const char *request_id;
	const char *user; /* as authenticated by nginx, or "" */
	const char *role; /* as given by nginx, or "" */
	/* What a browser says about the requesting page (Fetch standard), or "". */
	const char *origin;
	const char *sec_fetch_site;
	/* Where the request was sent: "http" or "https", and the Host; or "". */
	const char *scheme;
	const char *host;
	/* RFC 9110 sections 13.1.1 and 13.1.2, or "". */
	const char *if_match;
	const char *if_none_match;
	const char *cache_control;   /* RFC 9111 section 5.2.1, or "" */
	const char *idempotency_key; /* draft-ietf-httpapi-idempotency-key-header, or "" */
};

enum http_method http_method_of(const char *name);
const char *http_method_name(enum http_method method);

/* The reason phrase (RFC 9110 section 15), and the status in digits; both are literals. */
const char *http_reason(int status);
const char *http_status_text(int status);

/* Does a Cache-Control header (RFC 9111 section 5.2) contain this directive? */
bool http_has_directive(const char *cache_control, const char *directive);

/* Is the Content-Type this media type, in any case and with any parameters? */
bool http_is_media_type(const char *content_type, const char *type);

/*
 * Did a page of another site make this request? Sec-Fetch-Site (Fetch Metadata, section 2.4) or
 * Origin (RFC 6454 section 7) may say so; an origin is a scheme, a host and a port, and all must be
 * those to which the request was sent. A client that sends neither is no browser: false.
 */
bool http_is_cross_site(const struct http_req *req);

/* A decoded path or query; the texts point into `memory`. */
enum { HTTP_SEGMENTS_MAX = 8, HTTP_PARAMS_MAX = 32 };
struct http_path {
	char *memory;
	const char *segment[HTTP_SEGMENTS_MAX];
	size_t count;
};
struct http_query {
	char *memory;
	struct {
		const char *name, *value;
	} param[HTTP_PARAMS_MAX];
	size_t count;
};

/*
 * Both take the whole target. ERR_BAD_REQUEST: bad encoding, or too many parameters. ERR_NOT_FOUND:
 * a path that no route can have, with empty or dot segments or too many. A parameter's value may be
 * empty. On failure there is nothing to free.
 */
int http_path_parse(const char *target, struct http_path *ret, struct err *err);
int http_query_parse(const char *target, struct http_query *ret, struct err *err);
void http_path_done(struct http_path *path);
void http_query_done(struct http_query *query);

/* Encodes a text as one path segment (RFC 3986 section 3.3, unreserved only). The caller frees. */
char *http_encode_segment(const char *s);
