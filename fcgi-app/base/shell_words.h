/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A command line as a shell reads it (POSIX.1-2017, Shell Command Language, section 2.2): quotes,
 * backslashes, lines continued by one, comments. What only a shell could know or do (variables,
 * substitutions, operators) is refused with its place. Thread-safe: no state.
 */
#include "base/err.h"

enum { WORDS_BYTES_MAX = 64 * 1024, WORDS_MAX = 512 };

struct words {
	char *memory;
	const char *word[WORDS_MAX];
	size_t count;
};

/* ERR_INVALID_SPEC. On failure there is nothing to free. */
int words_split(const char *text, size_t len, struct words *ret, struct err *err);
void words_done(struct words *words);
