/* SPDX-License-Identifier: MIT */
#pragma once
/* A VM as lists and answers to actions show it. Thread-safe: no state. */
#include "format/field.h"
#include "vm/host.h"

extern const struct field vm_json_fields[];
extern const struct field vm_json_item_fields[]; /* what a list adds */

/* The caller owns what these return. */
struct json *vm_json(const struct host *host, const struct vm *vm);
struct json *vm_json_item(const struct host *host, const struct vm *vm); /* of a vm_list */
struct json *vm_json_labels(const struct labels *labels);
