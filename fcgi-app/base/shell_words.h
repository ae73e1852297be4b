/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A command line split into words as a shell splits it (POSIX.1-2017, Shell Command Language,
 * section 2.2): quotes, backslashes, continued lines, comments. What needs a shell (variables,
 * substitutions, operators) is refused with its place. Thread-safe: no state.
 */
#include "base/err.h"

enum { SHELL_WORDS_BYTES_MAX = 64 * 1024, SHELL_WORDS_MAX = 512 };

struct shell_words {
	char *memory; /* of all words */
	const char *word[SHELL_WORDS_MAX];
	size_t count;
};

/* ERR_INVALID_SPEC, ERR_BODY_TOO_LARGE. On failure there is nothing to free. */
int shell_words_split(const char *text, size_t len, struct shell_words *ret, struct err *err);
void shell_words_done(struct shell_words *words);
