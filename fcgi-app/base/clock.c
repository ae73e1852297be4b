/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <stdio.h>

int64_t clock_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_us(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct timespec clock_after_ms(int64_t ms)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	int64_t ns = t.tv_nsec + ms % 1000 * 1000000;
	t.tv_sec += ms / 1000 + ns / 1000000000;
	t.tv_nsec = ns % 1000000000;
	return t;
}

void clock_rfc3339(int64_t seconds, int ms, char ret[static RFC3339_SIZE])
{
	struct tm tm;
	time_t t = (time_t)seconds;
	ret[0] = '\0';
	if (!gmtime_r(&t, &tm))
		return;
	size_t n = strftime(ret, RFC3339_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	if (ms >= 0)
		(void)snprintf(ret + n, RFC3339_SIZE - n, ".%03dZ", ms % 1000);
	else
		(void)snprintf(ret + n, RFC3339_SIZE - n, "Z");
}
