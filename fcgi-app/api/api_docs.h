/* SPDX-License-Identifier: MIT */
#pragma once
/* The handler of the OpenAPI document; what it is for stands in its row of routes.c. */
#include "api/api.h"

api_handler api_docs_openapi;

/* Makes the document, once: it is the same for everybody. The caller frees api->document.text. */
int api_docs_prepare(struct api *api, struct err *err);
extern const struct field api_docs_openapi_answer[];
