/* SPDX-License-Identifier: MIT */
#pragma once
/* Handlers of everything that takes or gives domain XML; see api.h. */
#include "api/api.h"

api_handler api_domain_create;
api_handler api_domain_create_transient;
api_handler api_domain_get;
api_handler api_domain_put;

extern const struct field api_domain_create_answer[];
extern const struct field api_domain_put_answer[];
extern const struct field api_domain_dry_answer[];
