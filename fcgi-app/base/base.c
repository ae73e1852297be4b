/* SPDX-License-Identifier: MIT */
#include "base/base.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>

/* The length of the character that starts here, 0 if it is malformed. */
static inline size_t utf8_length(const unsigned char *s, size_t n)
{
	if (s[0] < 0x80)
		return 1;
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
		size_t len = *p ? utf8_length(p, (size_t)(end - p)) : 0;
		if (!len)
			return false;
		p += len;
	}
	return true;
}

bool text_is_uuid(const char *s)
{
	size_t n = 0;
	for (; n < UUID_SIZE && s[n]; n++) {
		bool dash = n == 8 || n == 13 || n == 18 || n == 23;
		if (dash ? s[n] != '-' : !isxdigit((unsigned char)s[n]))
			return false;
	}
	return n == UUID_SIZE - 1;
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
	const char *star = NULL; /* the last one met, and what it has been given so far */
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
		size_t len = utf8_length((const unsigned char *)s, left);
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

int64_t clock_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_wall_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct timespec clock_after_ms(int64_t ms)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	int64_t ns = t.tv_nsec + ms % 1000 * 1000000;
	t.tv_sec += ms / 1000 + ns / 1000000000;
	t.tv_nsec = ns % 1000000000;
	return t;
}

void clock_rfc3339(int64_t seconds, int ms, char ret[static RFC3339_SIZE])
{
	struct tm tm;
	time_t t = (time_t)seconds;
	ret[0] = '\0';
	if (!gmtime_r(&t, &tm))
		return;
	size_t n = strftime(ret, RFC3339_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	if (ms >= 0)
		(void)snprintf(ret + n, RFC3339_SIZE - n, ".%03dZ", ms % 1000);
	else
		(void)snprintf(ret + n, RFC3339_SIZE - n, "Z");
}

void cond_init_monotonic(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(cond, &attr);
	(void)pthread_condattr_destroy(&attr);
}

void latch_open(struct latch *latch)
{
	atomic_store_explicit(&latch->open, 1, memory_order_release);
	(void)syscall(SYS_futex, &latch->open, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* futex(2): of its ways to wait this one takes an absolute time, of the monotonic clock. */
bool latch_wait(struct latch *latch, const struct timespec *deadline)
{
	long rc = 0;
	while (!atomic_load_explicit(&latch->open, memory_order_acquire)) {
		if (rc < 0 && errno == ETIMEDOUT)
			return false;
		rc = syscall(SYS_futex, &latch->open, FUTEX_WAIT_BITSET_PRIVATE, 0, deadline, NULL,
			FUTEX_BITSET_MATCH_ANY);
	}
	return true;
}
