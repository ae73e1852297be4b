/* SPDX-License-Identifier: MIT */
#pragma once
/* The line that each request has in the log. From any thread. */
#include "exchange.h"

void request_log(
	const struct exchange *exchange, const struct api_reply *reply, int64_t microseconds);
