/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Paths of the host that a client may name: only beneath a root directory, symbolic links
 * followed, and only to files that lead nowhere else.
 *
 * What is looked at is this machine at this moment. libvirt opens the path again later, so whoever
 * can write beneath the root on the host itself can still exchange a file in between; and where
 * libvirt is on another machine only the path's text is checked. Thread-safe: no state.
 */
#include "base/base.h"

enum hostpath_kind {
	HOSTPATH_FILE,  /* a kernel, an initrd, a raw image: its content leads nowhere */
	HOSTPATH_IMAGE, /* qcow2: neither backing file nor data file outside the root */
	/* The same, looked at before: what may not be read by now passes. */
	HOSTPATH_SEEN_IMAGE,
	/* And no QEMU that runs may be writing to it: its guest could change the header meanwhile.
	 */
	HOSTPATH_IDLE_IMAGE,
	HOSTPATH_DIRECTORY, /* a share */
	HOSTPATH_NEW_FILE,  /* a log */
};

/*
 * NULL when the path may be used, else the rule that it breaks, in words. A share and a qcow2 image
 * must exist; of another file that does not (yet), the directories that do lie beneath the root.
 */
const char *hostpath_refusal(const char *root, const char *path, enum hostpath_kind kind);

/* The rule that HOSTPATH_IDLE_IMAGE adds, by its address. */
extern const char hostpath_in_use[];
/* No rule: there is no descriptor or memory to look with; it may be right another time. */
extern const char hostpath_exhausted[];

/* Does the file beneath the root begin as a qcow2 image? -1: exhausted, too. */
int hostpath_is_qcow2(const char *root, const char *path);

/*
 * The path from the root on; NULL when it does not lie beneath it, by its text alone. A root may
 * end in slashes.
 */
const char *hostpath_below(const char *root, const char *path);

/* fstat() of what lies there, links followed, without opening it; -1 and errno. */
struct stat;
int hostpath_stat(const char *root, const char *path, struct stat *ret);

/* Opens a file or directory beneath the root for reading, links followed; -1 and errno. */
int hostpath_open(const char *root, const char *path);

/*
 * Makes a file beneath the root that is not there yet, and opens it for writing; no link is
 * followed. -1 and errno.
 */
int hostpath_create(const char *root, const char *path, unsigned mode);

/*
 * Removes a regular file beneath the root, no link followed, if it is this one. NULL, or why not,
 * in words.
 */
const char *hostpath_remove(const char *root, const char *path, uint64_t dev, uint64_t inode);
