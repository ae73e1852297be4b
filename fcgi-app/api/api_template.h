/* SPDX-License-Identifier: MIT */
#pragma once
/* Handlers of templates; what each is for stands in its row of routes.c. */
#include "api/api.h"

api_handler api_template_list;
extern const struct field api_template_list_answer[];
