/* SPDX-License-Identifier: MIT */
#include "storage/guard.h"

#include "definition/policy.h"
#include "libvirt/hypervisor.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct images {
	size_t count;
	struct image_id ids[GUARD_IMAGES_MAX];
};

/*
 * Raw images, too: another VM may have the same file as qcow2. An image is known by its inode, for
 * it may have two names.
 */
static int add_image(const struct policy_path *path, void *data, struct err *err)
{
	struct images *images = data;
	struct stat st;
	(void)err;
	if (strcmp(path->where, "/domain/devices/disk/source/@file") != 0 ||
		images->count == GUARD_IMAGES_MAX || stat(path->value, &st) < 0)
		return 0;
	images->ids[images->count++] = (struct image_id){ st.st_dev, st.st_ino };
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct image_id));
}

static bool is_held(const struct guard *guard, const char *key)
{
	for (size_t i = 0; i < guard->count; i++)
		if (!strcmp(guard->gates[i].key, key))
			return true;
	return false;
}

static int enter_gates(
	struct guard *guard, struct hypervisor *hypervisor, struct images *images, struct err *err)
{
	char key[64];
	/* In the same order everywhere, so that no two guards wait for each other. */
	qsort(images->ids, images->count, sizeof images->ids[0], compare_ids);
	for (size_t i = 0; i < images->count && guard->count < GUARD_IMAGES_MAX; i++) {
		(void)snprintf(key, sizeof key, "image:%llx:%llx",
			(unsigned long long)images->ids[i].dev,
			(unsigned long long)images->ids[i].inode);
		if (is_held(guard, key))
			continue;
		if (gate_enter(hypervisor, key, &guard->gates[guard->count], err) < 0)
			return -1;
		guard->count++;
	}
	return 0;
}

int guard_enter(struct guard *guard, struct hypervisor *hypervisor, const struct xml_node *domain,
	const struct config *config, bool off, struct err *err)
{
	struct images images = { 0 };
	if ((hypervisor_is_local(hypervisor) &&
		    policy_each_path(domain, config, add_image, &images, err) < 0) ||
		enter_gates(guard, hypervisor, &images, err) < 0)
		return -1;
	return policy_recheck(domain, config, off, err);
}

int guard_hold(struct guard *guard, struct hypervisor *hypervisor, const struct image_id *ids,
	size_t count, struct err *err)
{
	struct images images = { 0 };
	for (; images.count < count && images.count < GUARD_IMAGES_MAX; images.count++)
		images.ids[images.count] = ids[images.count];
	return enter_gates(guard, hypervisor, &images, err);
}

void guard_leave(struct guard *guard)
{
	while (guard->count)
		gate_leave(&guard->gates[--guard->count]);
}
