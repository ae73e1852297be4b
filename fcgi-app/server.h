/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * FastCGI (specification 1.0) to nginx: a listening socket, kept-alive connections, N workers.
 *
 * The listening socket and all connections stand in one epoll set, each armed for one event;
 * every worker waits there for the next. So a connection that is kept alive holds no thread, and
 * what nginx sends is answered by whichever worker is free.
 *
 * Once per process, from the main thread.
 */
#include "api.h"

struct server;

/* Opens the socket, as listen.h says. */
int server_open(const struct config *config, struct api *api, struct server **ret, struct err *err);

/*
 * Serves until SIGTERM or SIGINT, which the caller has blocked in all threads. Then accepts no
 * more, answers what has arrived, closes what is idle, and returns: 0, or the number of requests
 * that had not finished within config->drain seconds; after that the process can only exit. A
 * listening socket that was handed over keeps its backlog, for whoever serves it next.
 */
int server_run(struct server *server);

void server_free(struct server *server); /* after server_run() returned 0 */
