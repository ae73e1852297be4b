/* SPDX-License-Identifier: MIT */
#pragma once
/* The handler of a VM's counters; what each is for stands in its row of routes.c. */
#include "api/api.h"

api_handler api_vm_stats;

extern const struct field api_vm_stats_answer[];
