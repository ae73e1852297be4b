/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Requests whose reply has to be waited for (API_REPLY_LATER). Such a request keeps its exchange
 * and its connection, and no thread. When the wait is over, the connection is handed to a worker by
 * intake_resume(), and the worker makes the reply.
 *
 * A waiting request counts as a taken connection: intake_drain() waits for its end.
 */
#include "server/exchange.h"
#include "server/intake.h"

struct later {
	struct api_waiter waiter; /* the first member: the reply knows the request by it */
	struct api_later *reply;
	struct api_call call;
	struct exchange *exchange;
	struct intake *intake;
	struct connection *connection;
	int64_t began_at; /* clock_us() */
};

/*
 * Begins the wait for the reply, which owns the call, *exchange and the connection from now on: the
 * call becomes an empty one, *exchange a new one. false: there is no memory for that, and the reply
 * became an error.
 */
bool later_start(struct api_reply *reply, struct api_call *call, struct exchange **exchange,
	struct intake *intake, struct connection *connection, int64_t began_at);

/* The end of a request that was answered; its exchange and connection are the caller's. */
void later_done(struct later *later);
