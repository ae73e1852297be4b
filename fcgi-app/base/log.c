/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include "base/clock.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Longer lines are cut. Up to PIPE_BUF (4096), a write() to a pipe is not mixed with others. */
enum { LINE_MAX_BYTES = 2048 };

FORMAT(2, 0)
static void log_line(const char *level, const char *fmt, va_list args)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	char when[RFC3339_SIZE];
	clock_rfc3339(now.tv_sec, (int)(now.tv_nsec / 1000000), when);

	char line[LINE_MAX_BYTES + 1];
	int head = snprintf(line, LINE_MAX_BYTES, "%s %s ", when, level);
	(void)vsnprintf(line + head, LINE_MAX_BYTES - (size_t)head, fmt, args);
	text_mask_controls(line);
	text_mask_malformed(line);
	size_t n = strlen(line);
	line[n++] = '\n';
	ssize_t written = write(STDERR_FILENO, line, n);
	(void)written; /* an error could not be logged either */
}

#define DEFINE_LOG(name, level) \
	void name(const char *fmt, ...) \
	{ \
		va_list args; \
		va_start(args, fmt); \
		log_line(level, fmt, args); \
		va_end(args); \
	}
DEFINE_LOG(log_info, "info")
DEFINE_LOG(log_error, "error")
