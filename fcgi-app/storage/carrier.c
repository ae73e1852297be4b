/* SPDX-License-Identifier: MIT */
#include "storage/carrier.h"

#include "files/hostpath.h"
#include "files/qcow2.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The size that the guest sees; snapshots take no part of it. */
enum { CARRIER_BYTES = 1 << 20 };

void carrier_path(const struct config *config, const char *uuid, char ret[static CARRIER_PATH_SIZE])
{
	(void)snprintf(ret, CARRIER_PATH_SIZE, "%s/carrier-%s.qcow2", config->images, uuid);
}

int carrier_make(const struct config *config, const char *uuid, struct err *err)
{
	char path[CARRIER_PATH_SIZE];
	carrier_path(config, uuid, path);
	AUTO(close) int fd = hostpath_create(config->images, path);
	if (fd >= 0 && qcow2_write_empty(fd, CARRIER_BYTES))
		return 0;
	int why = errno;
	if (fd >= 0)
		(void)unlink(path);
	(void)err_set(err, ERR_STORAGE_UNAVAILABLE,
		"carrier_disk: virtgate cannot make the image in VIRTGATE_IMAGES: %s",
		strerror(why));
	(void)snprintf(err->private, sizeof err->private, "%.400s: %s", path, strerror(why));
	return -1;
}

bool carrier_remove(const struct config *config, const char *uuid)
{
	char path[CARRIER_PATH_SIZE];
	carrier_path(config, uuid, path);
	return !unlink(path);
}
