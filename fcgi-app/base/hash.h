/* SPDX-License-Identifier: MIT */
#pragma once
/* Hashes; the only door to nettle. May be called from any thread; a struct hash is used by one. */
#include "base/base.h"
#include "base/secret.h"
#include "base/uuid.h"

/* The first 128 bits of SHA-256 (RFC 6234), in hexadecimal: nobody finds two texts with one hash.
 */
enum { HASH_SIZE = 33 };
void hash_text(const char *text, size_t len, char ret[static HASH_SIZE]);

/* The same hash of a text in pieces. hash_read() begins a new text. */
struct hash;
struct hash *hash_new(void); /* NULL: out of memory */
void hash_add(struct hash *hash, const void *piece, size_t len);
void hash_read(struct hash *hash, char ret[static HASH_SIZE]);
void hash_free(struct hash *hash);
DEFINE_AUTO(struct hash *, hash_free)

/*
 * The UUID (RFC 9562 version 8) for what a user requests with an Idempotency-Key. It is the same in
 * all processes with this secret, differs between users and between keys, and nobody without the
 * secret can tell it beforehand.
 */
void hash_secret_uuid(const unsigned char secret[static SECRET_SIZE], const char *user,
	const char *key, char ret[static UUID_SIZE]);
