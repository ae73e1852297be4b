/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A QEMU command line read: what guest it makes, as far as libvirt can say it, and what became of
 * each option. The options are those of QEMU 7.2 that unikernels and Linux guests are started
 * with (kraft, ops, solo5, Debian's own examples); the table of qemu_argv.c is also the document.
 *
 * All texts belong to the struct qemu_argv. Thread-safe: no state.
 */
#include "convert/qemu_option.h"

#include <stdio.h>

struct qemu_argv {
	struct qemu_guest guest;
	struct qemu_option *options; /* own what the guest's texts point to */
	size_t option_count;
	struct qemu_item *items; /* in the order of the command line */
	size_t item_count;
};

/*
 * The words live at least as long as *ret. What stands before QEMU's own name (sudo, assignments)
 * is dropped. ERR_INVALID_SPEC when it is no QEMU command line, or a value is no value.
 */
int qemu_argv_read(const char *const *words, size_t count, struct qemu_argv *ret, struct err *err);
void qemu_argv_done(struct qemu_argv *argv);

const char *qemu_outcome_name(enum qemu_outcome outcome);

/* The tables, as Markdown. */
void qemu_argv_print(FILE *out);
