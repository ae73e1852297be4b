/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include <string.h>

/* The length of the character at s; 0: it is malformed or a NUL. */
static inline size_t utf8_length(const unsigned char *s, size_t n)
{
	if (s[0] < 0x80)
		return s[0] ? 1 : 0;
	size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
	bool surrogate = s[0] == 0xed && s[1] > 0x9f;
	bool too_high = s[0] == 0xf4 && s[1] > 0x8f;
	return overlong || surrogate || too_high ? 0 : len;
}

bool text_is_utf8(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	const unsigned char *end = p + n;
	while (p < end) {
		size_t len = *p && *p < 0x80 ? 1 : utf8_length(p, (size_t)(end - p));
		if (!len)
			return false;
		p += len;
	}
	return true;
}

bool text_is_name(const char *s)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._+-";
	size_t n = strspn(s, allowed);
	return n >= 1 && n <= 63 && !s[n] && !strchr("._+-", s[0]);
}

bool text_is_xml(const char *s)
{
	for (; *s; s++)
		if (((unsigned char)*s < 0x20 && !strchr("\t\n\r", *s)) ||
			!strncmp(s, "\xef\xbf\xbe", 3) || !strncmp(s, "\xef\xbf\xbf", 3))
			return false;
	return true;
}

bool text_is_glob(const char *pattern, const char *s)
{
	const char *star = NULL; /* the last * in the pattern, and the end of what it matches */
	const char *given = NULL;
	while (*s) {
		if (*pattern == '*') {
			star = pattern++;
			given = s;
		} else if (*pattern == '?' || *pattern == *s) {
			pattern++;
			s++;
		} else if (star) {
			pattern = star + 1;
			s = ++given;
		} else {
			return false;
		}
	}
	return !pattern[strspn(pattern, "*")];
}

bool text_is_word(const char *words, char separator, const char *s)
{
	const char stop[] = { separator, '\0' };
	size_t n = strlen(s);
	for (const char *w = words; *w; w += strcspn(w, stop), w += *w == separator)
		if (strcspn(w, stop) == n && !strncmp(w, s, n))
			return true;
	return false;
}

void text_mask_malformed(char *s)
{
	size_t left = strlen(s);
	while (left) {
		const unsigned char *c = (const unsigned char *)s;
		size_t len = *c < 0x80 ? 1 : utf8_length(c, left);
		if (!len) {
			*s = '?';
			len = 1;
		}
		s += len;
		left -= len;
	}
}

void text_mask_controls(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}
