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

/* The code point of a well-formed character of `len` bytes. */
static unsigned long utf8_code_point(const unsigned char *s, size_t len)
{
	static const unsigned char first_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	unsigned long c = s[0] & first_bits[len];
	for (size_t i = 1; i < len; i++)
		c = c << 6 | (s[i] & 0x3f);
	return c;
}

/*
 * Unicode's controls, separators of lines, and those format characters (categories Cc, Zl, Zp, Cf)
 * that no language needs inside a word: ZWNJ and ZWJ (U+200C, U+200D) are spelling and pass.
 */
static bool is_unplain(unsigned long c)
{
	static const struct {
		unsigned long first, last;
	} ranges[] = {
		{ 0x00, 0x1f },
		{ 0x7f, 0x9f },
		{ 0xad, 0xad },
		{ 0x61c, 0x61c },
		{ 0x180e, 0x180e },
		{ 0x200b, 0x200b },
		{ 0x200e, 0x200f },
		{ 0x2028, 0x202e },
		{ 0x2060, 0x206f },
		{ 0xfeff, 0xfeff },
		{ 0xfff9, 0xfffb },
		{ 0x1d173, 0x1d17a },
		{ 0xe0000, 0xe0fff },
	};
	for (size_t i = 0; i < sizeof ranges / sizeof ranges[0] && c >= ranges[i].first; i++)
		if (c <= ranges[i].last)
			return true;
	return false;
}

/* The length of the character at s, at least 1. A malformed one is no character, and plain. */
static size_t read_character(const char *s, size_t left, bool *ret_plain)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t len = utf8_length(p, left);
	*ret_plain = !len || !is_unplain(utf8_code_point(p, len));
	return len ? len : 1;
}

bool text_is_plain(const char *s)
{
	bool plain = true;
	for (size_t left = strlen(s), len = 0; left; s += len, left -= len) {
		len = read_character(s, left, &plain);
		if (!plain && !strchr("\t\n\r", *s))
			return false;
	}
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
	char *to = s;
	bool plain = true;
	for (size_t left = strlen(s), len = 0; left; s += len, left -= len) {
		len = read_character(s, left, &plain);
		memmove(to, plain ? s : "?", plain ? len : 1);
		to += plain ? len : 1;
	}
	*to = '\0';
}
