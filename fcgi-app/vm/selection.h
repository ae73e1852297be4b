/* SPDX-License-Identifier: MIT */
#pragma once
/* Which VMs a list or an action on many means. Thread-safe: no state. */
#include "format/field.h"
#include "libvirt/domain.h"

/* A longer name than any that there can be: such a one is answered "not found", not refused. */
enum { REF_BYTES_MAX = 256 };

/* How a client says it, as rows of a table of fields. */
/* clang-format off */
#define SELECTION_FIELDS \
	{ "state", .type = FIELD_TEXT, .max = 128, .says = "states, separated by commas", \
		.example = "\"running,paused\"" }, \
	{ "name", .type = FIELD_TEXT, .max = REF_BYTES_MAX, .says = "a pattern with * and ?", \
		.example = "\"web-*\"" }, \
	{ "label", .type = FIELD_TEXT, .max = 1024, \
		.says = "NAME or NAME=TEXT, several separated by commas: all must fit", \
		.example = "\"tier=front\"" }
/* clang-format on */

struct selection {
	unsigned states;   /* 1 << enum vm_state each; 0: any */
	const char *name;  /* with * and ?; NULL: any */
	const char *label; /* NAME or NAME=TEXT, several separated by commas; NULL: any */
};

/*
 * From texts, of which each may be NULL: states are names separated by commas. ERR_BAD_REQUEST. The
 * texts live as long as the selection.
 */
int selection_read(const char *states, const char *name, const char *label, struct selection *ret,
	struct err *err);

/* A VM of a vm_list, which has its labels. All that is said must hold. */
bool selection_has(const struct selection *selection, const struct vm *vm);
