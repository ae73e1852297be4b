/* SPDX-License-Identifier: MIT */
#pragma once
/* The only door to nettle. Thread-safe: no state. */
#include "base.h"

/* The first half of SHA-256 (RFC 6234) in hexadecimal: who finds two texts of one hash has earned
 * it. */
enum { HASH_SIZE = 33 };
void hash_text(const char *text, size_t len, char ret[static HASH_SIZE]);
