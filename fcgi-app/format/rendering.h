/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Texts that many answers share. Each is made once, by whoever needs it first, while others that
 * need it wait for that; it never changes, and its last holder frees it.
 *
 * All functions may be called from any thread.
 */
#include "base/err.h"
#include "base/latch.h"

struct rendering {
	atomic_uint holders;
	struct latch made;
	char *text; /* NULL: it could not be made */
	size_t len;
	char name[];
};
void rendering_give(struct rendering *rendering);
DEFINE_AUTO(struct rendering *, rendering_give)

/*
 * Some of one thing, by name: the last RENDERINGS_MAX that were asked for, without those that are
 * longer than RENDERING_BYTES_MAX, which only those share who wait for them.
 */
enum { RENDERINGS_MAX = 8, RENDERING_BYTES_MAX = 512 * 1024 };
struct renderings {
	pthread_mutex_t lock;
	struct rendering *kept[RENDERINGS_MAX];
	size_t oldest;
};
void renderings_init(struct renderings *all);
void renderings_done(struct renderings *all);

/* The one of this name, or a new one that make() is called for. The caller gives it back. */
typedef int rendering_make(const void *data, char **ret, size_t *ret_len, struct err *err);
int renderings_get(struct renderings *all, const char *name, rendering_make *make, const void *data,
	struct rendering **ret, struct err *err);
