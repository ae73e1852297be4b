/* SPDX-License-Identifier: MIT */
#pragma once
/* UUIDs (RFC 9562). No state: every function may be called from any thread. */
#include <stdbool.h>

/* Bytes of a UUID as text: section 4's 36 characters and the terminator. */
enum { UUID_SIZE = 37 };

/* Is it the text of a UUID, in upper or lower case? */
bool uuid_is(const char *s);

/* Writes the bytes as text in lower case. Without printf(), whose cost shows in long VM lists. */
void uuid_text(const unsigned char bytes[static 16], char ret[static UUID_SIZE]);

/* Like uuid_text(), but first sets the bits for this version and the variant (section 4). */
void uuid_format(const unsigned char bytes[static 16], int version, char ret[static UUID_SIZE]);

/* Writes a random UUID (version 4). */
void uuid_make(char ret[static UUID_SIZE]);
