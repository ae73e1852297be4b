/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What every file may lean on: scope cleanup, scope locks, and the few questions about text that
 * C leaves open. No state; every function may be called from any thread.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/*
 * AUTO(f) gives a pointer to f() when its scope ends, unless it is NULL or TAKE() gave it away:
 *	AUTO(virDomainFree) virDomainPtr dom = NULL;
 * Each module that owns a type says DEFINE_AUTO once for it.
 */
#define DEFINE_AUTO(type, f) \
	static inline void auto_##f(type *p) \
	{ \
		if (*p) \
			(void)f(*p); \
	}
#define AUTO(f) __attribute__((cleanup(auto_##f)))
#define TAKE(p) \
	({ \
		__typeof__(p) taken_ = (p); \
		(p) = NULL; \
		taken_; \
	})

/* The same for a descriptor, of which none is -1. */
#define TAKE_FD(fd) \
	({ \
		int taken_ = (fd); \
		(fd) = -1; \
		taken_; \
	})

static inline void auto_free(void *p)
{
	free(*(void **)p);
}

static inline void auto_close(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static inline void auto_unlock(pthread_mutex_t *const *lock)
{
	(void)pthread_mutex_unlock(*lock);
}

static inline pthread_mutex_t *base_lock(pthread_mutex_t *lock)
{
	(void)pthread_mutex_lock(lock);
	return lock;
}

/* Holds the mutex to the end of the scope. */
#define LOCK(lock) \
	__attribute__((cleanup(auto_unlock), unused)) pthread_mutex_t *const held_lock_ = \
		base_lock(lock)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define FORMAT(fmt, args) __attribute__((format(printf, fmt, args)))

/* Bytes of a UUID in text (RFC 9562 section 4: 36 characters) with its terminator. */
enum { UUID_SIZE = 37 };

/* Is it well-formed UTF-8 (RFC 3629 section 4: shortest form, no surrogates) without a NUL? */
bool text_is_utf8(const char *s, size_t n);

/* Is it a UUID as RFC 9562 section 4 writes it, in either case? */
bool text_is_uuid(const char *s);

/*
 * Is it a name that may be given to a VM or a snapshot: a letter or digit, then up to 62 of
 * letters, digits and . _ + - ? Names become file names on the host, so nothing else passes.
 */
bool text_is_name(const char *s);
#define TEXT_NAME_RULE "1 to 63 of the characters A-Z a-z 0-9 . _ + -, the first a letter or digit"

/* Is it text that XML 1.0 can hold (section 2.2): of all controls only tab and line ends? */
bool text_is_xml(const char *s);

/* Is it one of the words, which are separated by this character? */
bool text_is_word(const char *words, char separator, const char *s);

/* Does it fit a pattern, in which * is any text and ? any byte? In the product of their lengths. */
bool text_is_glob(const char *pattern, const char *s);

/* Puts '?' for every byte that is no part of well-formed UTF-8. */
void text_mask_malformed(char *s);

/* Puts '?' for every control character, so that a text stays on its line. */
void text_mask_controls(char *s);

/* Writes these bytes as a UUID in lower case; without printf(), which lists of many VMs would feel.
 */
void uuid_text(const unsigned char bytes[static 16], char ret[static UUID_SIZE]);

/* Writes these bytes as a UUID of this version: RFC 9562 section 4 sets some bits of them. */
void uuid_format(const unsigned char bytes[static 16], int version, char ret[static UUID_SIZE]);

/* Writes a random UUID (RFC 9562 version 4). */
void uuid_make(char ret[static UUID_SIZE]);

/* Milliseconds of the monotonic clock. */
int64_t clock_ms(void);

/* Milliseconds since 1970 (UTC). */
int64_t clock_wall_ms(void);

/* The absolute CLOCK_MONOTONIC time that is ms milliseconds from now. */
struct timespec clock_after_ms(int64_t ms);

/* RFC 3339 in UTC, with milliseconds when ms is not negative: 2006-01-02T15:04:05.999Z */
enum { RFC3339_SIZE = sizeof "2006-01-02T15:04:05.999Z" };
void clock_rfc3339(int64_t seconds, int ms, char ret[static RFC3339_SIZE]);

/* A condition variable that waits by the monotonic clock. */
void cond_init_monotonic(pthread_cond_t *cond);

/*
 * Shut until somebody opens it, once: what was written before that may then be read by all who
 * waited. They wake together and take no lock on their way, however many they are.
 */
struct latch {
	atomic_uint open;
};
void latch_open(struct latch *latch);
/* Waits to an absolute time, as of clock_after_ms(); NULL: for ever. false: it is still shut. */
bool latch_wait(struct latch *latch, const struct timespec *deadline);
