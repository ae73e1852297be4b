/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The server: worker threads that answer requests, the overload thread, the watchdog.
 *
 * A thread that hangs in libvirt cannot be ended, but its request can be answered. The watchdog,
 * which is the main thread, answers 504 for a worker that is past its request's deadline, and
 * starts another worker. When the stuck worker returns, its late reply is logged and dropped; it
 * serves again if a worker is missing, and ends otherwise. At most config->workers threads are
 * replaced while they are stuck.
 *
 * The overload thread answers when all workers are busy: 503, or the reply itself where the
 * route is `instant`.
 *
 * One server per process. All functions are for the main thread.
 */
#include "api/api.h"

struct server;

/* Opens the socket, as listener.h says. *config and *api are used until server_free(). */
int server_new(const struct config *config, struct api *api, struct server **ret, struct err *err);
void server_free(struct server *server); /* after server_run() has returned 0 with none stuck */

/*
 * Starts the threads and returns when all workers wait for requests. The requests that arrived
 * since server_new() are answered then. On failure no thread is left.
 */
int server_start(struct server *server, struct err *err);

/*
 * After server_start(): serves until SIGTERM or SIGINT, which the caller has blocked in all
 * threads, and then drains: it accepts no more, answers the requests that have arrived, closes idle
 * connections and returns, after config->drain seconds at most. With a socket from
 * systemd it first keeps accepting until the requests that ran at the signal are answered, for half
 * of config->drain at most.
 *
 * Returns the number of requests that are unanswered then. *ret_stuck is the number of answered
 * requests whose thread is still stuck. If either is not 0, threads are still running and may use
 * anything: the process can only exit.
 */
int server_run(struct server *server, int *ret_stuck);
