/* SPDX-License-Identifier: MIT */
#pragma once
/* What the fuzzers share: libFuzzer's interface, and how to say that something must not be. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void insist(bool good, const char *fmt, ...) FORMAT(2, 3);
static inline void insist(bool good, const char *fmt, ...)
{
	va_list args;
	if (good)
		return;
	va_start(args, fmt);
	(void)fprintf(stderr, "VIOLATION: ");
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fprintf(stderr, "\n");
	abort();
}

/* The input as a text that ends where a read beyond it is noticed; the caller frees. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	insist(text, "memory");
	return text;
}
