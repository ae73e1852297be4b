/* SPDX-License-Identifier: MIT */
#include "format/etag.h"

#include <stdio.h>
#include <string.h>

void etag_make(const char *text, size_t len, char ret[static ETAG_SIZE])
{
	char hash[HASH_SIZE];
	hash_text(text, len, hash);
	(void)snprintf(ret, ETAG_SIZE, "\"%s\"", hash);
}

void etag_make_versioned(
	const char *version, const char *text, size_t len, char ret[static ETAG_SIZE])
{
	char hash[HASH_SIZE];
	hash_text(text, len, hash);
	(void)snprintf(ret, ETAG_SIZE, "\"%s.%s\"", version, hash);
}

/* Is the tag the wanted one; or, with `version`, does it begin with the wanted version? */
static bool tag_matches(const char *tag, size_t len, const char *wanted, bool version)
{
	size_t n = strlen(wanted);
	if (version)
		return len > n + 1 && tag[0] == '"' && !strncmp(tag + 1, wanted, n) &&
			tag[n + 1] == '.';
	return len == n && !strncmp(tag, wanted, n);
}

static bool list_matches(const char *list, const char *wanted, bool version)
{
	for (const char *s = list; *s;) {
		s += strspn(s, ", \t");
		if (s[0] == '*' && !s[1 + strspn(s + 1, ", \t")])
			return true;
		s += strncmp(s, "W/", 2) ? 0 : 2;
		size_t len = s[0] == '"' ? strcspn(s + 1, "\"") + 2 : strcspn(s, ",");
		if (tag_matches(s, len, wanted, version))
			return true;
		s += strnlen(s, len);
	}
	return false;
}

bool etag_is_listed(const char *list, const char *etag)
{
	return list_matches(list, etag, false);
}

bool etag_is_version_listed(const char *list, const char *version)
{
	return list_matches(list, version, true);
}
