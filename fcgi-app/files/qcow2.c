/* SPDX-License-Identifier: MIT */
#include "files/qcow2.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum {
	HEADER_2 = 72,          /* bytes of a header of version 2 */
	HEADER_3 = 104,         /* bytes of a header of version 3, at least */
	HEADER_3_TODAY = 112,   /* bytes of it that QEMU has written since 5.1 */
	EXTERNAL_DATA = 1 << 2, /* an incompatible feature */
	LIBVIRT_READS = 0x8200, /* bytes of an image that libvirt reads */
	SNAPSHOTS_MAX = 1000,   /* libvirtd needs seconds to list 65535 */
	BACKING_FORMAT = 0xe2792aca,
	FEATURE_NAMES = 0x6803f857,
	BITMAPS = 0x23852875,
};

static const char damaged[] = "its header is damaged";

static uint64_t big_endian(const unsigned char *p, size_t n)
{
	uint64_t value = 0;
	for (size_t i = 0; i < n; i++)
		value = value << 8 | p[i];
	return value;
}

bool qcow2_is(int fd)
{
	char magic[4];
	return pread(fd, magic, sizeof magic, 0) == sizeof magic && !memcmp(magic, "QFI\xfb", 4);
}

int64_t qcow2_capacity(int fd)
{
	enum { SIZE_AT = 24 };
	unsigned char size[8];
	if (!qcow2_is(fd) || pread(fd, size, sizeof size, SIZE_AT) != sizeof size || size[0] > 127)
		return -1;
	return (int64_t)big_endian(size, sizeof size);
}

/*
 * The first extension has to state the backing file's format: libvirt does not pad the lengths of
 * extensions to 8 as QEMU does, so from the second on the two read different extensions. Those that
 * follow, as QEMU reads them, may only be ones that QEMU itself writes.
 */
static const char *read_backing_format(int fd, uint64_t at, uint64_t end, bool *ret_raw)
{
	static const char unstated[] = "the first extension of its header does not state its "
				       "backing file's format, raw or qcow2";
	unsigned char e[16];
	if (at + sizeof e > end || pread(fd, e, sizeof e, (off_t)at) != sizeof e ||
		big_endian(e, 4) != BACKING_FORMAT)
		return unstated;
	*ret_raw = !memcmp(e + 4, "\0\0\0\3raw\0\0\0\0", 12);
	if (!*ret_raw && memcmp(e + 4, "\0\0\0\5qcow2\0\0", 12) != 0)
		return unstated;
	for (at += sizeof e; at + 8 <= end;) {
		if (pread(fd, e, 8, (off_t)at) != 8)
			return damaged;
		uint64_t type = big_endian(e, 4);
		uint64_t len = big_endian(e + 4, 4);
		if (!type)
			return NULL;
		if (type != FEATURE_NAMES && type != BITMAPS)
			return "its header has an unknown extension";
		at += 8 + (len + 7) / 8 * 8;
	}
	return at <= end ? NULL : damaged;
}

static const char *read_backing(
	int fd, const unsigned char *header, uint64_t header_len, struct qcow2 *ret)
{
	uint64_t offset = big_endian(header + 8, 8);
	uint64_t size = big_endian(header + 16, 4);
	uint64_t cluster_bits = big_endian(header + 20, 4);
	uint64_t end = cluster_bits <= 21 ? 1UL << cluster_bits : 0;
	if (end > LIBVIRT_READS)
		end = LIBVIRT_READS;
	if (size >= sizeof ret->backing || offset > end || size > end - offset ||
		offset < header_len ||
		pread(fd, ret->backing, size, (off_t)offset) != (ssize_t)size ||
		strnlen(ret->backing, size) != size)
		return damaged;
	ret->backing[size] = '\0';
	return read_backing_format(fd, header_len, offset, &ret->raw);
}

const char *qcow2_read(int fd, struct qcow2 *ret)
{
	unsigned char header[HEADER_3_TODAY] = { 0 };
	ret->backing[0] = '\0';
	if (!qcow2_is(fd) || pread(fd, header, sizeof header, 0) < HEADER_2)
		return "it is not a qcow2 image";
	uint64_t version = big_endian(header + 4, 4);
	uint64_t header_len = version == 2 ? HEADER_2 : big_endian(header + 100, 4);
	if (version != 2 && version != 3)
		return "its version of qcow2 is unknown";
	if (version == 3 && header[79] & EXTERNAL_DATA)
		return "its header names an external data file";
	if (big_endian(header + 60, 4) > SNAPSHOTS_MAX)
		return "it holds more than 1000 snapshots";
	if (!big_endian(header + 8, 8))
		return NULL;
	if (version == 3 && header_len != HEADER_3 && header_len != HEADER_3_TODAY)
		return damaged;
	return read_backing(fd, header, header_len, ret);
}
_Static_assert(SNAPSHOTS_MAX == 1000, "stated in qcow2_read()");

/* Compares the name of a snapshot in the table, whose entries are padded to 8; -1: damaged. */
static int read_snapshot_entry(
	int fd, uint64_t at, const char *name, bool *ret_same, uint64_t *ret_next)
{
	enum { ENTRY = 40, EXTRA_MAX = 1024 };
	unsigned char e[ENTRY];
	char has[256];
	if (pread(fd, e, sizeof e, (off_t)at) != sizeof e)
		return -1;
	uint64_t id_len = big_endian(e + 12, 2);
	uint64_t name_len = big_endian(e + 14, 2);
	uint64_t extra_len = big_endian(e + 36, 4);
	uint64_t name_at = at + ENTRY + extra_len + id_len;
	if (extra_len > EXTRA_MAX)
		return -1;
	*ret_next = (name_at + name_len + 7) / 8 * 8;
	*ret_same = name_len < sizeof has && strlen(name) == name_len &&
		pread(fd, has, name_len, (off_t)name_at) == (ssize_t)name_len &&
		!memcmp(has, name, name_len);
	return 0;
}

bool qcow2_lacks_snapshot(int fd, const char *name)
{
	unsigned char header[HEADER_2];
	bool same = false;
	if (!qcow2_is(fd) || pread(fd, header, sizeof header, 0) != sizeof header)
		return false;
	uint64_t count = big_endian(header + 60, 4);
	uint64_t at = big_endian(header + 64, 8);
	if (count > SNAPSHOTS_MAX || at > INT64_MAX / 2)
		return false;
	for (uint64_t i = 0; i < count && !same; i++)
		if (read_snapshot_entry(fd, at, name, &same, &at) < 0)
			return false;
	return !same;
}

bool qcow2_is_written(int fd)
{
	enum { LOCK_OF_WRITERS = 100 + 1 };
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = LOCK_OF_WRITERS,
		.l_len = 1,
	};
	return !fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK;
}

/* Writing */

static void put_big_endian(unsigned char *to, int bytes, uint64_t value)
{
	for (int i = 0; i < bytes; i++)
		to[i] = (unsigned char)(value >> 8 * (bytes - 1 - i));
}

/*
 * An empty image consists of these clusters: the header, the table of reference counts, the single
 * block of counts that it needs, and the first table of the mapping, whose entries are all 0.
 */
enum { AT_HEADER, AT_COUNT_TABLE, AT_COUNTS, AT_MAP };
enum { CLUSTER_BITS = 16, CLUSTER = 1 << CLUSTER_BITS };
/* Bytes that one entry of the first table maps: it points to a cluster of entries of 8 bytes. */
#define MAPPED_BY_ENTRY ((uint64_t)CLUSTER * (CLUSTER / 8))
#define MAP_CLUSTERS_MAX ((QCOW2_CAPACITY_MAX / MAPPED_BY_ENTRY * 8 + CLUSTER - 1) / CLUSTER)
enum { CLUSTERS_MAX = AT_MAP + MAP_CLUSTERS_MAX };
_Static_assert(CLUSTERS_MAX <= CLUSTER / 2, "one block of counts is enough");

static bool write_tables(int fd, size_t clusters)
{
	unsigned char entry[8];
	unsigned char counts[CLUSTERS_MAX * 2];
	put_big_endian(entry, 8, AT_COUNTS * (uint64_t)CLUSTER);
	for (size_t i = 0; i < clusters; i++)
		put_big_endian(counts + 2 * i, 2, 1);
	return pwrite(fd, entry, sizeof entry, (off_t)AT_COUNT_TABLE * CLUSTER) == sizeof entry &&
		pwrite(fd, counts, 2 * clusters, (off_t)AT_COUNTS * CLUSTER) ==
		(ssize_t)(2 * clusters) &&
		!ftruncate(fd, (off_t)clusters * CLUSTER);
}

bool qcow2_write_empty(int fd, uint64_t capacity)
{
	unsigned char header[HEADER_3] = "QFI\xfb";
	uint64_t entries = (capacity + MAPPED_BY_ENTRY - 1) / MAPPED_BY_ENTRY;
	size_t clusters = AT_MAP + (size_t)((entries * 8 + CLUSTER - 1) / CLUSTER);
	if (clusters > CLUSTERS_MAX || capacity % QCOW2_SECTOR) {
		errno = EINVAL;
		return false;
	}
	put_big_endian(header + 4, 4, 3); /* version */
	put_big_endian(header + 20, 4, CLUSTER_BITS);
	put_big_endian(header + 24, 8, capacity);
	put_big_endian(header + 36, 4, entries);
	put_big_endian(header + 40, 8, AT_MAP * (uint64_t)CLUSTER);
	put_big_endian(header + 48, 8, AT_COUNT_TABLE * (uint64_t)CLUSTER);
	put_big_endian(header + 56, 4, 1); /* clusters of that table */
	put_big_endian(header + 96, 4, 4); /* reference counts of 2 to the 4th bits */
	put_big_endian(header + 100, 4, HEADER_3);
	return pwrite(fd, header, sizeof header, (off_t)AT_HEADER * CLUSTER) == sizeof header &&
		write_tables(fd, clusters);
}
