/* SPDX-License-Identifier: MIT */
#include "api_docs.h"

#include "openapi.h"

const struct field api_docs_openapi_answer[] = {
	{ "openapi", .type = FIELD_TEXT, .example = "\"3.1.0\"" },
	{ "info", .type = FIELD_FREE },
	{ "servers", .type = FIELD_FREE },
	{ "security", .type = FIELD_FREE },
	{ "tags", .type = FIELD_FREE },
	{ "paths", .type = FIELD_FREE },
	{ "components", .type = FIELD_FREE },
	{ 0 },
};

int api_docs_openapi(struct api_call *call, struct api_reply *reply, struct err *err)
{
	struct json *document = openapi_json(call->api->routes, call->api->route_count);
	return api_reply_json(reply, document, err);
}
