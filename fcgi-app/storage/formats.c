/* SPDX-License-Identifier: MIT */
#include "storage/formats.h"

#include "libvirt/hypervisor.h"
#include "storage/claims.h"
#include "storage/documents.h"
#include "storage/local.h"

#include <stdio.h>
#include <string.h>

/* An image of the document that is checked. */
struct image {
	char *path; /* owned */
	bool exists;
	uint64_t dev, inode;
	char format[CLAIM_FORMAT_SIZE];
};

struct comparison {
	struct lease *lease;
	const struct config *config;
	enum formats_for what;
	struct image *images; /* owned */
	size_t count, room;
	const char *owner; /* of the document that the images are compared with */
};

static void comparison_done(struct comparison *comparison)
{
	for (size_t i = 0; i < comparison->count; i++)
		free(comparison->images[i].path);
	free(comparison->images);
}
#define AUTO_COMPARISON __attribute__((cleanup(comparison_done)))

/* A file that does not exist yet is known by its path alone. */
static bool is_same_file(const struct image *image, const struct claim *claim)
{
	return !strcmp(image->path, claim->path) ||
		(image->exists && claim->exists && image->dev == claim->dev &&
			image->inode == claim->inode);
}

static int compare_claim(const struct claim *claim, void *data, struct err *err)
{
	const struct comparison *comparison = data;
	for (size_t i = 0; i < comparison->count; i++) {
		const struct image *image = &comparison->images[i];
		if (!is_same_file(image, claim) || !strcmp(image->format, claim->format))
			continue;
		(void)err_set(err, ERR_POLICY_DENIED,
			"image '%.200s' is %s in %s, so it cannot be %s here: a file has one "
			"format on a host",
			local_shown(comparison->config->images, image->path), claim->format,
			comparison->owner, image->format);
		return err_hint(err,
			"copy it with qemu-img convert, or first remove it from %.140s",
			comparison->owner);
	}
	return 0;
}

/* Each file of the document, which is compared with those before it. */
static int add_image(const struct claim *claim, void *data, struct err *err)
{
	struct comparison *comparison = data;
	if (compare_claim(claim, data, err) < 0)
		return -1;
	struct image *images =
		base_grow(comparison->images, comparison->count, &comparison->room, sizeof *images);
	if (!images)
		return err_memory(err);
	comparison->images = images;
	struct image image = {
		.path = strdup(claim->path),
		.exists = claim->exists,
		.dev = claim->dev,
		.inode = claim->inode,
	};
	if (!image.path)
		return err_memory(err);
	memcpy(image.format, claim->format, sizeof image.format);
	comparison->images[comparison->count++] = image;
	return 0;
}

static int compare_document(
	const struct xml_node *root, const char *owner, void *data, struct err *err)
{
	struct comparison *comparison = data;
	comparison->owner = owner;
	return claims_each(comparison->lease, root, compare_claim, comparison, err);
}

/* libvirt cannot restore a save that it cannot read; a snapshot is compared at the revert. */
static int give_up_comparison(
	enum document_kind kind, const char *owner, void *data, struct err *err)
{
	const struct comparison *comparison = data;
	if (comparison->what == FORMATS_START || kind == DOCUMENT_SAVE || kind == DOCUMENT_SNAPSHOT)
		return 0;
	if (err->kind == ERR_VM_BUSY)
		(void)err_set(err, ERR_VM_BUSY,
			"%s is busy, so virtgate cannot find out now in which formats it has its "
			"images",
			owner);
	return -1;
}

int formats_check(struct lease *lease, const struct xml_node *root, const struct config *config,
	enum formats_for what, struct err *err)
{
	AUTO_COMPARISON struct comparison comparison = {
		.lease = lease,
		.config = config,
		.what = what,
		.owner = "another place of the same document",
	};
	const struct documents documents = {
		.except_uuid = "",
		.snapshots = what == FORMATS_DEFINE,
		.each = compare_document,
		.unreadable = give_up_comparison,
		.data = &comparison,
	};
	if (config->policy == POLICY_OFF || !hypervisor_is_local(lease->hypervisor))
		return 0;
	if (claims_each(lease, root, add_image, &comparison, err) < 0)
		return -1;
	return comparison.count ? documents_each(lease, &documents, err) : 0;
}
