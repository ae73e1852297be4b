/* SPDX-License-Identifier: MIT */
#include "shape.h"

#include "base/text.h"

#include <string.h>

static bool is_within(const struct field *field, const struct json *value)
{
	int64_t n = json_get_int(value);
	return n >= field->min && (!field->max || n <= field->max);
}

static bool is_text(const struct json *value)
{
	size_t len = 0;
	const char *text = json_get_string(value, &len);
	return strlen(text) == len && text_is_utf8(text, len);
}

/* Each item of a list is as the table says; *ret_misfit is of the first that is not. */
static bool fits_list(const struct field *field, const struct json *value, const char **ret_misfit)
{
	bool texts = field->type == FIELD_TEXTS;
	for (size_t i = 0; i < json_length(value) && !*ret_misfit; i++) {
		const struct json *item = json_item(value, i);
		if (!texts)
			*ret_misfit = shape_misfit(field->of, item);
		else if (json_kind_of(item) != JSON_IS_STRING || !is_text(item))
			*ret_misfit = field->name;
	}
	return !*ret_misfit && (!field->max || json_length(value) <= (size_t)field->max);
}

static bool fits(const struct field *field, const struct json *value, const char **ret_misfit)
{
	enum json_kind kind = json_kind_of(value);
	size_t len = 0;
	if (kind == JSON_IS_NULL)
		return field->nullable || field->type == FIELD_FREE;
	switch (field->type) {
	case FIELD_TEXT:
	case FIELD_TIME:
		return kind == JSON_IS_STRING && is_text(value);
	case FIELD_WORD:
		return kind == JSON_IS_STRING &&
			text_is_word(field->words, '|', json_get_string(value, &len));
	case FIELD_FLAG:
		return kind == JSON_IS_BOOL;
	case FIELD_NUMBER:
		return kind == JSON_IS_INT && is_within(field, value);
	case FIELD_OBJECT:
		*ret_misfit = shape_misfit(field->of, value);
		return !*ret_misfit;
	case FIELD_LIST:
	case FIELD_TEXTS:
		return kind == JSON_IS_ARRAY && fits_list(field, value, ret_misfit);
	case FIELD_LABELS:
		return kind == JSON_IS_OBJECT;
	case FIELD_FREE:
	case FIELD_ALSO:
		break;
	}
	return true;
}

static const char *misfit_of(
	const struct field *fields, const struct json *object, bool all_optional)
{
	for (const struct field *f = fields; f && f->name; f++) {
		const char *misfit = NULL;
		if (f->type == FIELD_ALSO)
			misfit = misfit_of(f->of, object, all_optional || f->optional);
		else if (!json_has(object, f->name))
			misfit = all_optional || f->optional ? NULL : f->name;
		else if (!fits(f, json_member(object, f->name), &misfit) && !misfit)
			misfit = f->name;
		if (misfit)
			return misfit;
	}
	return NULL;
}

struct known {
	const struct field *fields;
	const char *unknown;
};

static int look_up(const char *name, const struct json *value, void *data)
{
	struct known *known = data;
	(void)value;
	if (!field_find(known->fields, name))
		known->unknown = name;
	return 0;
}

const char *shape_misfit(const struct field *fields, const struct json *object)
{
	struct known known = { .fields = fields };
	if (json_kind_of(object) != JSON_IS_OBJECT)
		return "an object";
	(void)json_each(object, look_up, &known);
	return known.unknown ? known.unknown : misfit_of(fields, object, false);
}
