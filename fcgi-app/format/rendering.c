/* SPDX-License-Identifier: MIT */
#include "format/rendering.h"

#include <string.h>

static struct rendering *rendering_new(const char *name)
{
	size_t size = strlen(name) + 1;
	struct rendering *rendering = calloc(1, sizeof *rendering + size);
	if (!rendering)
		return NULL;
	atomic_init(&rendering->holders, 1);
	memcpy(rendering->name, name, size);
	return rendering;
}

static struct rendering *rendering_share(struct rendering *rendering)
{
	(void)atomic_fetch_add_explicit(&rendering->holders, 1, memory_order_relaxed);
	return rendering;
}

void rendering_give(struct rendering *rendering)
{
	if (atomic_fetch_sub_explicit(&rendering->holders, 1, memory_order_acq_rel) > 1)
		return;
	free(rendering->text);
	free(rendering);
}

void renderings_init(struct renderings *all)
{
	*all = (struct renderings){ 0 };
	(void)pthread_mutex_init(&all->lock, NULL);
}

void renderings_done(struct renderings *all)
{
	for (size_t i = 0; i < RENDERINGS_MAX; i++)
		if (all->kept[i])
			rendering_give(all->kept[i]);
	(void)pthread_mutex_destroy(&all->lock);
}

/* The one with this name. *ret_new: the caller makes it. NULL: out of memory. */
static struct rendering *renderings_find(struct renderings *all, const char *name, bool *ret_new)
{
	LOCK(&all->lock);
	*ret_new = false;
	for (size_t i = 0; i < RENDERINGS_MAX; i++)
		if (all->kept[i] && !strcmp(all->kept[i]->name, name))
			return rendering_share(all->kept[i]);
	struct rendering *rendering = rendering_new(name);
	if (!rendering)
		return NULL;
	*ret_new = true;
	if (all->kept[all->oldest])
		rendering_give(all->kept[all->oldest]);
	all->kept[all->oldest] = rendering;
	all->oldest = (all->oldest + 1) % RENDERINGS_MAX;
	return rendering_share(rendering);
}

static void renderings_drop(struct renderings *all, struct rendering *rendering)
{
	LOCK(&all->lock);
	for (size_t i = 0; i < RENDERINGS_MAX; i++) {
		if (all->kept[i] != rendering)
			continue;
		all->kept[i] = NULL;
		rendering_give(rendering);
	}
}

int renderings_get(struct renderings *all, const char *name, rendering_make *make, const void *data,
	struct rendering **ret, struct err *err)
{
	bool is_new = false;
	int rc = 0;
	AUTO(rendering_give) struct rendering *rendering = renderings_find(all, name, &is_new);
	if (!rendering)
		return err_memory(err);
	if (is_new) {
		rc = make(data, &rendering->text, &rendering->len, err);
		if (rc < 0 || rendering->len > RENDERING_BYTES_MAX)
			renderings_drop(all, rendering);
		latch_open(&rendering->made);
	} else {
		(void)latch_wait(&rendering->made, NULL);
		if (!rendering->text) /* the thread that made it has the error */
			rc = err_memory(err);
	}
	if (rc < 0)
		return -1;
	*ret = TAKE(rendering);
	return 0;
}
