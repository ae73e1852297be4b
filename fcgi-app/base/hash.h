/* SPDX-License-Identifier: MIT */
#pragma once
/* The only door to nettle. Thread-safe: no state. */
#include "base/base.h"
#include "base/uuid.h"

/* The first half of SHA-256 (RFC 6234) in hexadecimal: who finds two texts of one hash has earned
 * it. */
enum { HASH_SIZE = 33 };
void hash_text(const char *text, size_t len, char ret[static HASH_SIZE]);

/* The same, piece by piece; hash_read() begins anew. */
struct hash;
struct hash *hash_new(void); /* NULL: memory */
void hash_add(struct hash *hash, const void *piece, size_t len);
void hash_read(struct hash *hash, char ret[static HASH_SIZE]);
void hash_free(struct hash *hash);
DEFINE_AUTO(struct hash *, hash_free)

/*
 * The UUID (RFC 9562 version 5) of what a user asked for under an Idempotency-Key, in a namespace
 * of our own: the same on every host and for all time, and another for every user.
 */
void hash_uuid5(const char *user, const char *key, char ret[static UUID_SIZE]);
