/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a start needs of this machine and of the settings. A start and --check look at it by the
 * same code, so that what --check accepts starts. For the main thread.
 */
#include "base/config.h"
#include "base/secret.h"
#include "libvirt/hypervisor.h"

/*
 * Prints a line to stderr for each thing that is missing: a system call, a directory, the group, a
 * path or an address to listen on. Returns their number; a start would fail in the same way again.
 */
int startup_check(const struct config *config);

/*
 * Makes the VMs' locks hold for all virtgates of this host: their sockets lie in one directory, for
 * nginx to balance between them, and the lock file lies beside the sockets. ERR_INTERNAL.
 */
int startup_share_gates(
	const struct config *config, struct hypervisor *hypervisor, struct err *err);

/*
 * Reads the secret that all virtgates of this host share, beside the lock file; makes it if it is
 * missing. On TCP, the secret is this process's own. *ret_note is what to say of it, or NULL.
 * ERR_INTERNAL.
 */
int startup_share_secret(const struct config *config, unsigned char ret[static SECRET_SIZE],
	const char **ret_note, struct err *err);

/*
 * Prints a line to stderr for each directory of VMs' files that virtgate may not use, and with
 * `notes` for each that does not exist. Returns the number of the former: virtgate starts without
 * them, but no VM can have such a file. For a host whose VMs have files on this machine.
 */
int startup_check_files(const struct config *config, bool notes);
