/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a qcow2 image's header leads to (QEMU's docs/interop/qcow2.txt). libvirt 9.0.0 reads headers
 * by itself before QEMU does, and not quite as the specification says, so only those are let
 * through that both can read in one way: those that QEMU and qemu-img write. And an image without
 * content can be made. Thread-safe: no state.
 */
#include "base/base.h"

struct qcow2 {
	char backing[1024]; /* the backing file's name, or "" */
	bool raw;           /* that is raw, else qcow2 */
};

/* NULL, or why the image is not let through, in words. */
const char *qcow2_read(int fd, struct qcow2 *ret);
bool qcow2_is(int fd); /* by its first bytes */

/* How large the guest sees it, in bytes; -1 when that cannot be read. */
int64_t qcow2_capacity(int fd);

/*
 * Does the image lack a snapshot of this name? False, too, when its table cannot be read: then
 * nobody knows.
 */
bool qcow2_lacks_snapshot(int fd, const char *name);

/*
 * Is it open for writing in some QEMU? That holds a lock on a byte that stands for writing
 * (block/file-posix.c, RAW_LOCK_PERM_BASE), where the file system has locks.
 */
bool qcow2_is_written(int fd);

/*
 * Writes an image without content into an empty file, which stays sparse: of `capacity` bytes as
 * the guest sees it, a multiple of 512. false and errno.
 */
enum { QCOW2_SECTOR = 512 };
#define QCOW2_CAPACITY_MAX (64LL << 40)
bool qcow2_write_empty(int fd, uint64_t capacity);
