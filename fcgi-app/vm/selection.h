/* SPDX-License-Identifier: MIT */
#pragma once
/* Which VMs a list, or an action on many VMs, is for. Thread-safe: no state. */
#include "format/field.h"
#include "libvirt/domain.h"

/* Longer than any name: a ref that no VM can have is "not found", not a bad request. */
enum { REF_BYTES_MAX = 256 };

/* A client's selection, as rows of a field table. */
/* clang-format off */
#define SELECTION_FIELDS \
	{ "state", .type = FIELD_TEXT, .max = 128, .says = "states, separated by commas", \
		.example = "\"running,paused\"" }, \
	{ "name", .type = FIELD_TEXT, .max = REF_BYTES_MAX, .says = "a pattern with * and ?", \
		.example = "\"web-*\"" }, \
	{ "label", .type = FIELD_TEXT, .max = 1024, \
		.says = "NAME or NAME=TEXT, separated by commas: a VM must have all", \
		.example = "\"tier=front\"" }
/* clang-format on */

struct selection {
	unsigned states;   /* bits 1 << enum vm_state; 0: any */
	const char *name;  /* with * and ?; NULL: any */
	const char *label; /* NAME or NAME=TEXT, several separated by commas; NULL: any */
};

/*
 * From texts, each of which may be NULL: states are names separated by commas. The texts must live
 * as long as the selection. ERR_BAD_REQUEST.
 */
int selection_read(const char *states, const char *name, const char *label, struct selection *ret,
	struct err *err);

/* Does the VM, which is from a vm_list and so has its labels, match in all respects? */
bool selection_has(const struct selection *selection, const struct vm *vm);
