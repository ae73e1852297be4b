/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The values of QEMU's options: "driver,key=value,flag", a comma in a value doubled (QEMU's
 * util/keyval.c and util/qemu-option.c), or the same as a JSON object, whose inner objects become
 * keys with dots. Readers take keys, so that the keys that no reader took can be reported.
 * Thread-safe: no state.
 */
#include "format/json.h"

enum { QEMU_LIST_MAX = 48 };

struct qemu_list {
	char *memory;
	struct {
		const char *key,
			*value; /* a flag has the value "on", a flag with "no" before it "off" */
		bool flag;      /* the key had no value */
		bool taken;
	} item[QEMU_LIST_MAX];
	size_t count;
};

/* `first` is the key of a first value without a key; NULL: that is a flag. ERR_INVALID_SPEC. */
int qemu_list_parse(const char *text, const char *first, struct qemu_list *ret, struct err *err);
void qemu_list_done(struct qemu_list *list);

/* Takes a key: its last value; NULL: the list does not have it. */
const char *qemu_list_take(struct qemu_list *list, const char *key);
/* The same, without taking the key. */
const char *qemu_list_look(const struct qemu_list *list, const char *key);
/* Takes keys (separated by |) that have no effect on the guest. */
void qemu_list_ignore(struct qemu_list *list, const char *keys);
/* Takes all keys, none of which has an effect on the guest. */
void qemu_list_ignore_all(struct qemu_list *list);
/* Takes a key; true if its value is neither "off" nor "no" nor "false". */
bool qemu_list_take_flag(struct qemu_list *list, const char *key);
