/* SPDX-License-Identifier: MIT */
#include "files/image_chain.h"

#include "files/qcow2.h"

#include <stdio.h>
#include <string.h>

bool image_chain_start(struct image_chain *chain, const char *path, enum image_format format)
{
	chain->format = format;
	chain->depth = 0;
	return *path == '/' &&
		snprintf(chain->path, sizeof chain->path, "%s", path) < (int)sizeof chain->path;
}

/* A relative name starts from the directory of the image that names it, links not followed. */
static bool image_chain_resolve(struct image_chain *chain, const char *name)
{
	char image[IMAGE_PATH_SIZE];
	memcpy(image, chain->path, sizeof image);
	int directory = *name == '/' ? 0 : (int)(strrchr(image, '/') - image) + 1;
	int n = snprintf(chain->path, sizeof chain->path, "%.*s%s", directory, image, name);
	return n < (int)sizeof chain->path;
}

enum image_step image_chain_next(struct image_chain *chain, int fd, const char **ret_why)
{
	struct qcow2 header;
	*ret_why = NULL;
	if (chain->format == IMAGE_RAW)
		return IMAGE_STEP_END;
	bool qcow2 = qcow2_is(fd);
	if (!qcow2 && chain->format == IMAGE_UNSTATED)
		return IMAGE_STEP_END;
	*ret_why = qcow2_read(fd, &header);
	if (*ret_why)
		return qcow2 ? IMAGE_STEP_UNKNOWN : IMAGE_STEP_NOT_QCOW2;
	if (!header.backing[0])
		return IMAGE_STEP_END;
	/* "json:…" and "nbd://…" are no paths, and to QEMU "x:y" names a protocol. */
	if (strchr(header.backing, ':'))
		*ret_why = "its header names a backing file by something other than a path";
	else if (chain->depth == IMAGE_BACKING_MAX)
		*ret_why = "its chain of backing files is longer than 8";
	else if (!image_chain_resolve(chain, header.backing))
		*ret_why = "its header names a backing file with too long a path";
	if (*ret_why)
		return IMAGE_STEP_UNKNOWN;
	chain->format = header.raw ? IMAGE_RAW : IMAGE_QCOW2;
	chain->depth++;
	return IMAGE_STEP_BACKING;
}
_Static_assert(IMAGE_BACKING_MAX == 8, "stated in image_chain_next()");
