/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A secret that all virtgates of a host share: 32 random bytes in a file that its owner alone may
 * read. It makes what is derived from it the same in all of them, and unknown to their clients.
 */
#include "base/err.h"

enum { SECRET_SIZE = 32 };

/*
 * Reads the file. The first process that finds it missing makes it; *ret_made is true then. A file
 * that others may read, or that has another size, is an error: ERR_INTERNAL.
 */
int secret_share(
	const char *path, unsigned char ret[static SECRET_SIZE], bool *ret_made, struct err *err);

/* One that no other process has. */
void secret_make(unsigned char ret[static SECRET_SIZE]);
