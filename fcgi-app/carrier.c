/* SPDX-License-Identifier: MIT */
#include "carrier.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void carrier_path(const struct config *config, const char *uuid, char ret[static CARRIER_PATH_SIZE])
{
	(void)snprintf(ret, CARRIER_PATH_SIZE, "%s/carrier-%s.qcow2", config->images, uuid);
}

static void put(unsigned char *to, int bytes, uint64_t value)
{
	for (int i = 0; i < bytes; i++)
		to[i] = (unsigned char)(value >> 8 * (bytes - 1 - i));
}

/*
 * An empty image of 1 MiB as QEMU's docs/interop/qcow2.txt has it: the header, the table and one
 * block of reference counts, and the first table of the mapping, in a cluster each.
 */
static bool write_image(int fd)
{
	enum { CLUSTERS = 4, HEADER = 104 };
	static const off_t cluster = 1 << 16;
	unsigned char header[HEADER] = "QFI\xfb";
	unsigned char table[8];
	unsigned char counts[CLUSTERS * 2];
	put(header + 4, 4, 3);                      /* version */
	put(header + 20, 4, 16);                    /* bits of a cluster's size */
	put(header + 24, 8, 1 << 20);               /* the disk's size */
	put(header + 36, 4, 1);                     /* entries of the first mapping table */
	put(header + 40, 8, 3 * (uint64_t)cluster); /* where that is */
	put(header + 48, 8, (uint64_t)cluster);     /* where the table of reference counts is */
	put(header + 56, 4, 1);                     /* how many clusters it takes */
	put(header + 96, 4, 4);                     /* reference counts of 16 bits */
	put(header + 100, 4, HEADER);
	put(table, 8, 2 * (uint64_t)cluster);
	for (size_t i = 0; i < sizeof counts; i += 2)
		put(counts + i, 2, 1);
	return pwrite(fd, header, sizeof header, 0) == sizeof header &&
		pwrite(fd, table, sizeof table, cluster) == sizeof table &&
		pwrite(fd, counts, sizeof counts, 2 * cluster) == sizeof counts &&
		!ftruncate(fd, CLUSTERS * cluster);
}

int carrier_make(const struct config *config, const char *uuid, struct err *err)
{
	char path[CARRIER_PATH_SIZE];
	carrier_path(config, uuid, path);
	/* libvirt gives it to QEMU's user while the VM runs; we still have to read its header. */
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	AUTO(close) int fd = open(path, flags, 0644);
	if (fd >= 0 && write_image(fd))
		return 0;
	int why = errno;
	if (fd >= 0)
		(void)unlink(path);
	(void)err_set(err, ERR_STORAGE_UNAVAILABLE,
		"carrier_disk: virtgate cannot make it in VIRTGATE_IMAGES: %s", strerror(why));
	(void)snprintf(err->private, sizeof err->private, "%.400s: %s", path, strerror(why));
	return -1;
}

bool carrier_remove(const struct config *config, const char *uuid)
{
	char path[CARRIER_PATH_SIZE];
	carrier_path(config, uuid, path);
	return !unlink(path);
}
