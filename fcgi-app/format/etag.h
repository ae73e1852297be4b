/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Entity tags (RFC 9110 section 8.8.3): a hash of a text, which names its state. Thread-safe: no
 * state.
 */
#include "base/hash.h"

/* With its quotes, and a version. */
enum { ETAG_SIZE = 2 * HASH_SIZE + 2 };
void etag_make(const char *text, size_t len, char ret[static ETAG_SIZE]);

/*
 * The same with the version of a thing in front, for texts that also tell what changes by itself:
 * whoever got an older text of the same version may still change the thing.
 */
void etag_make_versioned(
	const char *version, const char *text, size_t len, char ret[static ETAG_SIZE]);

/*
 * Does a list of entity tags, or "*", name this one? "W/" in front of one is passed over: the tag
 * is of what is said and not of its bytes, and a proxy that compresses weakens tags on their way.
 */
bool etag_is_listed(const char *list, const char *etag);

/* Does a list of entity tags, or "*", name one of this version? */
bool etag_is_version_listed(const char *list, const char *version);
