/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The words of a command line, and the properties in a word: QEMU's lists ("pty,id=a") and JSON
 * are read into the same pairs, so that they are judged by the same table. Thread-safe: no state.
 */
#include "base/base.h"

/*
 * Takes one word off a command line, up to a space, and undoes the shell's quotes in place.
 * Returns what follows.
 */
char *argv_take_word(char *line, char **ret);

/* In their order, and twice what stands there twice. Of {"a":{"b":[1,2]}} a.b=1 and a.b=2. */
enum { PAIRS_MAX = 512 };
struct pairs {
	size_t count;
	struct pair {
		char *key, *value;
	} list[PAIRS_MAX];
};
void pairs_done(struct pairs *pairs);
#define AUTO_PAIRS __attribute__((cleanup(pairs_done)))

/* `first` is the property that a first word without '=' is the value of. False: not readable. */
bool pairs_read(struct pairs *pairs, const char *first, const char *text);
/* The first of that name; "": there is none. */
const char *pairs_find(const struct pairs *pairs, const char *key);
