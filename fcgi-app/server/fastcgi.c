/* SPDX-License-Identifier: MIT */
#include "server/fastcgi.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* Section 8 of the specification. */
enum { VERSION = 1, HEADER = 8, BEGIN = 8, RESPONDER = 1, KEEP_CONN = 1 };
enum record { BEGIN_REQUEST = 1, PARAMS = 4, STDIN = 5, NONE };

/* Where the parameters begin in the head. */
enum { PARAMS_AT = HEADER + BEGIN + HEADER };

/* Memory that a request keeps for the next one. */
enum { SPARE_BYTES = 8 * 1024 };

/* Bytes with a NUL after them. */
struct grown {
	char *data;
	size_t len, size;
};

struct fastcgi {
	size_t body_max;
	enum record expected; /* NONE: the request is whole */
	unsigned id;
	size_t received; /* bytes, also of headers and padding */

	/* The record that is arriving. */
	unsigned char header[HEADER];
	size_t header_len, content_left, padding_left;

	unsigned char begin[BEGIN]; /* the content of BEGIN_REQUEST */
	size_t begin_len;
	struct grown head; /* for libfcgi: BEGIN_REQUEST, all PARAMS as one record, their end */
	struct grown body;
	size_t body_len; /* as it was sent */
};

struct fastcgi *fastcgi_new(size_t body_max)
{
	struct fastcgi *request = calloc(1, sizeof *request);
	if (request)
		*request = (struct fastcgi){ .body_max = body_max, .expected = BEGIN_REQUEST };
	return request;
}

void fastcgi_free(struct fastcgi *request)
{
	free(request->head.data);
	free(request->body.data);
	free(request);
}

static bool grown_add(struct grown *to, const void *bytes, size_t len)
{
	if (to->len + len >= to->size) {
		size_t size = to->len + len < SPARE_BYTES / 2 ? SPARE_BYTES : 2 * (to->len + len);
		char *data = realloc(to->data, size);
		if (!data)
			return false;
		to->data = data;
		to->size = size;
	}
	memcpy(to->data + to->len, bytes, len);
	to->len += len;
	to->data[to->len] = '\0';
	return true;
}

static struct grown grown_emptied(struct grown old)
{
	if (old.size > SPARE_BYTES) {
		free(old.data);
		return (struct grown){ 0 };
	}
	old.len = 0;
	if (old.data)
		old.data[0] = '\0';
	return old;
}

void fastcgi_reset(struct fastcgi *request)
{
	*request = (struct fastcgi){
		.body_max = request->body_max,
		.expected = BEGIN_REQUEST,
		.head = grown_emptied(request->head),
		.body = grown_emptied(request->body),
	};
}

/* Parameters */

/* Section 3.4: one byte, or four of which the first has its highest bit set. */
static bool read_length(const unsigned char **at, const unsigned char *end, size_t *ret)
{
	size_t bytes = *at < end && **at & 0x80 ? 4 : 1;
	if ((size_t)(end - *at) < bytes)
		return false;
	*ret = **at & 0x7f;
	for (size_t i = 1; i < bytes; i++)
		*ret = *ret << 8 | (*at)[i];
	*at += bytes;
	return true;
}

/* libfcgi adds a pair's lengths without a look at their sum, and takes them for those of texts. */
static bool params_are_good(const struct grown *head)
{
	const unsigned char *at = (const unsigned char *)head->data + PARAMS_AT;
	const unsigned char *end = (const unsigned char *)head->data + head->len;
	while (at < end) {
		size_t name = 0;
		size_t value = 0;
		if (!read_length(&at, end, &name) || !read_length(&at, end, &value) ||
			name > (size_t)(end - at) || value > (size_t)(end - at) - name ||
			memchr(at, '\0', name + value))
			return false;
		at += name + value;
	}
	return true;
}

struct header {
	unsigned char bytes[HEADER];
};

static struct header make_header(const struct fastcgi *request, enum record type, size_t len)
{
	return (struct header){ { VERSION, (unsigned char)type, (unsigned char)(request->id >> 8),
		(unsigned char)request->id, (unsigned char)(len >> 8), (unsigned char)len } };
}

/* Makes one record of all parameters, whose length is known only now, and ends them. */
static bool end_params(struct fastcgi *request)
{
	struct header params = make_header(request, PARAMS, request->head.len - PARAMS_AT);
	struct header end = make_header(request, PARAMS, 0);
	memcpy(request->head.data + PARAMS_AT - HEADER, &params, HEADER);
	return params_are_good(&request->head) && grown_add(&request->head, &end, HEADER);
}

static bool begin_head(struct fastcgi *request)
{
	struct header begin = make_header(request, BEGIN_REQUEST, BEGIN);
	struct header params = { { 0 } }; /* end_params() replaces it */
	return grown_add(&request->head, &begin, HEADER) &&
		grown_add(&request->head, request->begin, BEGIN) &&
		grown_add(&request->head, &params, HEADER);
}

const void *fastcgi_head(const struct fastcgi *request, size_t *ret_len)
{
	*ret_len = request->head.len;
	return request->head.data;
}

const char *fastcgi_body(const struct fastcgi *request)
{
	return request->body.data ? request->body.data : "";
}

size_t fastcgi_body_len(const struct fastcgi *request)
{
	return request->body_len;
}

bool fastcgi_keeps(const struct fastcgi *request)
{
	return request->begin[2] & KEEP_CONN;
}

/* Records; false: the request is broken. */

static bool begin_record(struct fastcgi *request)
{
	const unsigned char *header = request->header;
	unsigned id = (unsigned)header[2] << 8 | header[3];
	request->content_left = (size_t)header[4] << 8 | header[5];
	request->padding_left = header[6];
	if (header[0] != VERSION || header[1] != request->expected)
		return false;
	if (request->expected != BEGIN_REQUEST)
		return id == request->id;
	request->id = id;
	return id && request->content_left == sizeof request->begin;
}

static bool add_content(struct fastcgi *request, const unsigned char *bytes, size_t len)
{
	switch (request->expected) {
	case BEGIN_REQUEST:
		memcpy(request->begin + request->begin_len, bytes, len);
		request->begin_len += len;
		return true;
	case PARAMS:
		return request->head.len + len <= PARAMS_AT + FASTCGI_PARAMS_MAX &&
			grown_add(&request->head, bytes, len);
	case STDIN:
		request->body_len += len;
		return request->body_len > request->body_max ||
			grown_add(&request->body, bytes, len);
	case NONE:
		break;
	}
	return false;
}

/* An empty record ends the stream of its type. */
static bool end_record(struct fastcgi *request)
{
	bool empty = !request->header[4] && !request->header[5];
	request->header_len = 0;
	switch (request->expected) {
	case BEGIN_REQUEST:
		request->expected = PARAMS;
		return !request->begin[0] && request->begin[1] == RESPONDER && begin_head(request);
	case PARAMS:
		if (empty)
			request->expected = STDIN;
		return !empty || end_params(request);
	case STDIN:
		if (empty)
			request->expected = NONE;
		return true;
	case NONE:
		break;
	}
	return false;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Takes some of the bytes, at least one; returns how many, 0: the request is broken. */
static size_t take_bytes(struct fastcgi *request, const unsigned char *bytes, size_t len)
{
	size_t n = 0;
	bool good = true;
	if (request->header_len < HEADER) {
		n = smaller(len, HEADER - request->header_len);
		memcpy(request->header + request->header_len, bytes, n);
		request->header_len += n;
		good = request->header_len < HEADER || begin_record(request);
	} else if (request->content_left) {
		n = smaller(len, request->content_left);
		request->content_left -= n;
		good = add_content(request, bytes, n);
	} else {
		n = smaller(len, request->padding_left);
		request->padding_left -= n;
	}
	if (good && request->header_len == HEADER && !request->content_left &&
		!request->padding_left)
		good = end_record(request);
	return good ? n : 0;
}

/* What follows a whole request was sent before the reply. */
static bool take_all(struct fastcgi *request, const unsigned char *bytes, size_t len)
{
	request->received += len;
	while (len) {
		size_t n = request->expected == NONE ? 0 : take_bytes(request, bytes, len);
		if (!n)
			return false;
		bytes += n;
		len -= n;
	}
	return request->received <= FASTCGI_BYTES_MAX;
}

enum fastcgi_step fastcgi_receive(struct fastcgi *request, int fd)
{
	enum { PIECE = 16 * 1024 };
	unsigned char bytes[PIECE];
	while (request->expected != NONE) {
		ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return FASTCGI_PARTIAL;
		if (n <= 0 || !take_all(request, bytes, (size_t)n))
			return FASTCGI_BROKEN;
	}
	return FASTCGI_WHOLE;
}
