/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Renderings: texts that many replies share. The first caller that needs one makes it, while others
 * that need it wait. A rendering never changes; its last holder frees it.
 *
 * All functions may be called from any thread.
 */
#include "base/err.h"
#include "base/latch.h"

struct rendering {
	atomic_uint holders;
	struct latch made;
	char *text; /* NULL: making it failed */
	size_t len;
	char name[];
};
void rendering_give(struct rendering *rendering);
DEFINE_AUTO(struct rendering *, rendering_give)

/*
 * The renderings of one thing, by name. It keeps the RENDERINGS_MAX newest, but none longer than
 * RENDERING_BYTES_MAX: those are shared only by the callers that wait for them.
 */
enum { RENDERINGS_MAX = 8, RENDERING_BYTES_MAX = 512 * 1024 };
struct renderings {
	pthread_mutex_t lock;
	struct rendering *kept[RENDERINGS_MAX];
	size_t oldest;
};
void renderings_init(struct renderings *all);
void renderings_done(struct renderings *all);

/* The rendering with this name; make() makes it if there is none. The caller gives it back. */
typedef int rendering_make(const void *data, char **ret, size_t *ret_len, struct err *err);
int renderings_get(struct renderings *all, const char *name, rendering_make *make, const void *data,
	struct rendering **ret, struct err *err);
