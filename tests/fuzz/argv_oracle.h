/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a QEMU command line does to the host, judged by somebody who has never heard of domain XML
 * or of the policy: it reads what virConnectDomainXMLToNative() writes (environment and arguments,
 * quoted for a shell) and knows what QEMU 7.2 does with each option. Default deny: an option or a
 * property that the tables of argv_table.c do not list is refused, whatever it may mean.
 *
 * Files count by where they really lie, symbolic links followed. Not seen is what the conversion
 * leaves out: all that an interface has but its model, what an image's header names (but see
 * traps), and whatever libvirtd itself does with files before QEMU starts. Thread-safe: no state.
 */
#include "base/base.h"

/* What a VM may touch. */
struct argv_world {
	const char *images; /* directories, absolute */
	const char *shares;
	const char *logs;
	const char *traps; /* files of images whose qcow2 header leads out of it, separated by | */
};

/* Does it stay within that world? If not, why says which word does not, and why. */
enum { ARGV_WHY_SIZE = 512 };
bool argv_stays_within(
	const char *command, const struct argv_world *world, char why[static ARGV_WHY_SIZE]);
