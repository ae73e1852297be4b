/* SPDX-License-Identifier: MIT */
#pragma once
/* Log lines about requests. May be called from any thread. */
#include "server/exchange.h"

/* The line of every request: "request id=… method=… status=… ms=…", and the error if it failed. */
void request_log(
	const struct exchange *exchange, const struct api_reply *reply, int64_t microseconds);

/* A second line, for a request that the watchdog answered: how it ended after that. */
void request_log_late(
	const struct exchange *exchange, const struct api_reply *reply, int64_t microseconds);
