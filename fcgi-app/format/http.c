/* SPDX-License-Identifier: MIT */
#include "format/http.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const methods[] = {
	[HTTP_GET] = "GET",
	[HTTP_HEAD] = "HEAD",
	[HTTP_POST] = "POST",
	[HTTP_PUT] = "PUT",
	[HTTP_PATCH] = "PATCH",
	[HTTP_DELETE] = "DELETE",
	[HTTP_OPTIONS] = "OPTIONS",
	[HTTP_OTHER] = "",
};
_Static_assert(ARRAY_LEN(methods) == HTTP_METHOD_COUNT, "a name per method");

enum http_method http_method_of(const char *name)
{
	for (int m = 0; m < HTTP_OTHER; m++)
		if (!strcmp(name, methods[m]))
			return (enum http_method)m;
	return HTTP_OTHER;
}

const char *http_method_name(enum http_method method)
{
	return methods[method];
}

static const struct {
	int status;
	const char *text, *reason;
} statuses[] = {
	{ 200, "200", "OK" },
	{ 201, "201", "Created" },
	{ 204, "204", "No Content" },
	{ 304, "304", "Not Modified" },
	{ 400, "400", "Bad Request" },
	{ 401, "401", "Unauthorized" },
	{ 403, "403", "Forbidden" },
	{ 404, "404", "Not Found" },
	{ 405, "405", "Method Not Allowed" },
	{ 408, "408", "Request Timeout" },
	{ 409, "409", "Conflict" },
	{ 411, "411", "Length Required" },
	{ 412, "412", "Precondition Failed" },
	{ 413, "413", "Content Too Large" },
	{ 414, "414", "URI Too Long" },
	{ 415, "415", "Unsupported Media Type" },
	{ 421, "421", "Misdirected Request" },
	{ 422, "422", "Unprocessable Content" },
	{ 429, "429", "Too Many Requests" },
	{ 431, "431", "Request Header Fields Too Large" },
	{ 500, "500", "Internal Server Error" },
	{ 501, "501", "Not Implemented" },
	{ 502, "502", "Bad Gateway" },
	{ 503, "503", "Service Unavailable" },
	{ 504, "504", "Gateway Timeout" },
};

const char *http_reason(int status)
{
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		if (statuses[i].status == status)
			return statuses[i].reason;
	return "";
}

const char *http_status_text(int status)
{
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		if (statuses[i].status == status)
			return statuses[i].text;
	return "";
}

/* Skips a directive's argument, which may be a quoted string (RFC 9110 section 5.6.4). */
static const char *skip_argument(const char *s)
{
	bool quoted = false;
	for (; *s && (quoted || *s != ','); s++) {
		if (*s == '"')
			quoted = !quoted;
		if (quoted && *s == '\\' && s[1])
			s++;
	}
	return s;
}

bool http_has_directive(const char *cache_control, const char *directive)
{
	size_t wanted = strlen(directive);
	for (const char *s = cache_control; *s; s = skip_argument(s)) {
		s += strspn(s, ", \t");
		size_t n = strcspn(s, "=, \t");
		if (n == wanted && !strncasecmp(s, directive, n))
			return true;
		s += n;
	}
	return false;
}

bool http_is_media_type(const char *content_type, const char *type)
{
	size_t n = strcspn(content_type, "; \t");
	return n == strlen(type) && !strncasecmp(content_type, type, n);
}

/* The port of "host:port", or the scheme's if it has none (RFC 9110 sections 4.2.1 and 4.2.2). */
static const char *authority_port(const char *authority, size_t host_len, const char *scheme)
{
	if (authority[host_len] && authority[host_len + 1])
		return authority + host_len + 1;
	return strcasecmp(scheme, "https") ? "80" : "443";
}

/* The colons of an IPv6 address are in brackets. */
static size_t authority_host_len(const char *authority)
{
	size_t bracketed = *authority == '[' ? strcspn(authority, "]") : 0;
	return bracketed + strcspn(authority + bracketed, ":");
}

static bool is_same_authority(const char *a, const char *b, const char *scheme)
{
	size_t n = authority_host_len(a);
	return n && n == authority_host_len(b) && !strncasecmp(a, b, n) &&
		!strcmp(authority_port(a, n, scheme), authority_port(b, n, scheme));
}

static bool is_own_origin(const struct http_req *req)
{
	size_t n = strlen(req->scheme);
	return n && !strncasecmp(req->origin, req->scheme, n) &&
		!strncmp(req->origin + n, "://", 3) &&
		is_same_authority(req->origin + n + 3, req->host, req->scheme);
}

bool http_is_cross_site(const struct http_req *req)
{
	if (*req->origin && !is_own_origin(req))
		return true;
	return *req->sec_fetch_site && strcmp(req->sec_fetch_site, "same-origin") != 0 &&
		strcmp(req->sec_fetch_site, "none") != 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/*
 * Decodes s[0..n) in place and terminates it, where the separator stood. With `form`, '+' is a
 * space. `what` names the part of the request in messages.
 */
static int percent_decode(char *s, size_t n, bool form, const char *what, struct err *err)
{
	size_t out = 0;
	for (size_t i = 0; i < n; i++, out++) {
		s[out] = form && s[i] == '+' ? ' ' : s[i];
		if (s[i] != '%')
			continue;
		int high = i + 1 < n ? hex_digit(s[i + 1]) : -1;
		int low = i + 2 < n ? hex_digit(s[i + 2]) : -1;
		if (high < 0 || low < 0)
			return err_set(err, ERR_BAD_REQUEST,
				"%s: a '%%' must be followed by two hexadecimal digits", what);
		s[out] = (char)(high << 4 | low);
		i += 2;
	}
	s[out] = '\0';
	if (!text_is_utf8(s, out))
		return err_set(err, ERR_BAD_REQUEST,
			"%s: not valid UTF-8, or it contains a NUL character", what);
	return 0;
}

static int no_such_path(struct err *err)
{
	return err_set(err, ERR_NOT_FOUND, "there is nothing at this path; start at GET /v1");
}

int http_path_parse(const char *target, struct http_path *ret, struct err *err)
{
	size_t len = strcspn(target, "?#");
	if (target[0] != '/')
		return no_such_path(err);
	AUTO(free) char *memory = strndup(target, len);
	if (!memory)
		return err_memory(err);
	struct http_path path = { 0 };
	/* Splits before it decodes: an encoded slash belongs to its segment. */
	for (char *s = memory + 1, *next; s; s = next) {
		size_t n = strcspn(s, "/");
		next = s[n] ? s + n + 1 : NULL;
		if (path.count == HTTP_SEGMENTS_MAX)
			return no_such_path(err);
		if (percent_decode(s, n, false, "path", err) < 0)
			return -1;
		if (!s[0] || !strcmp(s, ".") || !strcmp(s, ".."))
			return no_such_path(err);
		path.segment[path.count++] = s;
	}
	path.memory = TAKE(memory);
	*ret = path;
	return 0;
}

static int query_add(struct http_query *query, char *s, size_t n, struct err *err)
{
	char *equals = memchr(s, '=', n);
	size_t name_len = equals ? (size_t)(equals - s) : n;
	static char empty[] = "";
	char *value = equals ? equals + 1 : empty;
	if (query->count == HTTP_PARAMS_MAX)
		return err_set(
			err, ERR_BAD_REQUEST, "query: more than %d parameters", HTTP_PARAMS_MAX);
	if (equals && percent_decode(value, n - name_len - 1, true, "query", err) < 0)
		return -1;
	if (percent_decode(s, name_len, true, "query", err) < 0)
		return -1;
	query->param[query->count].name = s;
	query->param[query->count++].value = value;
	return 0;
}

int http_query_parse(const char *target, struct http_query *ret, struct err *err)
{
	struct http_query query = { 0 };
	const char *start = strchr(target, '?');
	AUTO(free) char *memory = strdup(start ? start + 1 : "");
	if (!memory)
		return err_memory(err);
	memory[strcspn(memory, "#")] = '\0';
	for (char *s = memory, *next; s; s = next) {
		size_t n = strcspn(s, "&");
		next = s[n] ? s + n + 1 : NULL;
		if (n && query_add(&query, s, n, err) < 0)
			return -1;
	}
	query.memory = TAKE(memory);
	*ret = query;
	return 0;
}

void http_path_done(struct http_path *path)
{
	free(path->memory);
}

void http_query_done(struct http_query *query)
{
	free(query->memory);
}

char *http_encode_segment(const char *s)
{
	static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					 "0123456789-._~";
	char *out = malloc(3 * strlen(s) + 1);
	char *p = out;
	for (; out && *s; s++) {
		if (strchr(unreserved, *s))
			*p++ = *s;
		else
			p += sprintf(p, "%%%02X", (unsigned char)*s);
	}
	if (out)
		*p = '\0';
	return out;
}
