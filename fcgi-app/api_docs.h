/* SPDX-License-Identifier: MIT */
#pragma once
/* The handler of the OpenAPI document; what it is for stands in its row of routes.c. */
#include "api.h"

api_handler api_docs_openapi;
extern const struct field api_docs_openapi_answer[];
