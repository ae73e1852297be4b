/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "definition/template.h"

static const struct field template_fields[] = {
	{ "name", .type = FIELD_TEXT, .example = "\"helloworld\"" },
	{ "title", .type = FIELD_TEXT },
	{ "description", .type = FIELD_TEXT },
	{ "error", .type = FIELD_TEXT, .optional = true, .says = "why it cannot be used" },
	{ 0 },
};

const struct field api_template_list_answer[] = {
	{ "items", .type = FIELD_LIST, .of = template_fields },
	{ 0 },
};

static struct json *template_json(const struct template_info *template)
{
	struct json *o = json_new_object();
	json_put_string(o, "name", template->name);
	json_put_string(o, "title", template->title);
	json_put_string(o, "description", template->description);
	if (template->error[0])
		json_put_string(o, "error", template->error);
	return o;
}

int api_template_list(struct api_call *call, struct api_reply *reply, struct err *err)
{
	AUTO(free) struct template_info *list = NULL;
	size_t count = 0;
	if (template_list(call->api->config, &list, &count, err) < 0)
		return -1;
	struct json *items = json_new_array();
	for (size_t i = 0; i < count; i++)
		json_push(items, template_json(&list[i]));
	struct json *answer = json_new_object();
	json_put(answer, "items", items);
	return api_reply_json(reply, answer, err);
}
