/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The listening socket and the connections from nginx, each for one thread at a time.
 *
 * All stand in one epoll set, each armed for one event, so that a connection that is kept alive
 * holds no thread, and what nginx sends is answered by whichever worker is free. Few of these wait
 * in the set: they answer one short request after the other without going to sleep in between. The
 * rest are parked, and called when the last of the few is about to wait for something else. When no
 * worker is free, the receptionist (one thread) lines up what has something to read: workers go on
 * with the line as they come free, and what none of them takes in time is the receptionist's, who
 * answers at once.
 *
 * All functions may be called from any thread.
 */
#include "base/config.h"

#include <stdatomic.h>

/* In milliseconds: how long a request waits for a worker. */
enum { INTAKE_PATIENCE_MS = 30 };

struct intake;
struct connection;

/* Opens the socket, as listen.h says. */
int intake_open(const struct config *config, struct intake **ret, struct err *err);
void intake_free(struct intake *intake); /* closes connections, too; no thread is in it */

/*
 * Waits for a connection that has something to read; it is the caller's until given back. NULL:
 * there will be none any more.
 */
struct connection *intake_take(struct intake *intake);
/* The same for the receptionist: one that had to wait too long, or of which too many wait. */
struct connection *intake_take_late(struct intake *intake);
int intake_fd(const struct connection *connection);
/* A worker is about to wait for something else than nginx: another takes its place. */
void intake_leave(struct intake *intake);
/* Gives it back to wait for its next request; or closes it; or it is closed already. */
enum intake_end { INTAKE_KEPT, INTAKE_CLOSE, INTAKE_CLOSED };
void intake_give(struct intake *intake, struct connection *connection, enum intake_end end);
int intake_taken(struct intake *intake); /* how many are somebody's, or stand in line */

/* Does somebody else hold the socket, for whoever serves it next? */
bool intake_is_handed_over(const struct intake *intake);

/*
 * Accepts no more but what waits already, closes what is idle, and the rest when it is given back;
 * but connections that have not been used yet only at the second call, for nginx never opens one
 * without a request to send. A listening socket that was handed over keeps its backlog, for whoever
 * serves it next.
 */
void intake_drain(struct intake *intake);
