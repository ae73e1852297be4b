/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The OpenAPI 3.1 description of the API, made of the route table and its field tables alone, so
 * that it cannot say other than what the program does. Thread-safe: no state.
 */
#include "api/api.h"

/* The caller owns it. */
struct json *openapi_json(const struct route *routes, size_t count);
