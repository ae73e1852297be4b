/* SPDX-License-Identifier: MIT */
#pragma once
/* The handler that shows one VM; what each is for stands in its row of routes.c. */
#include "api/api.h"

api_handler api_vm_get;

extern const struct field api_vm_get_answer[];
