/* SPDX-License-Identifier: MIT */
/* The arguments of a call, read from its query and body: declared in api.h. */
#include "api/api.h"

#include <string.h>

const struct arg *api_arg(const struct api_call *call, const char *name)
{
	for (size_t i = 0; i < call->arg_count; i++)
		if (!strcmp(call->args[i].name, name))
			return &call->args[i];
	return NULL;
}

const char *api_text(const struct api_call *call, const char *name)
{
	const struct arg *arg = api_arg(call, name);
	return arg ? arg->text : NULL;
}

bool api_flag(const struct api_call *call, const char *name, bool preset)
{
	const struct arg *arg = api_arg(call, name);
	return arg ? arg->flag : preset;
}

struct target api_target(const struct api_call *call)
{
	return (struct target){
		.ref = api_text(call, "ref"),
		.if_match = call->req->if_match,
		.user = call->req->user,
	};
}

/* `given` is the name that the client has used. */
static int add_arg(struct api_call *call, const struct arg *arg, const char *given, struct err *err)
{
	if (api_arg(call, arg->name))
		return err_set(err, ERR_BAD_REQUEST, "%s: given twice", given);
	if (call->arg_count == API_ARGS_MAX)
		return err_set(err, ERR_BAD_REQUEST, "too many parameters");
	call->args[call->arg_count++] = *arg;
	return 0;
}

static const char *arg_name(const struct field *field)
{
	return field->as ? field->as : field->name;
}

int api_call_read_query(struct api_call *call, struct err *err)
{
	const struct field *fields = call->route->query;
	if (http_query_parse(call->req->target, &call->query, err) < 0)
		return -1;
	for (size_t i = 0; i < call->query.count; i++) {
		const char *name = call->query.param[i].name;
		const char *value = call->query.param[i].value;
		const struct field *field = field_find(fields, name);
		if (!field)
			return field_unknown(fields, "query parameter", name, err);
		bool flag = field->type == FIELD_FLAG && value[0] == '1';
		const struct arg arg = { arg_name(field), value, strlen(value), flag };
		if (field_check_param(field, value, err) < 0 || add_arg(call, &arg, name, err) < 0)
			return -1;
	}
	for (const struct field *f = fields; f && f->name; f++)
		if (f->required && !api_arg(call, arg_name(f)))
			return err_set(err, ERR_BAD_REQUEST, "%s: this query parameter is missing",
				f->name);
	return 0;
}

/* The kind of body that the Content-Type names; API_BODY_NONE: the route does not take it. */
static unsigned body_kind(const struct api_call *call)
{
	static const struct {
		const char *type;
		unsigned kind;
	} media[] = {
		{ "application/json", API_BODY_JSON },
		{ API_PATCH_TYPE, API_BODY_PATCH },
		{ "application/xml", API_BODY_XML },
		{ "text/xml", API_BODY_XML },
		{ "text/plain", API_BODY_TEXT },
	};
	/* JSON is a merge patch too, and {} is taken where there is no body. */
	unsigned taken = call->route->body;
	taken |= taken == API_BODY_XML ? 0 : API_BODY_JSON;
	for (size_t i = 0; i < ARRAY_LEN(media); i++)
		if (http_is_media_type(call->req->content_type, media[i].type))
			return taken & media[i].kind;
	return API_BODY_NONE;
}

static int refuse_media_type(const struct api_call *call, struct err *err)
{
	const char *type = call->req->content_type;
	static const char *const media[] = {
		[API_BODY_NONE] = "application/json",
		[API_BODY_JSON] = "application/json",
		[API_BODY_XML] = "application/xml",
		[API_BODY_JSON | API_BODY_XML] = "application/json or application/xml",
		[API_BODY_JSON | API_BODY_TEXT] = "application/json or text/plain",
		[API_BODY_PATCH] = API_PATCH_TYPE,
	};
	const char *right = media[call->route->body];
	if (!*type)
		return err_set(err, ERR_UNSUPPORTED_MEDIA_TYPE,
			"the body has no Content-Type: send %s", right);
	return err_set(err, ERR_UNSUPPORTED_MEDIA_TYPE,
		"this request does not take a body of type '%.64s': send %s", type, right);
}

struct member_args {
	struct api_call *call;
	struct err *err;
};

/* A member of a body that has been checked. */
static int add_member(const char *name, const struct json *value, void *data)
{
	struct member_args *args = data;
	struct arg arg = { .name = arg_name(field_find(args->call->route->fields, name)) };
	if (json_kind_of(value) == JSON_IS_STRING)
		arg.text = json_get_string(value, &arg.len);
	if (json_kind_of(value) == JSON_IS_BOOL)
		arg.flag = json_get_bool(value);
	return add_arg(args->call, &arg, name, args->err);
}

int api_call_check_body(const struct api_call *call, struct err *err)
{
	size_t len = call->req->body_len;
	if (!call->route->body && len > API_NO_BODY_MAX)
		return err_set(err, ERR_BAD_REQUEST, "body: this request takes no body");
	return len && body_kind(call) == API_BODY_NONE ? refuse_media_type(call, err) : 0;
}

int api_call_read_body(struct api_call *call, struct err *err)
{
	const struct http_req *req = call->req;
	if (!req->body_len && !call->route->fields)
		return 0;
	unsigned kind = req->body_len ? body_kind(call) : API_BODY_JSON;
	if (kind == API_BODY_XML || kind == API_BODY_TEXT) {
		const char *name = kind == API_BODY_XML ? "xml" : "text";
		const struct arg whole = { name, req->body, req->body_len, false };
		return add_arg(call, &whole, "the body", err);
	}
	if (!req->body_len)
		call->body = json_new_object();
	else if (json_parse(req->body, req->body_len, &call->body, err) < 0)
		return -1;
	if (field_check_object(call->route->fields, call->body, err) < 0)
		return -1;
	struct member_args args = { call, err };
	return json_each(call->body, add_member, &args);
}
