/* SPDX-License-Identifier: MIT */
#pragma once
/* Time. No state: every function may be called from any thread. */
#include <stdint.h>
#include <time.h>

/* The monotonic clock in milliseconds, and in microseconds. */
int64_t clock_ms(void);
int64_t clock_us(void);

/* Milliseconds since 1970 (UTC). */
int64_t clock_wall_ms(void);

/* The time in `ms` milliseconds as an absolute time of the monotonic clock. */
struct timespec clock_after_ms(int64_t ms);

/* Writes a time in UTC as RFC 3339 has it, with milliseconds unless ms is negative. */
enum { RFC3339_SIZE = sizeof "2006-01-02T15:04:05.999Z" };
void clock_rfc3339(int64_t seconds, int ms, char ret[static RFC3339_SIZE]);
