/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Replies that go on after their worker: a stream gets the exchange and the connection, writes the
 * body from a thread of its own, and gives the connection back. May be called from any thread.
 *
 * A stream counts as a taken connection: intake_drain() waits for its end.
 */
#include "server/exchange.h"
#include "server/intake.h"

/*
 * After exchange_answer() returned EXCHANGE_STREAMED: starts the reply's stream, which owns
 * *exchange and the connection from now on. *exchange becomes a new one. Without memory for that,
 * the connection is closed instead, and the stream stays the reply's.
 */
void stream_start(struct api_reply *reply, struct exchange **exchange, struct intake *intake,
	struct connection *connection);
