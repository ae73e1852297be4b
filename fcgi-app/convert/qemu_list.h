/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The values of QEMU's options: "driver,key=value,flag", a comma in a value doubled (QEMU's
 * util/keyval.c and util/qemu-option.c), or the same as a JSON object, whose inner objects become
 * keys with dots. Each key is taken at most once, so that what nobody took can be told.
 * Thread-safe: no state.
 */
#include "format/json.h"

enum { QEMU_LIST_MAX = 48 };

struct qemu_list {
	char *memory;
	struct {
		const char *key, *value; /* the value of a flag is "on", of "noflag" "off" */
		bool flag;               /* it was a word alone */
		bool taken;
	} item[QEMU_LIST_MAX];
	size_t count;
};

/* `first` is the key of a first value that has none; NULL: it is a flag. ERR_INVALID_SPEC. */
int qemu_list_parse(const char *text, const char *first, struct qemu_list *ret, struct err *err);
void qemu_list_done(struct qemu_list *list);

/* The value of a key, of several the last; NULL: there is none. Taken is taken. */
const char *qemu_list_take(struct qemu_list *list, const char *key);
/* The same without taking it. */
const char *qemu_list_look(const struct qemu_list *list, const char *key);
/* Takes these keys (separated by |), or all, which nothing is lost by. */
void qemu_list_ignore(struct qemu_list *list, const char *keys);
void qemu_list_ignore_all(struct qemu_list *list);
/* Is it there and not "off" or "no"? */
bool qemu_list_take_flag(struct qemu_list *list, const char *key);
