/* SPDX-License-Identifier: MIT */
#pragma once
/* What the log says of requests. From any thread. */
#include "server/exchange.h"

/* The line that each request has. */
void request_log(
	const struct exchange *exchange, const struct api_reply *reply, int64_t microseconds);

/* Of one that has been answered 504 meanwhile: how it ended. */
void request_log_late(
	const struct exchange *exchange, const struct api_reply *reply, int64_t microseconds);
