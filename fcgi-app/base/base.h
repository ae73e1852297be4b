/* SPDX-License-Identifier: MIT */
#pragma once
/* What every file may use: cleanup at the end of a scope, locks for a scope, and small macros. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * AUTO(f) calls f(p) when the scope of pointer p ends, unless p is NULL then. TAKE(p) returns p and
 * sets it to NULL, to keep it beyond the scope:
 *	AUTO(virDomainFree) virDomainPtr dom = NULL;
 * The module that owns a type has one DEFINE_AUTO for it.
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

/* Like TAKE(), for a file descriptor under AUTO(close): -1 is none. */
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

/* Locks the mutex until the scope ends. */
#define LOCK(lock) \
	__attribute__((cleanup(auto_unlock), unused)) pthread_mutex_t *const held_lock_ = \
		base_lock(lock)

/*
 * Makes room for another item in an array of `count` items, which has room for *room. Returns the
 * array, which may have moved; NULL: out of memory, and the array stays as it was.
 */
static inline void *base_grow(void *array, size_t count, size_t *room, size_t size)
{
	if (count < *room)
		return array;
	size_t more = *room ? 2 * *room : 16;
	void *grown = reallocarray(array, more, size);
	if (grown)
		*room = more;
	return grown;
}

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define FORMAT(fmt, args) __attribute__((format(printf, fmt, args)))
