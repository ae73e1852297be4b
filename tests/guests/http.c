// SPDX-License-Identifier: MIT
#include "http.h"

#include "bytes.h"
#include "guest.h"
#include "net.h"
#include "p9.h"

enum { REQUEST_MAX = 16384 };    // all of a request's lines
enum { FILE_MAX = 0xffff0000u }; // a connection counts its bytes in 32 bits

enum status { OK, BAD_REQUEST, NOT_FOUND, METHOD_NOT_ALLOWED, LINE_TOO_LONG, HEAD_TOO_LARGE };

static const char *const reasons[] = {
	[OK] = "200 OK",
	[BAD_REQUEST] = "400 Bad Request",
	[NOT_FOUND] = "404 Not Found",
	[METHOD_NOT_ALLOWED] = "405 Method Not Allowed",
	[LINE_TOO_LONG] = "414 URI Too Long",
	[HEAD_TOO_LARGE] = "431 Request Header Fields Too Large",
};

static const struct {
	const char *ending, *type;
} types[] = {
	{ ".html", "text/html; charset=utf-8" },
	{ ".txt", "text/plain; charset=utf-8" },
	{ ".css", "text/css" },
	{ ".js", "text/javascript" },
	{ ".png", "image/png" },
};

static bool has_share;

void http_init(void)
{
	has_share = p9_mount();
	put_text(has_share ? "Serving the shared directory.\n" : "Serving one page.\n");
}

void http_begin(struct http_exchange *ret, uint32_t number, uint32_t client)
{
	memset(ret, 0, sizeof *ret);
	ret->file = number;
	ret->client = client;
}

void http_end(struct http_exchange *exchange)
{
	if (exchange->has_file)
		p9_close(exchange->file);
	exchange->has_file = false;
}

// The answer

static const char *type_of(const char *path)
{
	for (unsigned i = 0; i < sizeof types / sizeof *types; i++)
		if (ends_with(path, types[i].ending))
			return types[i].type;
	return "application/octet-stream";
}

static void log_request(const struct http_exchange *exchange, enum status status)
{
	char text[sizeof exchange->request + 64] = "";

	address_append(text, sizeof text, exchange->client);
	text_append(text, sizeof text, " \"");
	text_append(text, sizeof text, exchange->request);
	text_append(text, sizeof text, "\" ");
	text_append(text, sizeof text, reasons[status]);
	for (char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	put_text(text);
	put_text("\n");
}

static void head_write(
	struct http_exchange *exchange, enum status status, const char *type, uint32_t length)
{
	char *text = exchange->text;

	text_append(text, sizeof exchange->text, "HTTP/1.1 ");
	text_append(text, sizeof exchange->text, reasons[status]);
	text_append(text, sizeof exchange->text, "\r\nServer: virtgate-web\r\nContent-Type: ");
	text_append(text, sizeof exchange->text, type);
	text_append(text, sizeof exchange->text, "\r\nContent-Length: ");
	text_append_number(text, sizeof exchange->text, length);
	if (status == METHOD_NOT_ALLOWED)
		text_append(text, sizeof exchange->text, "\r\nAllow: GET, HEAD");
	text_append(text, sizeof exchange->text, "\r\nConnection: close\r\n\r\n");
	log_request(exchange, status);
}

static void answer_page(struct http_exchange *exchange, enum status status, bool only_head)
{
	char page[200] = "<!doctype html><title>virtgate</title>\n<h1>";

	text_append(page, sizeof page, status == OK ? "Hello from a guest" : reasons[status]);
	text_append(page, sizeof page, "</h1>\n<p>This is virtgate's web guest at ");
	address_append(page, sizeof page, net_address);
	text_append(page, sizeof page, ".\n");
	head_write(exchange, status, types[0].type, strlen(page));
	if (!only_head)
		text_append(exchange->text, sizeof exchange->text, page);
	exchange->text_length = exchange->length = strlen(exchange->text);
}

static void answer_file(struct http_exchange *exchange, const char *path, bool only_head)
{
	uint64_t size;

	if (!p9_open(exchange->file, path, &size)) {
		answer_page(exchange, NOT_FOUND, only_head);
		return;
	}
	exchange->has_file = true;
	if (size > FILE_MAX) {
		http_end(exchange);
		answer_page(exchange, NOT_FOUND, only_head);
		return;
	}
	head_write(exchange, OK, type_of(path), (uint32_t)size);
	exchange->text_length = exchange->length = strlen(exchange->text);
	if (only_head)
		http_end(exchange);
	else
		exchange->length += (uint32_t)size;
}

bool http_read(const struct http_exchange *exchange, uint32_t offset, void *buffer, uint32_t size)
{
	uint32_t text =
		offset < exchange->text_length ? min(size, exchange->text_length - offset) : 0;

	if (text)
		memcpy(buffer, exchange->text + offset, text);
	if (text == size)
		return true;
	return p9_read(exchange->file, offset + text - exchange->text_length,
		(uint8_t *)buffer + text, size - text);
}

// The request

// RFC 9112, 3: "GET /path HTTP/1.1".
struct request {
	bool is_get;
	bool is_head;
	const char *target;
	uint32_t target_length;
};

static uint32_t word_length(const char *text)
{
	uint32_t length = 0;

	while (text[length] > ' ' && text[length] != 0x7f)
		length++;
	return length;
}

static enum status request_parse(const char *line, struct request *ret)
{
	uint32_t method = word_length(line);
	const char *version;

	ret->is_get = starts_with(line, "GET ");
	ret->is_head = starts_with(line, "HEAD ");
	ret->target = line + method + 1;
	if (method == 0 || line[method] != ' ')
		return BAD_REQUEST;
	ret->target_length = word_length(ret->target);
	version = ret->target + ret->target_length;
	if (ret->target[0] != '/' || !starts_with(version, " HTTP/1.") || version[8] < '0' ||
		version[8] > '9' || version[9])
		return BAD_REQUEST;
	return ret->is_get || ret->is_head ? OK : METHOD_NOT_ALLOWED;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 'a' - 'A';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The path within the share that a target means; false if no path is meant by it.
static bool path_decode(const struct request *request, char *ret, size_t size)
{
	const char *end = request->target + request->target_length;
	char *path = ret;

	for (const char *c = request->target + 1; c < end && *c != '?'; c++, path++) {
		*path = *c;
		if (*c != '%')
			continue;
		if (end - c < 3 || hex_digit(c[1]) < 0 || hex_digit(c[2]) < 0)
			return false;
		*path = (char)(hex_digit(c[1]) << 4 | hex_digit(c[2]));
		if (!*path)
			return false;
		c += 2;
	}
	*path = '\0';
	if (path == ret || path[-1] == '/')
		text_append(ret, size, "index.html");
	return true;
}

static void answer_request(struct http_exchange *exchange)
{
	char path[sizeof exchange->request + sizeof "index.html"];
	struct request request;
	enum status status = request_parse(exchange->request, &request);

	if (status == OK && has_share && !path_decode(&request, path, sizeof path))
		status = BAD_REQUEST;
	if (status == OK && has_share)
		answer_file(exchange, path, request.is_head);
	else
		answer_page(exchange, status, request.is_head);
}

// A line ends with CR LF; a single LF is taken for it too (RFC 9112, 2.2), and empty lines before
// the request are skipped. True once there is an answer.
static bool line_end(struct http_exchange *exchange)
{
	struct request request;
	uint32_t length = exchange->column - exchange->ends_in_cr;

	exchange->column = 0;
	exchange->ends_in_cr = false;
	if (exchange->has_request && length > 0)
		return false;
	if (exchange->has_request) {
		answer_request(exchange);
		return true;
	}
	if (length == 0)
		return false;
	exchange->has_request = true;
	exchange->request[length] = '\0';
	if (request_parse(exchange->request, &request) == OK)
		return false;
	answer_request(exchange);
	return true;
}

// Of a request only the first line is kept.
static bool byte_receive(struct http_exchange *exchange, char c)
{
	if (++exchange->received > REQUEST_MAX) {
		answer_page(exchange, HEAD_TOO_LARGE, false);
		return true;
	}
	if (c == '\n')
		return line_end(exchange);
	if (!exchange->has_request && exchange->column == sizeof exchange->request - 1) {
		answer_page(exchange, LINE_TOO_LONG, false);
		return true;
	}
	if (!exchange->has_request)
		exchange->request[exchange->column] = c;
	exchange->column++;
	exchange->ends_in_cr = c == '\r';
	return false;
}

bool http_receive(struct http_exchange *exchange, const uint8_t *data, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		if (byte_receive(exchange, (char)data[i]))
			return true;
	return false;
}
