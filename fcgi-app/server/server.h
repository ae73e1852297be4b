/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The threads that answer requests, and who watches over them.
 *
 * A thread that is stuck in libvirt cannot be ended, but its request can be answered: past its
 * row's deadline the watchdog, which is the main thread, answers 504 in the worker's place and
 * starts another. When the stuck one comes back its late answer is thrown away, and it goes on as a
 * worker if one is missing, or ends. As many as there are workers may be stuck; after that no more
 * are started.
 *
 * Once per process, from the main thread.
 */
#include "api/api.h"

struct server;

/* Opens the socket, as listen.h says. */
int server_open(const struct config *config, struct api *api, struct server **ret, struct err *err);

/*
 * Serves until SIGTERM or SIGINT, which the caller has blocked in all threads; with a socket that
 * was handed over, until what had come by then is answered, at most half of config->drain. Then
 * accepts no more, answers what has arrived, closes what is idle, and returns: 0, or the number of
 * requests that had not been answered within config->drain seconds. When there are such, or threads
 * that are stuck, these may use anything, and the process can only exit.
 */
int server_run(struct server *server, int *ret_stuck);

void server_free(struct server *server); /* no thread is left */
