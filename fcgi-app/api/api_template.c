/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "definition/template.h"

static const struct field template_fields[] = {
	{ "name", .type = FIELD_TEXT, FROM(struct template_info, name),
		.example = "\"helloworld\"" },
	{ "title", .type = FIELD_TEXT, FROM(struct template_info, title) },
	{ "description", .type = FIELD_TEXT, FROM(struct template_info, description) },
	{ "error", .type = FIELD_TEXT, FROM(struct template_info, error), .optional = true,
		.says = "why the template cannot be used; absent if it can" },
	{ 0 },
};

struct templates {
	const struct template_info *items;
	size_t count;
};

const struct field api_template_list_answer[] = {
	{ "items", .type = FIELD_LIST, .of = template_fields,
		FROM_LIST(struct templates, items, count) },
	{ 0 },
};

int api_template_list(struct api_call *call, struct api_reply *reply, struct err *err)
{
	AUTO(free) struct template_info *list = NULL;
	size_t count = 0;
	if (template_list(call->api->config, &list, &count, err) < 0)
		return -1;
	return api_reply_answer(call, &(struct templates){ list, count }, reply, err);
}
