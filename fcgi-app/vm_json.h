/* SPDX-License-Identifier: MIT */
#pragma once
/* A VM as lists and answers to actions show it. Thread-safe: no state. */
#include "domain.h"
#include "field.h"

extern const struct field vm_json_fields[];

/* The caller owns it. */
struct json *vm_json(const struct host *host, const struct vm *vm);
