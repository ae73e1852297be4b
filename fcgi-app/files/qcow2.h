/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Headers of qcow2 images (QEMU's docs/interop/qcow2.txt): where they lead, and how an empty image
 * is written. libvirt 9.0.0 parses a header before QEMU does, and differs from the specification,
 * so only headers pass that both read in the same way: those that QEMU and qemu-img write.
 * Thread-safe: no state.
 */
#include "base/base.h"

struct qcow2 {
	char backing[1024]; /* the backing file's name, or "" */
	bool raw;           /* the header states that it is raw, else qcow2 */
};

/* NULL, or the reason in words why the image may not be used. */
const char *qcow2_read(int fd, struct qcow2 *ret);
bool qcow2_is(int fd); /* does it begin like one? */

/* The size of the disk that the guest sees, in bytes; -1 if it cannot be read. */
int64_t qcow2_capacity(int fd);

/* Does the image lack a snapshot of this name? False, too, if its table cannot be read. */
bool qcow2_lacks_snapshot(int fd, const char *name);

/*
 * Is it open for writing in a QEMU? QEMU holds a lock on the byte that means writing
 * (block/file-posix.c, RAW_LOCK_PERM_BASE), if the file system supports locks.
 */
bool qcow2_is_written(int fd);

/*
 * Writes an image without content into an empty file, which stays sparse. The guest sees a disk of
 * `capacity` bytes, which is a multiple of QCOW2_SECTOR. false and errno.
 */
enum { QCOW2_SECTOR = 512 };
#define QCOW2_CAPACITY_MAX (64LL << 40)
bool qcow2_write_empty(int fd, uint64_t capacity);
