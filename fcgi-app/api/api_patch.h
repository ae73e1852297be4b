/* SPDX-License-Identifier: MIT */
#pragma once
/* The handler of PATCH /v1/vms/{ref}, and what its row of routes.c needs. */
#include "api/api.h"

extern const struct field api_patch_query[];
extern const struct field api_patch_answer[];
api_handler api_patch_vm;
