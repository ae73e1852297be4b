/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Paths of the host that a client may name: only beneath a root directory, symbolic links followed,
 * and only to files whose backing files lie there too.
 *
 * A check is about this machine at this moment. libvirt opens the path again later, so anybody who
 * can write beneath the root on the host can still exchange a file between the check and the use.
 * Where the root does not exist here, libvirt may run on another machine, and only the text of the
 * path is checked. Thread-safe: no state.
 *
 * In the functions below, a path is absolute, and a root is an absolute directory that may end in
 * slashes.
 */
#include "base/base.h"

/* Can this process resolve paths at all? -1 and errno: a kernel or a sandbox without openat2(2). */
int hostpath_probe(void);

enum hostpath_kind {
	HOSTPATH_FILE,       /* a kernel, an initrd, a raw image: its content leads nowhere */
	HOSTPATH_IMAGE,      /* a qcow2 image: all files of its chain lie beneath the root */
	HOSTPATH_SEEN_IMAGE, /* the same, checked before: it passes if virtgate can no longer read
				it */
	HOSTPATH_IDLE_IMAGE, /* the same, and no running QEMU may be writing to a file of the chain:
				its guest could change the header */
	HOSTPATH_DIRECTORY,  /* a share */
	HOSTPATH_NEW_FILE,   /* a log */
};

/*
 * NULL if the path may be used, else the rule that it breaks, in words. A share and a qcow2 image
 * must exist; any other path may be missing if those of its directories that exist lie beneath the
 * root.
 */
const char *hostpath_refusal(const char *root, const char *path, enum hostpath_kind kind);

/* The same by the path's text alone: no file is looked at. */
const char *hostpath_text_refusal(const char *root, const char *path);

/* Two results of hostpath_refusal(), to be compared by address. */
extern const char hostpath_in_use[];    /* the rule that HOSTPATH_IDLE_IMAGE adds */
extern const char hostpath_exhausted[]; /* no descriptor or memory: the path may be right later */

/* Does the file beneath the root begin like a qcow2 image? -1: exhausted, as above. */
int hostpath_is_qcow2(const char *root, const char *path);

/*
 * The part of the path below the root; NULL if the path's text does not lie beneath the root, has a
 * component "." or "..", or has too many components.
 */
const char *hostpath_below(const char *root, const char *path);

/* fstat() of what lies at the path, links followed, without opening it; -1 and errno. */
struct stat;
int hostpath_stat(const char *root, const char *path, struct stat *ret);

/* Opens a file or directory beneath the root for reading, links followed; -1 and errno. */
int hostpath_open(const char *root, const char *path);

/*
 * Creates a file beneath the root, which must not exist, and opens it for writing; follows no link.
 * Only its owner may use it: an image has a guest's disk, and in snapshots its memory. -1 and
 * errno.
 */
int hostpath_create(const char *root, const char *path);

/*
 * Removes a regular file beneath the root if it is the one with this device and inode; follows no
 * link. NULL, or the reason in words why it was not removed.
 */
const char *hostpath_remove(const char *root, const char *path, uint64_t dev, uint64_t inode);
