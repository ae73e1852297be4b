/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The chain of files that a disk image consists of: the image, its backing file, that one's backing
 * file and so on, as libvirt and QEMU find them. Every caller that must know which files an image
 * leads to uses this module: the policy before libvirt opens an image, and the deletion
 * before an image is removed.
 *
 * The caller opens the files, because each caller has its own rules for which files it may open and
 * what a failure means:
 *	image_chain_start(&chain, path, IMAGE_QCOW2);
 *	do {
 *		AUTO(close) int fd = open(chain.path, …);
 *		step = image_chain_next(&chain, fd, &why);
 *	} while (step == IMAGE_STEP_BACKING);
 * A chain that leads to itself ends like any that is too long. Thread-safe: no state.
 */
#include "base/base.h"

/* What is stated of a file's format; nothing else is known here. */
enum image_format {
	IMAGE_RAW,      /* its content leads nowhere */
	IMAGE_QCOW2,    /* its header may lead to a backing file */
	IMAGE_UNSTATED, /* its first bytes decide */
};

enum {
	IMAGE_BACKING_MAX = 8,  /* backing files below an image; QEMU itself has no limit */
	IMAGE_PATH_SIZE = 2048, /* of an absolute path, with its terminator */
};

struct image_chain {
	char path[IMAGE_PATH_SIZE]; /* of the file that is to be opened next */
	enum image_format format;   /* as stated for it */
	int depth;                  /* backing files above it; 0: it is the image itself */
};

/* Starts at an image. false: the path is not absolute, or too long. */
bool image_chain_start(struct image_chain *chain, const char *path, enum image_format format);

enum image_step {
	IMAGE_STEP_END,       /* the file leads nowhere */
	IMAGE_STEP_BACKING,   /* chain->path is its backing file now */
	IMAGE_STEP_NOT_QCOW2, /* stated as qcow2, but is not: QEMU opens no file from here on */
	IMAGE_STEP_UNKNOWN,   /* it cannot be known, or not safely, where the file leads */
};

/*
 * Reads where the file that chain->path names, open as fd, leads. *ret_why becomes the reason in
 * words for the last two steps, else NULL.
 */
enum image_step image_chain_next(struct image_chain *chain, int fd, const char **ret_why);
