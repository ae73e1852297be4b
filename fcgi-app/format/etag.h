/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Entity tags (RFC 9110 section 8.8.3), each a hash of the text that it tags. Thread-safe: no
 * state.
 */
#include "base/hash.h"

/* Bytes of a tag with a version, its quotes and the terminator. */
enum { ETAG_SIZE = 2 * HASH_SIZE + 2 };
void etag_make(const char *text, size_t len, char ret[static ETAG_SIZE]);

/*
 * The same with a version in front, for a text that also shows what changes by itself: a client
 * that has an older text of the same version may still change the thing.
 */
void etag_make_versioned(
	const char *version, const char *text, size_t len, char ret[static ETAG_SIZE]);

/*
 * Does a list of entity tags, or "*", contain this one? "W/" before a tag is ignored: our tags name
 * a state and not bytes, and a proxy that compresses makes tags weak.
 */
bool etag_is_listed(const char *list, const char *etag);

/* Does a list of entity tags, or "*", contain one with this version? */
bool etag_is_version_listed(const char *list, const char *version);
