/* SPDX-License-Identifier: MIT */
#include "guard.h"

#include "policy.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct images {
	size_t count;
	char key[GUARD_IMAGES_MAX][64];
};

/* Every disk: one VM's raw image is another's qcow2. By its inode, for it may have two names. */
static int add_image(const struct policy_path *path, void *data, struct err *err)
{
	struct images *images = data;
	struct stat st;
	(void)err;
	if (strcmp(path->where, "/domain/devices/disk/source/@file") != 0 ||
		images->count == GUARD_IMAGES_MAX || stat(path->value, &st) < 0)
		return 0;
	(void)snprintf(images->key[images->count++], sizeof images->key[0], "image:%llx:%llx",
		(unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	return 0;
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(a, b);
}

static bool holds(const struct guard *guard, const char *key)
{
	for (size_t i = 0; i < guard->count; i++)
		if (!strcmp(guard->gates[i].key, key))
			return true;
	return false;
}

int guard_enter(struct guard *guard, struct host *host, const struct xml_node *domain,
	const struct config *config, bool off, struct err *err)
{
	struct images images = { 0 };
	if (policy_each_path(domain, config, add_image, &images, err) < 0)
		return -1;
	/* In one order everywhere, so that no two wait for each other. */
	qsort(images.key, images.count, sizeof images.key[0], compare_keys);
	for (size_t i = 0; i < images.count && guard->count < GUARD_IMAGES_MAX; i++) {
		if (holds(guard, images.key[i]))
			continue;
		if (gate_enter(host, images.key[i], &guard->gates[guard->count], err) < 0)
			return -1;
		guard->count++;
	}
	return policy_recheck(domain, config, off, err);
}

void guard_leave(struct guard *guard)
{
	while (guard->count)
		gate_leave(&guard->gates[--guard->count]);
}
