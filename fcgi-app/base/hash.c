/* SPDX-License-Identifier: MIT */
#include "base/hash.h"

#include <nettle/base16.h>
#include <nettle/sha1.h>
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

/* RFC 9562 section 5.5. The NUL between the two makes "a", "bc" differ from "ab", "c". */
void hash_uuid5(const char *user, const char *key, char ret[static UUID_SIZE])
{
	/* 82df7a56-3c1e-4d0b-9a53-b4a0f8f5b0c7 */
	static const uint8_t namespace[] = { 0x82, 0xdf, 0x7a, 0x56, 0x3c, 0x1e, 0x4d, 0x0b, 0x9a,
		0x53, 0xb4, 0xa0, 0xf8, 0xf5, 0xb0, 0xc7 };
	struct sha1_ctx sha;
	uint8_t digest[sizeof namespace];
	sha1_init(&sha);
	sha1_update(&sha, sizeof namespace, namespace);
	sha1_update(&sha, strlen(user) + 1, (const uint8_t *)user);
	sha1_update(&sha, strlen(key), (const uint8_t *)key);
	sha1_digest(&sha, sizeof digest, digest);
	uuid_format(digest, 5, ret);
}
