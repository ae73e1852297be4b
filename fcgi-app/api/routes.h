/* SPDX-License-Identifier: MIT */
#pragma once
/* The API: every route that there is. */
#include "api/api.h"

extern const struct route routes[];
extern const size_t route_count;
