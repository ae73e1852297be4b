/* SPDX-License-Identifier: MIT */
#pragma once
/* cmocka, an assertion that says which row of a table failed, and waiting for an event. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define CHECK(condition, ...) \
	do { \
		if (!(condition)) { \
			print_error("failed: %s: ", #condition); \
			print_error(__VA_ARGS__); \
			print_error("\n"); \
			fail(); \
		} \
	} while (0)

/* Waits until the condition is true. Only a failure takes as long as the time limit. */
#define AWAIT(condition) \
	do { \
		const struct timespec pause_ = { .tv_nsec = 2000000 }; \
		int64_t deadline_ = clock_ms() + 20000; \
		while (!(condition)) { \
			CHECK(clock_ms() < deadline_, "still false after 20 s"); \
			(void)nanosleep(&pause_, NULL); \
		} \
	} while (0)
