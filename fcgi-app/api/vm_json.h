/* SPDX-License-Identifier: MIT */
#pragma once
/* A VM as lists and answers to actions show it. Thread-safe: no state. */
#include "api/api.h"

/* Tables about a struct vm; the context of their getters is the call. */
extern const struct field vm_json_fields[];
extern const struct field vm_json_item_fields[]; /* of a vm_list: with labels and errors */

/* A row "Vm", for answers that are a VM and more: its FROM() is a struct vm. */
#define VM_JSON_ALSO .type = FIELD_ALSO, .of = vm_json_fields
