/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The listening socket that nginx connects to. One thread at a time may use a listener; any thread
 * may use its descriptor.
 */
#include "base/config.h"

#include <sys/stat.h>

enum { LISTENER_USERS_MAX = 16 };

struct listener {
	int fd;           /* non-blocking; -1: closed */
	bool inherited;   /* from systemd: its backlog is for the next process that inherits it */
	bool bound;       /* we bound it to `path`, and the path is still there */
	const char *path; /* config->listen */
	struct stat stat; /* the socket file that we made: another process may have replaced it */
	uid_t users[LISTENER_USERS_MAX]; /* of config->socket_users */
	size_t user_count;
};

/*
 * Opens systemd's socket (LISTEN_FDS, sd_listen_fds(3)) if there is one, else config->listen: a
 * unix path, or host:port on the loopback interface. Replaces a unix socket that no process listens
 * on; fails if one does. On failure *ret is not touched.
 */
int listener_init(const struct config *config, struct listener *ret, struct err *err);

/*
 * Could listener_init() listen there? That another process does is no error here: it may be the
 * virtgate that the next one replaces. ERR_BAD_REQUEST.
 */
int listener_check(const struct config *config, struct err *err);

/*
 * May the process that connected speak for nginx? On a unix socket: root, this process's own user
 * and config->socket_users. *ret_user is the peer's user.
 */
bool listener_admits(const struct listener *listener, int fd, uid_t *ret_user);

/* Unlinks the path: nobody can connect any more, and another virtgate may bind it. */
void listener_unlink(struct listener *listener);

/* Unlinks the path and then closes: there is never a path that no process serves. */
void listener_done(struct listener *listener);
