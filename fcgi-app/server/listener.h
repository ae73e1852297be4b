/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The socket that nginx connects to. No state of its own; a listener is used by one thread at a
 * time, but for its descriptor.
 */
#include "base/config.h"

#include <sys/stat.h>

struct listener {
	int fd;           /* that does not block; -1: there is none */
	bool inherited;   /* its backlog is for whoever serves it next */
	bool bound;       /* by us, to a path */
	const char *path; /* the setting's */
	struct stat stat; /* of what is there then: another may take our place */
};

/*
 * Opens systemd's socket (LISTEN_FDS, sd_listen_fds(3)) if there is one, else config->listen, a
 * unix path or host:port on the loopback. A stale unix socket is replaced, one that somebody serves
 * is not.
 */
int listener_open(const struct config *config, struct listener *ret, struct err *err);

/* Takes the path away: nobody can connect any more, and another virtgate may put its own there. */
void listener_unlink(struct listener *listener);

/* The path first, so that there never is one that nobody serves. Not twice. */
void listener_close(struct listener *listener);
