// SPDX-License-Identifier: MIT
// Reads the files of a host's directory over virtio by 9P2000.L. Each call waits for the host's
// answer. A file that is open goes by a number of the caller's choice, from 1 on.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// Finds the device and attaches to its directory; false if there is none.
bool p9_mount(void);

// Opens a plain file. The path's parts are separated by '/'; none may be empty, "." or "..".
bool p9_open(uint32_t file, const char *path, uint64_t *ret_size);

// False if the file does not have that much at that place, any more.
bool p9_read(uint32_t file, uint32_t offset, void *buffer, uint32_t size);
void p9_close(uint32_t file);
