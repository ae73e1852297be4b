/* SPDX-License-Identifier: MIT */
/*
 * JSON bodies, each held against the fields of every route that has some. What is let through is
 * printed and read again as the same.
 */
#include "fuzz.h"

#include "api/routes.h"
#include "base/text.h"

static void print_and_read_again(const struct json *value)
{
	AUTO(json_free) struct json *again = NULL;
	AUTO(free) char *once = NULL;
	AUTO(free) char *twice = NULL;
	size_t once_len = 0;
	size_t twice_len = 0;
	struct err err;
	insist(!json_text(value, &once, &once_len, &err), "it cannot be printed: %s", err.text);
	insist(!json_parse(once, once_len, &again, &err), "%s: %s", err.text, once);
	insist(!json_text(again, &twice, &twice_len, &err), "%s", err.text);
	insist(once_len == twice_len && !memcmp(once, twice, once_len), "%s became %s", once,
		twice);
}

static void check_error(const struct err *err)
{
	insist(err_status(err->kind) == 400, "%s: %s", err_code(err->kind), err->text);
	insist(err->text[0] && text_is_utf8(err->text, strlen(err->text)), "an error's text");
	insist(text_is_utf8(err->hint, strlen(err->hint)), "an error's hint");
}

/* A body that is let through has only members that the table knows. */
static int insist_is_known(const char *name, const struct json *value, void *data)
{
	(void)value;
	insist(field_find(data, name), "'%s' is no field", name);
	return 0;
}

static void hold_against(const struct field *fields, const struct json *value)
{
	struct err err;
	if (field_check_object(fields, value, &err) < 0) {
		check_error(&err);
		return;
	}
	insist(json_kind_of(value) == JSON_IS_OBJECT, "a body that is no object");
	(void)json_each(value, insist_is_known, (void *)(uintptr_t)fields);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(json_free) struct json *value = NULL;
	AUTO(free) char *text = malloc(size + 1); /* ends with a NUL, as a request's body does */
	struct err err;
	insist(text, "memory");
	memcpy(text, data, size);
	text[size] = '\0';
	if (json_parse(text, size, &value, &err) < 0) {
		check_error(&err);
		return 0;
	}
	print_and_read_again(value);
	for (size_t i = 0; i < route_count; i++)
		if (routes[i].fields)
			hold_against(routes[i].fields, value);
	return 0;
}
