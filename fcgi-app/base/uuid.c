/* SPDX-License-Identifier: MIT */
#include "base/uuid.h"

#include <ctype.h>
#include <string.h>
#include <sys/random.h>

bool uuid_is(const char *s)
{
	size_t n = 0;
	for (; n < UUID_SIZE && s[n]; n++) {
		bool dash = n == 8 || n == 13 || n == 18 || n == 23;
		if (dash ? s[n] != '-' : !isxdigit((unsigned char)s[n]))
			return false;
	}
	return n == UUID_SIZE - 1;
}

void uuid_text(const unsigned char bytes[static 16], char ret[static UUID_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	char *to = ret;
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*to++ = '-';
		*to++ = digits[bytes[i] >> 4];
		*to++ = digits[bytes[i] & 0xf];
	}
	*to = '\0';
}

void uuid_format(const unsigned char bytes[static 16], int version, char ret[static UUID_SIZE])
{
	unsigned char b[16];
	memcpy(b, bytes, sizeof b);
	b[6] = (unsigned char)((b[6] & 0x0f) | version << 4);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	uuid_text(b, ret);
}

void uuid_make(char ret[static UUID_SIZE])
{
	unsigned char b[16];
	while (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b)
		;
	uuid_format(b, 4, ret);
}
