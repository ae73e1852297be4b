/* SPDX-License-Identifier: MIT */
#include "storage/guard.h"

#include "base/clock.h"
#include "base/hash.h"
#include "definition/policy.h"
#include "libvirt/hypervisor.h"
#include "storage/claims.h"

#include <stdio.h>
#include <string.h>

struct guarded {
	LIST_ENTRY(guarded) entry;
	struct gate gate;
};

/* A gate that is wanted: of a file by its inode, for it may have several names. */
struct image_key {
	char text[64];
	bool writes;
};
struct image_keys {
	struct image_key *keys; /* owned */
	size_t count, room;
};

static void image_keys_done(struct image_keys *keys)
{
	free(keys->keys);
}
#define AUTO_IMAGE_KEYS __attribute__((cleanup(image_keys_done)))

static int add_key(struct image_keys *keys, const struct image_key *key, struct err *err)
{
	struct image_key *all = base_grow(keys->keys, keys->count, &keys->room, sizeof *all);
	if (!all)
		return err_memory(err);
	keys->keys = all;
	keys->keys[keys->count++] = *key;
	return 0;
}

static void set_inode_key(struct image_key *key, uint64_t dev, uint64_t inode)
{
	(void)snprintf(key->text, sizeof key->text, "image:%llx:%llx", (unsigned long long)dev,
		(unsigned long long)inode);
}

/* Raw images, too: another VM may have the same file as qcow2. */
static int add_claim(const struct claim *claim, void *data, struct err *err)
{
	char hash[HASH_SIZE];
	struct image_key key = { .writes = claim->writes };
	set_inode_key(&key, claim->dev, claim->inode);
	if (!claim->exists) {
		hash_text(claim->path, strlen(claim->path), hash);
		(void)snprintf(key.text, sizeof key.text, "image:%.48s", hash);
	}
	return add_key(data, &key, err);
}

/* In the same order everywhere, so that no two guards wait for each other; writers first. */
static int compare_keys(const void *a, const void *b)
{
	const struct image_key *x = a;
	const struct image_key *y = b;
	int order = strcmp(x->text, y->text);
	return order ? order : (int)y->writes - (int)x->writes;
}

/* The gate of this key; NULL: the guard does not have it. */
static struct guarded *find_guarded(const struct guard *guard, const char *key)
{
	struct guarded *guarded;
	LIST_FOREACH(guarded, &guard->gates, entry)
		if (!strcmp(guarded->gate.key, key))
			return guarded;
	return NULL;
}

static bool is_guarded(const struct guard *guard, const struct image_key *key)
{
	const struct guarded *guarded = find_guarded(guard, key->text);
	return guarded && !(key->writes && guarded->gate.shared);
}

static void leave_guarded(struct guard *guard, struct guarded *guarded)
{
	gate_leave(&guarded->gate);
	LIST_REMOVE(guarded, entry);
	guard->count--;
	free(guarded);
}

static int enter_image(struct guard *guard, struct hypervisor *hypervisor,
	const struct image_key *key, int ms, struct err *err)
{
	struct guarded *weaker = find_guarded(guard, key->text);
	struct guarded *guarded = calloc(1, sizeof *guarded);
	if (!guarded)
		return err_memory(err);
	if (weaker) /* two guards that share it would wait for each other */
		leave_guarded(guard, weaker);
	int rc = key->writes ? gate_enter_within(hypervisor, key->text, ms, &guarded->gate, err)
			     : gate_enter_shared(hypervisor, key->text, ms, &guarded->gate, err);
	if (rc < 0) {
		free(guarded);
		return err->kind == ERR_VM_BUSY
			? err_set(err, ERR_VM_BUSY,
				  "another operation is using an image of this VM, or a backing "
				  "file")
			: -1;
	}
	LIST_INSERT_HEAD(&guard->gates, guarded, entry);
	guard->count++;
	return 0;
}

/* All within GATE_WAIT_MS. *ret_more: the guard got a gate that it did not have. */
static int enter_images(struct guard *guard, struct hypervisor *hypervisor, struct image_keys *keys,
	bool *ret_more, struct err *err)
{
	int64_t until = clock_ms() + GATE_WAIT_MS;
	*ret_more = false;
	if (keys->count)
		qsort(keys->keys, keys->count, sizeof keys->keys[0], compare_keys);
	for (size_t i = 0; i < keys->count; i++) {
		int64_t left = until - clock_ms();
		if (is_guarded(guard, &keys->keys[i]))
			continue;
		if (enter_image(guard, hypervisor, &keys->keys[i], left > 0 ? (int)left : 0, err) <
			0)
			return -1;
		*ret_more = true;
	}
	return 0;
}

/* While a lock was waited for, its holder may have changed where the images lead. */
int guard_lock(
	struct guard *guard, struct lease *lease, const struct xml_node *domain, struct err *err)
{
	enum { ROUNDS_MAX = 4 };
	bool more = hypervisor_is_local(lease->hypervisor);
	for (int round = 0; more && round < ROUNDS_MAX; round++) {
		AUTO_IMAGE_KEYS struct image_keys keys = { 0 };
		if (claims_each(lease, domain, add_claim, &keys, err) < 0 ||
			enter_images(guard, lease->hypervisor, &keys, &more, err) < 0)
			return -1;
	}
	if (more)
		return err_set(
			err, ERR_VM_BUSY, "the backing files of this VM's images keep changing");
	return 0;
}

int guard_check(const struct xml_node *domain, const struct config *config, enum guard_for what,
	struct err *err)
{
	static const enum hostpath_kind kinds[] = {
		[GUARD_DEFINE] = HOSTPATH_IMAGE,
		[GUARD_OFF] = HOSTPATH_IDLE_IMAGE,
		[GUARD_RUNNING] = HOSTPATH_SEEN_IMAGE,
	};
	return policy_recheck(domain, config, kinds[what], err);
}

int guard_enter(struct guard *guard, struct lease *lease, const struct xml_node *domain,
	const struct config *config, enum guard_for what, struct err *err)
{
	if (guard_lock(guard, lease, domain, err) < 0)
		return -1;
	return guard_check(domain, config, what, err);
}

int guard_hold(struct guard *guard, struct hypervisor *hypervisor, const struct image_id *ids,
	size_t count, struct err *err)
{
	AUTO_IMAGE_KEYS struct image_keys keys = { 0 };
	bool more;
	for (size_t i = 0; i < count; i++) {
		struct image_key key = { .writes = true };
		set_inode_key(&key, ids[i].dev, ids[i].inode);
		if (add_key(&keys, &key, err) < 0)
			return -1;
	}
	return enter_images(guard, hypervisor, &keys, &more, err);
}

void guard_leave(struct guard *guard)
{
	for (struct guarded *guarded; (guarded = LIST_FIRST(&guard->gates));)
		leave_guarded(guard, guarded);
}
