/* SPDX-License-Identifier: MIT */
#include "vm/remove.h"

#include "definition/metadata.h"
#include "storage/disk.h"
#include "storage/guard.h"
#include "storage/local.h"
#include "storage/usage.h"

#include <stdio.h>
#include <string.h>

void removed_done(struct removed *removed)
{
	for (size_t i = 0; i < removed->disk_count; i++) {
		free(removed->disks[i].target);
		free(removed->disks[i].source);
	}
	free(removed->disks);
}

enum { REMOVED_MAX = DISKS_MAX + 1 }; /* the carrier disk is no disk of the spec */

/* One call of remove_vm(). */
struct removal {
	const struct config *config;
	const struct hypervisor *hypervisor;
	struct xml *definition; /* NULL only before it is read */
	struct xml *guest;      /* of the VM that ran; NULL: it was off */
	struct removed *ret;
	/* The disks that may be removed: each one's file, and which of ret->disks it is. */
	struct used_file files[REMOVED_MAX];
	size_t at[REMOVED_MAX];
	char *paths[REMOVED_MAX]; /* owned */
	size_t count;
	struct guard guard;
};

static void removal_done(struct removal *removal)
{
	guard_leave(&removal->guard);
	for (size_t i = 0; i < removal->count; i++)
		free(removal->paths[i]);
	if (removal->definition)
		xml_free(removal->definition);
	if (removal->guest)
		xml_free(removal->guest);
}
#define AUTO_REMOVAL __attribute__((cleanup(removal_done)))

/* Before the VM is touched */

/* Why a disk is kept even if nothing else uses it; NULL: it may be removed. */
static const char *reason_to_keep(
	const struct removal *removal, const char *file, bool asked, struct used_file *ret)
{
	if (!file)
		return "it is not a file";
	const struct xml_node *definition = xml_root(removal->definition);
	bool carrier = metadata_is_carrier(definition, file); /* goes without being asked for */
	if (!asked && !carrier)
		return "the request does not have disks=1";
	if (!carrier && !metadata_has_disk(definition, file))
		return "virtgate did not make it";
	const char *why = local_claim(removal->hypervisor, removal->config->images, file, ret);
	if (!why && removal->count == REMOVED_MAX)
		why = "virtgate removes at most 17 disks";
	return why;
}
_Static_assert(REMOVED_MAX == 17, "said in reason_to_keep()");

/* A source that is not a file is a device, a volume, or something on a network. */
static char *source_name(const struct xml_node *source)
{
	static const char *const attrs[] = { "file", "dev", "volume", "name", "dir" };
	for (size_t i = 0; source && i < ARRAY_LEN(attrs); i++) {
		char *value = xml_attr(source, attrs[i]);
		if (value)
			return value;
	}
	return NULL;
}

static int list_disk(
	struct removal *removal, const struct xml_node *node, bool asked, struct err *err)
{
	const struct xml_node *target = xml_child(node, "target");
	const struct xml_node *source = xml_child(node, "source");
	struct removed_disk *disk = &removal->ret->disks[removal->ret->disk_count++];
	struct used_file used;
	AUTO(free) char *file = source ? xml_attr(source, "file") : NULL;
	AUTO(free) char *named = source_name(source);
	const char *shown = file ? local_shown(removal->config->images, file) : named;
	disk->target = target ? xml_attr(target, "dev") : NULL;
	disk->source = named ? strdup(shown) : NULL;
	if (named && !disk->source)
		return err_memory(err);
	const char *why = named ? reason_to_keep(removal, file, asked, &used) : "it is empty";
	(void)snprintf(disk->reason, sizeof disk->reason, "%s", why ? why : "");
	if (why)
		return 0;
	removal->at[removal->count] = (size_t)(disk - removal->ret->disks);
	removal->paths[removal->count] = TAKE(file);
	removal->files[removal->count++] = used; /* its path is the one that is owned now */
	return 0;
}

static int list_disks(struct removal *removal, bool asked, struct err *err)
{
	const struct xml_node *first = xml_find(xml_root(removal->definition), "devices/disk");
	size_t count = 0;
	for (const struct xml_node *n = first; n; n = xml_next(n))
		count++;
	removal->ret->disks = calloc(count ? count : 1, sizeof *removal->ret->disks);
	if (!removal->ret->disks)
		return err_memory(err);
	for (const struct xml_node *n = first; n; n = xml_next(n))
		if (list_disk(removal, n, asked, err) < 0)
			return -1;
	return 0;
}

/* Everything that can fail before the VM is touched, and that cannot be read afterwards. */
static int read_removal(struct removal *removal, struct hold *hold, bool disks, struct err *err)
{
	const struct vm *vm = &hold->vm;
	struct removed *ret = removal->ret;
	unsigned flags = vm->persistent ? VIR_DOMAIN_XML_INACTIVE : 0;
	ret->stopped = vm->active;
	ret->managed_save = vm->managed_save;
	ret->snapshots = vm->snapshots;
	(void)snprintf(ret->ref.name, sizeof ret->ref.name, "%s", vm->name);
	(void)snprintf(ret->ref.uuid, sizeof ret->ref.uuid, "%s", vm->uuid);
	if (vm->persistent && domain_has_nvram(&hold->lease, hold->dom, &ret->nvram, err) < 0)
		return -1;
	if (domain_read_xml(&hold->lease, hold->dom, flags, &removal->definition, err) < 0)
		return -1;
	if (vm->active && domain_read_xml(&hold->lease, hold->dom, 0, &removal->guest, err) < 0)
		return -1;
	return list_disks(removal, disks, err);
}

/* The VM */

static int destroy_domain(struct hold *hold, struct err *err)
{
	if (!hold->vm.active || !virDomainDestroy(hold->dom))
		return 0;
	(void)virt_fail(&hold->lease, VIRT_DELETE, err);
	return hold->lease.broken || virDomainIsActive(hold->dom) > 0 ? -1 : 0;
}

static int undefine_domain(struct hold *hold, struct removed *removed, struct err *err)
{
	unsigned flags = 0;
	if (removed->managed_save)
		flags |= VIR_DOMAIN_UNDEFINE_MANAGED_SAVE;
	if (removed->snapshots)
		flags |= VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA;
	if (removed->nvram)
		flags |= VIR_DOMAIN_UNDEFINE_NVRAM;
	/* Drivers without checkpoints refuse the flag, and fail this call. */
	if (virDomainListAllCheckpoints(hold->dom, NULL, 0) > 0)
		flags |= VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA;
	if (virDomainUndefineFlags(hold->dom, flags) < 0)
		return virt_fail(&hold->lease, VIRT_DELETE, err);
	removed->definition = true;
	return 0;
}

/* The disks. The VM is removed, so a disk that stays is reported and is no failure. */

/* A disk of the VM may be the backing file of another of its disks, which stays. */
static void find_own_uses(struct removal *removal, const struct xml *doc)
{
	const struct xml_node *disk = doc ? xml_find(xml_root(doc), "devices/disk") : NULL;
	for (; disk; disk = xml_next(disk)) {
		const struct xml_node *source = xml_child(disk, "source");
		AUTO(free) char *file = source ? xml_attr(source, "file") : NULL;
		for (size_t i = 0; file && i < removal->count; i++)
			if (strcmp(file, removal->files[i].path) != 0)
				usage_look_at_disk(
					disk, "another disk of the VM", &removal->files[i], 1);
	}
}

/* As for a start, so that no VM that is started meanwhile opens the images. */
static int guard_images(struct removal *removal, struct hypervisor *hypervisor, struct err *err)
{
	struct image_id ids[REMOVED_MAX];
	for (size_t i = 0; i < removal->count; i++)
		ids[i] = (struct image_id){ removal->files[i].dev, removal->files[i].inode };
	return guard_hold(&removal->guard, hypervisor, ids, removal->count, err);
}

static void remove_images(struct removal *removal, struct lease *lease)
{
	struct err err;
	bool known = !guard_images(removal, lease->hypervisor, &err);
	find_own_uses(removal, removal->definition);
	find_own_uses(removal, removal->guest);
	if (known && removal->count)
		known = !usage_find(
			lease, removal->ret->ref.uuid, removal->files, removal->count, &err);
	for (size_t i = 0; i < removal->count; i++) {
		const struct used_file *file = &removal->files[i];
		struct removed_disk *disk = &removal->ret->disks[removal->at[i]];
		const char *why = file->user[0] ? file->user
			: !known ? "virtgate could not find out whether another VM uses it"
				 : local_remove(removal->config->images, file);
		disk->removed = !why;
		if (!why && metadata_is_carrier(xml_root(removal->definition), file->path))
			removal->ret->carrier = true;
		(void)snprintf(disk->reason, sizeof disk->reason, "%s", why ? why : "");
	}
}

int remove_vm(const struct config *config, struct host *host, const struct target *target,
	bool disks, struct removed *ret, struct err *err)
{
	AUTO_HOLD struct hold hold = { 0 };
	AUTO_REMOVED struct removed removed = { 0 };
	AUTO_REMOVAL struct removal removal = {
		.config = config,
		.hypervisor = host->hypervisor,
		.ret = &removed,
	};
	if (domain_hold(host->hypervisor, target, &hold, err) < 0 ||
		read_removal(&removal, &hold, disks, err) < 0 || destroy_domain(&hold, err) < 0)
		return -1;
	inventory_touch(host->inventory, hold.vm.uuid);
	if (hold.vm.persistent && undefine_domain(&hold, &removed, err) < 0)
		return -1;
	remove_images(&removal, &hold.lease);
	*ret = removed;
	removed = (struct removed){ 0 };
	return 0;
}
