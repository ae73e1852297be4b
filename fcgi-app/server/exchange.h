/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * An exchange: one request from nginx by FastCGI, and its reply. The door to libfcgi, which parses
 * the parameters and writes the reply; fastcgi.h collects the request before. What was read stays
 * valid until exchange_done().
 *
 * One thread at a time uses an exchange, with one exception: while the thread that has it only
 * reads the request, another thread may call exchange_answer().
 */
#include "api/api.h"
#include "server/fastcgi.h"

/* Once per process, before the first exchange. Replaces the handler of SIGPIPE. -1: out of memory.
 */
int exchange_init(void);

struct exchange;
struct exchange *exchange_new(void); /* NULL: out of memory */
void exchange_free(struct exchange *exchange);
DEFINE_AUTO(struct exchange *, exchange_free)

/*
 * Reads what a connection has of its next request, without waiting. FASTCGI_PARTIAL: *partial has
 * what arrived, for the next call with this connection; it is NULL otherwise. Only after
 * FASTCGI_WHOLE is there a request, up to exchange_done().
 */
enum fastcgi_step exchange_read(struct exchange *exchange, int fd, struct fastcgi **partial);
const struct http_req *exchange_request(const struct exchange *exchange);
const char *exchange_method(const struct exchange *exchange); /* as nginx sent it */
/* Why the body cannot be used; NULL: it can. */
const struct err *exchange_failure(const struct exchange *exchange);

/* What becomes of the connection. */
enum exchange_end {
	EXCHANGE_KEPT,     /* the reply is written; the connection may bring the next request */
	EXCHANGE_BROKEN,   /* the connection is to be closed */
	EXCHANGE_STREAMED, /* only the headers are written: the stream writes the rest */
};
enum exchange_end exchange_answer(struct exchange *exchange, const struct api_reply *reply);

/*
 * For streams: sends a piece of the body to nginx, and the body's end. exchange_write() blocks for
 * as long as intake's send timeout. false: the connection is to be closed.
 */
bool exchange_write(struct exchange *exchange, const void *bytes, size_t len);
bool exchange_end(struct exchange *exchange);

/* Frees what was read. The connection stays open. */
void exchange_done(struct exchange *exchange);
