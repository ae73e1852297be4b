/* SPDX-License-Identifier: MIT */
#pragma once
/* Handlers of the process and its hosts; what each is for stands in its row of routes.c. */
#include "api/api.h"

api_handler api_host_about;
api_handler api_host_get;
api_handler api_host_healthz;
api_handler api_host_readyz;
api_handler api_host_shutdown;

extern const struct field api_host_about_answer[];
extern const struct field api_host_get_answer[];
extern const struct field api_host_healthz_answer[];
extern const struct field api_host_readyz_answer[];
extern const struct field api_host_shutdown_answer[];
