/* SPDX-License-Identifier: MIT */
#include "server/fastcgi.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Section 8 of the specification. */
enum { VERSION = 1, HEADER = 8, RESPONDER = 1, KEEP_CONN = 1, CONTENT_MAX = 65528 };
enum record { BEGIN_REQUEST = 1, END_REQUEST = 3, PARAMS = 4, STDIN = 5, STDOUT = 6 };

/* Memory that a request keeps for the next one. */
enum { SPARE_BYTES = 8 * 1024 };

/* Bytes with a NUL after them. */
struct grown {
	char *data;
	size_t len, size;
};

struct fastcgi {
	size_t body_max;
	enum record expected; /* STDOUT: none, the request is whole */
	unsigned id;
	bool keep;
	size_t received; /* bytes, also of headers and padding */

	/* The record that is arriving. */
	unsigned char header[HEADER];
	size_t header_len, content_left, padding_left;

	unsigned char begin[8]; /* the content of BEGIN_REQUEST */
	size_t begin_len;
	struct grown params; /* when whole: each name and each value ends in a NUL */
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
	free(request->params.data);
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
		.params = grown_emptied(request->params),
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

/* A NUL in a text would end it there for some of its readers. */
static char *move_text(char *to, const unsigned char **from, size_t len)
{
	if (memchr(*from, '\0', len))
		return NULL;
	memmove(to, *from, len);
	*from += len;
	to[len] = '\0';
	return to + len + 1;
}

/* Lengths become NULs, in place: a pair has at least two bytes of lengths, and gets two NULs. */
static bool params_split(struct grown *params)
{
	const unsigned char *at = (const unsigned char *)params->data;
	const unsigned char *end = at + params->len;
	char *to = params->data;
	while (at < end) {
		size_t name = 0;
		size_t value = 0;
		if (!read_length(&at, end, &name) || !read_length(&at, end, &value) ||
			name > (size_t)(end - at) || value > (size_t)(end - at) - name)
			return false;
		to = move_text(to, &at, name);
		to = to ? move_text(to, &at, value) : NULL;
		if (!to)
			return false;
	}
	params->len = (size_t)(to - params->data);
	return true;
}

const char *fastcgi_param(const struct fastcgi *request, const char *name)
{
	const char *end = request->params.data + request->params.len;
	for (const char *at = request->params.data; at < end; at += strlen(at) + 1) {
		const char *value = at + strlen(at) + 1;
		if (!strcmp(at, name))
			return value;
		at = value;
	}
	return NULL;
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
	return request->keep;
}

unsigned fastcgi_id(const struct fastcgi *request)
{
	return request->id;
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
		return request->params.len + len <= FASTCGI_PARAMS_MAX &&
			grown_add(&request->params, bytes, len);
	case STDIN:
		request->body_len += len;
		return request->body_len > request->body_max ||
			grown_add(&request->body, bytes, len);
	case END_REQUEST:
	case STDOUT:
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
		request->keep = request->begin[2] & KEEP_CONN;
		request->expected = PARAMS;
		return !request->begin[0] && request->begin[1] == RESPONDER;
	case PARAMS:
		if (empty)
			request->expected = STDIN;
		return !empty || params_split(&request->params);
	case STDIN:
		if (empty)
			request->expected = STDOUT;
		return true;
	case END_REQUEST:
	case STDOUT:
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
		size_t n = request->expected == STDOUT ? 0 : take_bytes(request, bytes, len);
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
	while (request->expected != STDOUT) {
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

/* The reply */

/* Sends all that the vector has; it is changed. */
static void send_all(struct fastcgi_writer *writer, struct iovec *iov, size_t count)
{
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = count };
	while (message.msg_iovlen && !writer->failed) {
		ssize_t n = sendmsg(writer->fd, &message, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			writer->failed = true;
		size_t sent = n < 0 ? 0 : (size_t)n;
		while (message.msg_iovlen && sent >= message.msg_iov->iov_len) {
			sent -= message.msg_iov->iov_len;
			message.msg_iov++;
			message.msg_iovlen--;
		}
		if (message.msg_iovlen) {
			message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + sent;
			message.msg_iov->iov_len -= sent;
		}
	}
}

struct header {
	unsigned char bytes[HEADER];
};

static struct header make_header(const struct fastcgi_writer *writer, enum record type, size_t len)
{
	return (struct header){ { VERSION, (unsigned char)type, (unsigned char)(writer->id >> 8),
		(unsigned char)writer->id, (unsigned char)(len >> 8), (unsigned char)len } };
}

static struct iovec make_piece(const void *bytes, size_t len)
{
	const union {
		const void *in;
		void *out; /* sendmsg() only reads it */
	} pointer = { bytes };
	return (struct iovec){ pointer.out, len };
}

/* Sends the buffer as a record, then the bytes as another one, then the tail; each may be empty. */
static void send_records(struct fastcgi_writer *writer, const void *bytes, size_t len,
	const void *tail, size_t tail_len)
{
	struct header headers[] = { make_header(writer, STDOUT, writer->len),
		make_header(writer, STDOUT, len) };
	struct iovec iov[] = {
		make_piece(&headers[0], writer->len ? HEADER : 0),
		make_piece(writer->buffer, writer->len),
		make_piece(&headers[1], len ? HEADER : 0),
		make_piece(bytes, len),
		make_piece(tail, tail_len),
	};
	send_all(writer, iov, ARRAY_LEN(iov));
	writer->len = 0;
}

void fastcgi_write(struct fastcgi_writer *writer, const void *bytes, size_t len)
{
	const char *from = bytes;
	while (len > sizeof writer->buffer - writer->len && !writer->failed) {
		size_t n = smaller(len, CONTENT_MAX);
		send_records(writer, from, n, NULL, 0);
		from += n;
		len -= n;
	}
	if (writer->failed)
		return;
	memcpy(writer->buffer + writer->len, from, len);
	writer->len += len;
}

bool fastcgi_flush(struct fastcgi_writer *writer)
{
	if (writer->len)
		send_records(writer, NULL, 0, NULL, 0);
	return !writer->failed;
}

bool fastcgi_end(struct fastcgi_writer *writer)
{
	struct {
		struct header end_of_stdout, end;
		unsigned char body[8]; /* application status 0, FCGI_REQUEST_COMPLETE */
	} tail = { make_header(writer, STDOUT, 0), make_header(writer, END_REQUEST, 8), { 0 } };
	send_records(writer, NULL, 0, &tail, sizeof tail);
	return !writer->failed;
}
