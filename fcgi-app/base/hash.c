/* SPDX-License-Identifier: MIT */
#include "base/hash.h"

#include <nettle/base16.h>
#include <nettle/hmac.h>
#include <nettle/sha2.h>
#include <string.h>

struct hash {
	struct sha256_ctx sha;
};

static void hash_end(struct sha256_ctx *sha, char ret[static HASH_SIZE])
{
	uint8_t digest[(HASH_SIZE - 1) / 2];
	sha256_digest(sha, sizeof digest, digest);
	base16_encode_update(ret, sizeof digest, digest);
	ret[HASH_SIZE - 1] = '\0';
}

void hash_text(const char *text, size_t len, char ret[static HASH_SIZE])
{
	struct sha256_ctx sha;
	sha256_init(&sha);
	sha256_update(&sha, len, (const uint8_t *)text);
	hash_end(&sha, ret);
}

struct hash *hash_new(void)
{
	struct hash *hash = malloc(sizeof *hash);
	if (hash)
		sha256_init(&hash->sha);
	return hash;
}

void hash_add(struct hash *hash, const void *piece, size_t len)
{
	sha256_update(&hash->sha, len, piece);
}

void hash_read(struct hash *hash, char ret[static HASH_SIZE])
{
	hash_end(&hash->sha, ret);
}

void hash_free(struct hash *hash)
{
	free(hash);
}

/*
 * RFC 9562 section 5.8, of HMAC-SHA256 (RFC 2104). The NUL between the two makes "a", "bc" differ
 * from "ab", "c".
 */
void hash_secret_uuid(const unsigned char secret[static SECRET_SIZE], const char *user,
	const char *key, char ret[static UUID_SIZE])
{
	struct hmac_sha256_ctx hmac;
	uint8_t digest[16];
	hmac_sha256_set_key(&hmac, SECRET_SIZE, secret);
	hmac_sha256_update(&hmac, strlen(user) + 1, (const uint8_t *)user);
	hmac_sha256_update(&hmac, strlen(key), (const uint8_t *)key);
	hmac_sha256_digest(&hmac, sizeof digest, digest);
	uuid_format(digest, 8, ret);
}
