/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "api/openapi.h"

#include <stdio.h>
#include <string.h>

const struct field api_docs_answer[] = {
	{ "openapi", .type = FIELD_TEXT, .example = "\"3.1.0\"" },
	{ "info", .type = FIELD_FREE },
	{ "servers", .type = FIELD_FREE },
	{ "security", .type = FIELD_FREE },
	{ "tags", .type = FIELD_FREE },
	{ "paths", .type = FIELD_FREE },
	{ "components", .type = FIELD_FREE },
	{ 0 },
};

int api_docs_prepare(struct api *api, struct err *err)
{
	AUTO(json_free) struct json *document = openapi_json(api->routes, api->route_count);
	if (json_text(document, &api->document.text, &api->document.len, err) < 0)
		return -1;
	etag_make(api->document.text, api->document.len, api->document.etag);
	return 0;
}

int api_docs_get(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct api *api = call->api;
	(void)snprintf(reply->etag, sizeof reply->etag, "%s", api->document.etag);
	if (api_is_held(call, reply))
		return 0;
	reply->body = malloc(api->document.len + 1);
	if (!reply->body)
		return err_memory(err);
	memcpy(reply->body, api->document.text, api->document.len + 1);
	reply->body_len = api->document.len;
	reply->type = "application/json";
	return 0;
}
