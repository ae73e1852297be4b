/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Intake: the listening socket and the connections from nginx, each used by one thread at a time.
 *
 * All sockets are in one epoll set, each armed for one event, so that an idle connection holds no
 * thread and any free worker can take the next request. Only a few workers poll the set; the other
 * idle ones are parked. Short requests are thus answered one after the other without a thread going
 * to sleep in between. When no worker is idle, one more thread, the overload thread, polls in their
 * place: it queues the connections that have a request. Workers take from that queue as they become
 * free, and the overload thread answers what no worker takes in time.
 *
 * All functions may be called from any thread.
 */
#include "base/config.h"
#include "server/fastcgi.h"

#include <stdatomic.h>

/* How long a request waits for a worker before the overload thread answers it, in milliseconds. */
enum { INTAKE_PATIENCE_MS = 30 };

struct intake;
struct connection;
struct later;

/* Opens the listening socket, as listener.h says. *config is used until intake_free(). */
int intake_new(const struct config *config, struct intake **ret, struct err *err);
void intake_free(struct intake *intake); /* closes all connections; no thread may be in it */

/*
 * For workers: waits for a connection that has something to read. The caller owns it until
 * intake_give(). NULL: after intake_drain(), when the last connection is closed.
 */
struct connection *intake_take(struct intake *intake);

/*
 * For the overload thread: waits until a request has waited too long, or the queue is too long, and
 * takes that connection. NULL: as above.
 */
struct connection *intake_take_overdue(struct intake *intake);

int intake_fd(const struct connection *connection);
/* What the connection has brought of its next request; NULL: nothing. Owned by the connection. */
struct fastcgi **intake_partial(struct connection *connection);

/* For a worker that is about to wait for something other than nginx: another polls in its place. */
void intake_block(struct intake *intake);

/* What becomes of a connection after a request. */
enum intake_end {
	INTAKE_KEPT,    /* it waits for its next request */
	INTAKE_PARTIAL, /* it waits for the rest of its next request */
	INTAKE_CLOSE,
};
void intake_give(struct intake *intake, struct connection *connection, enum intake_end end);

/*
 * Ends the connections that have had a part of a request for that long: nginx sends a request at
 * once and whole. To be called every few seconds.
 */
enum { INTAKE_STALL_MS = 10000 };
void intake_end_stalled(struct intake *intake, int stall_ms);

/*
 * Hands a connection that somebody has taken to any worker, which gets it from intake_take() and
 * `later` with it; it is NULL if the connection brings a request.
 */
void intake_resume(struct intake *intake, struct connection *connection, struct later *later);
struct later *intake_later(struct connection *connection); /* NULL from now on */

/* How many connections are owned by a thread or queued. */
int intake_taken_count(struct intake *intake);

/*
 * Was the listening socket inherited, from systemd? Then its backlog is kept in intake_drain(): the
 * next process that inherits it accepts from it.
 */
bool intake_is_inherited(const struct intake *intake);

/*
 * Accepts what has connected already, and no more after that. Closes idle connections, and the
 * others as they are given back. A connection that was never used, or has brought a part of a
 * request, is closed only by a second call: its request is on its way.
 */
void intake_drain(struct intake *intake);
