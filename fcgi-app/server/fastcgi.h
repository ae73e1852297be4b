/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Collects FastCGI requests (specification 1.0) before libfcgi parses them. libfcgi waits for the
 * rest of a request, trusts the lengths in it, and ends the process by an assertion if memory for
 * them runs out.
 *
 * Accepted is what nginx sends: one request at a time on a connection, in the records
 * BEGIN_REQUEST, PARAMS and STDIN of one id, in this order. The specification also allows
 * management records, ABORT_REQUEST and a second request before the reply; nginx sends none of
 * these, and they break the connection.
 *
 * One thread at a time uses a request.
 */
#include "base/base.h"

/* Limits of a request. nginx sends all parameters in one record, and bodies of at most 2 MiB. */
enum { FASTCGI_PARAMS_MAX = 65535, FASTCGI_BYTES_MAX = 16 * 1024 * 1024 };

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

/*
 * The beginning of a whole request, up to the end of its parameters, as records that libfcgi can
 * parse safely: each name and value lies within the record and has no NUL. Valid, like the body,
 * until fastcgi_reset().
 */
const void *fastcgi_head(const struct fastcgi *request, size_t *ret_len);
const char *fastcgi_body(const struct fastcgi *request); /* ends in a NUL */
size_t fastcgi_body_len(const struct fastcgi *request);  /* above body_max: it is not kept */
bool fastcgi_keeps(const struct fastcgi *request); /* may the connection bring another request? */

/* For the next request. Keeps a little memory. */
void fastcgi_reset(struct fastcgi *request);
