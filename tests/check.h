/* SPDX-License-Identifier: MIT */
#pragma once
/* cmocka, and an assertion that says which row of a table it was. */
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
