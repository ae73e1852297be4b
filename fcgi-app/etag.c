/* SPDX-License-Identifier: MIT */
#include "etag.h"

#include <stdio.h>
#include <string.h>

void etag_make(const char *text, size_t len, char ret[static ETAG_SIZE])
{
	char hash[HASH_SIZE];
	hash_text(text, len, hash);
	(void)snprintf(ret, ETAG_SIZE, "\"%s\"", hash);
}

bool etag_is_listed(const char *list, const char *etag)
{
	size_t n = strlen(etag);
	for (const char *s = list; *s;) {
		s += strspn(s, ", \t");
		if (s[0] == '*' && !s[1 + strspn(s + 1, ", \t")])
			return true;
		s += strncmp(s, "W/", 2) ? 0 : 2;
		size_t len = s[0] == '"' ? strcspn(s + 1, "\"") + 2 : strcspn(s, ",");
		if (len == n && !strncmp(s, etag, n))
			return true;
		s += strnlen(s, len);
	}
	return false;
}
