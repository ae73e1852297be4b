/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Entity tags (RFC 9110 section 8.8.3): a hash of a text, which names its state. Thread-safe: no
 * state.
 */
#include "hash.h"

/* With its quotes. */
enum { ETAG_SIZE = HASH_SIZE + 2 };
void etag_make(const char *text, size_t len, char ret[static ETAG_SIZE]);

/*
 * Does a list of entity tags, or "*", name this one? "W/" in front of one is passed over: the tag
 * is of what is said and not of its bytes, and a proxy that compresses weakens tags on their way.
 */
bool etag_is_listed(const char *list, const char *etag);
