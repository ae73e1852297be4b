/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * FastCGI (specification 1.0) as nginx speaks it: one request at a time on a connection, in the
 * records BEGIN_REQUEST, PARAMS and STDIN of one id, in this order. Whatever else the specification
 * allows, such as management records, ABORT_REQUEST or a second request before the reply, nginx
 * does not send, and it breaks the connection.
 *
 * One thread at a time uses a request or a writer.
 */
#include "base/base.h"

/* Limits of a request. nginx sends all parameters in one record, and bodies of at most 2 MiB. */
enum { FASTCGI_PARAMS_MAX = 64 * 1024, FASTCGI_BYTES_MAX = 16 * 1024 * 1024 };

/* What has arrived of a request. It never waits: a slow peer holds memory, but no thread. */
struct fastcgi;
struct fastcgi *fastcgi_new(size_t body_max); /* NULL: out of memory */
void fastcgi_free(struct fastcgi *request);
DEFINE_AUTO(struct fastcgi *, fastcgi_free)

enum fastcgi_step {
	FASTCGI_WHOLE,   /* all of it has arrived */
	FASTCGI_PARTIAL, /* more has to arrive first */
	FASTCGI_BROKEN,  /* the peer closed, or sent what it may not: close the connection */
};
/* Reads what the socket has. Also FASTCGI_BROKEN if memory runs out. */
enum fastcgi_step fastcgi_receive(struct fastcgi *request, int fd);

/* Of a whole request; valid until fastcgi_reset(). */
const char *fastcgi_param(const struct fastcgi *request, const char *name); /* NULL: none */
const char *fastcgi_body(const struct fastcgi *request);                    /* ends in a NUL */
size_t fastcgi_body_len(const struct fastcgi *request); /* more than body_max: it is not kept */
bool fastcgi_keeps(const struct fastcgi *request); /* may the connection bring another request? */
unsigned fastcgi_id(const struct fastcgi *request);

/* For the next request. Keeps a little memory. */
void fastcgi_reset(struct fastcgi *request);

/* The reply: STDOUT records. Blocks for as long as the socket's send timeout. */
enum { FASTCGI_BUFFER = 8192 };
struct fastcgi_writer {
	int fd;
	unsigned id;
	bool failed; /* nothing more is written */
	size_t len;
	char buffer[FASTCGI_BUFFER];
};
void fastcgi_write(struct fastcgi_writer *writer, const void *bytes, size_t len);
bool fastcgi_flush(struct fastcgi_writer *writer); /* false: the peer has gone */
bool fastcgi_end(struct fastcgi_writer *writer);   /* the same, and ends the reply */
