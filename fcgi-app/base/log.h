/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The log: each call writes one line to standard error, where a supervisor collects it:
 *	2006-01-02T15:04:05.999Z info request id=… status=200 …
 * Malformed UTF-8 and what text_is_plain() refuses become '?'. A line is at most 2048 bytes and is
 *written by one write(), so that lines of several threads do not mix. Only main, server and
 *request_log call these; all other files return errors.
 */
#include "base/base.h"

void log_info(const char *fmt, ...) FORMAT(1, 2);
void log_error(const char *fmt, ...) FORMAT(1, 2);
