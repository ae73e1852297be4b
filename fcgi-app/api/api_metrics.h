/* SPDX-License-Identifier: MIT */
#pragma once
/* Handler of /metrics; what it is for stands in its row of routes.c. */
#include "api/api.h"

/* So many VMs have samples of their own; of more there are totals alone. */
enum { API_METRICS_VMS_MAX = 1000 };

api_handler api_metrics_get;
