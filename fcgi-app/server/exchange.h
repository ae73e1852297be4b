/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One request of a connection from nginx, by FastCGI (specification 1.0), and its answer: the door
 * to libfcgi. What is read stays valid until exchange_done().
 *
 * An exchange is used by one thread. While that one does no more than read the request, another may
 * answer it in its place.
 */
#include "api/api.h"

int exchange_init(void); /* once per process, before the first; changes what SIGPIPE does */

struct exchange;
struct exchange *exchange_new(void); /* NULL: memory */
void exchange_free(struct exchange *exchange);
DEFINE_AUTO(struct exchange *, exchange_free)

/*
 * Reads one request, its body too, from a connection that has something to read. false: the peer
 * closed it, or sent what is no request; the descriptor is closed then.
 */
bool exchange_read(struct exchange *exchange, int fd);
const struct http_req *exchange_request(const struct exchange *exchange);
const char *exchange_method(const struct exchange *exchange); /* as it was sent */
/* Why the body is not there; NULL: it is. */
const struct err *exchange_failure(const struct exchange *exchange);

/* Writes the answer. false: the connection is of no more use, and is to be closed. */
bool exchange_answer(struct exchange *exchange, const struct api_reply *reply);

/* Lets go of what was read; not of the connection. */
void exchange_done(struct exchange *exchange);
