/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Reads a QEMU command line: the guest that it makes, as far as libvirt supports it, and what
 * became of each option. The options are those of QEMU 7.2 with which unikernels and Linux guests
 * are started (kraft, ops, solo5, Debian's examples). docs/qemu-to-libvirt.md has the tables.
 *
 * The struct qemu_argv owns all texts. Thread-safe: no state.
 */
#include "convert/qemu_option.h"

#include <stdio.h>

struct qemu_argv {
	struct qemu_guest guest;
	struct qemu_option *options; /* own the texts of the guest */
	size_t option_count;
	struct qemu_item *items; /* in the order of the command line */
	size_t item_count;
};

/*
 * The words must outlive *ret. Words before QEMU's name (sudo, assignments) are dropped.
 * ERR_INVALID_SPEC for anything but a QEMU command line, and for a bad value.
 */
int qemu_argv_read(const char *const *words, size_t count, struct qemu_argv *ret, struct err *err);
void qemu_argv_done(struct qemu_argv *argv);

const char *qemu_outcome_name(enum qemu_outcome outcome);

/* The tables, as Markdown. */
void qemu_argv_print(FILE *out);
