/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One line per call on standard error, where a supervisor collects it:
 *	2006-01-02T15:04:05.999Z info request id=… status=200 …
 * Control characters and malformed UTF-8 become '?'. A line is written with one write(), so that
 * threads do not mix. Only main, server and request_log do; everything else returns errors.
 */
#include "base/base.h"

void log_info(const char *fmt, ...) FORMAT(1, 2);
void log_error(const char *fmt, ...) FORMAT(1, 2);
