/* SPDX-License-Identifier: MIT */
#include "hash.h"

#include <nettle/base16.h>
#include <nettle/sha2.h>

void hash_text(const char *text, size_t len, char ret[static HASH_SIZE])
{
	struct sha256_ctx sha;
	uint8_t digest[(HASH_SIZE - 1) / 2];
	sha256_init(&sha);
	sha256_update(&sha, len, (const uint8_t *)text);
	sha256_digest(&sha, sizeof digest, digest);
	base16_encode_update(ret, sizeof digest, digest);
	ret[HASH_SIZE - 1] = '\0';
}
