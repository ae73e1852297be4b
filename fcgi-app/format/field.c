/* SPDX-License-Identifier: MIT */
#include "format/field.h"

#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct field *field_find(const struct field *fields, const char *name)
{
	for (; fields && fields->name; fields++) {
		const struct field *also =
			fields->type == FIELD_ALSO ? field_find(fields->of, name) : NULL;
		if (also)
			return also;
		if (fields->type != FIELD_ALSO && !strcmp(fields->name, name))
			return fields;
	}
	return NULL;
}

/* Appends to the n bytes in ret. Returns the new length, or what it would be without `size`. */
static size_t field_add_names(const struct field *fields, char *ret, size_t size, size_t n)
{
	for (; fields && fields->name && n < size; fields++) {
		if (fields->type == FIELD_ALSO)
			n = field_add_names(fields->of, ret, size, n);
		else
			n += (size_t)snprintf(
				ret + n, size - n, "%s%s", n ? ", " : "", fields->name);
	}
	return n;
}

int field_hint(const struct field *fields, struct err *err)
{
	char known[200] = "";
	(void)field_add_names(fields, known, sizeof known, 0);
	return known[0] ? err_hint(err, "accepted here: %s", known)
			: err_hint(err, "nothing is accepted here");
}

int field_unknown(const struct field *fields, const char *what, const char *name, struct err *err)
{
	(void)err_set(err, ERR_UNKNOWN_PARAMETER, "'%.100s' is not a %s here", name, what);
	return field_hint(fields, err);
}

/* Values; `at` is the place for the message. */

static int field_check_text(
	const struct field *field, const char *at, const char *text, size_t len, struct err *err)
{
	if (!len)
		return err_set(err, ERR_BAD_REQUEST, "%s: must not be empty", at);
	if (strlen(text) != len)
		return err_set(err, ERR_BAD_REQUEST, "%s: has a NUL character", at);
	if (len > (size_t)field->max)
		return err_set(err, ERR_BAD_REQUEST, "%s: %zu bytes are more than the %lld allowed",
			at, len, (long long)field->max);
	if (!text_is_xml(text))
		return err_set(err, ERR_BAD_REQUEST, "%s: has a control character", at);
	if (!field->markup && !text_is_plain(text))
		return err_set(err, ERR_BAD_REQUEST, "%s: may have " TEXT_PLAIN_RULE, at);
	return 0;
}

static int field_check_number(const struct field *field, const char *at, int64_t n, struct err *err)
{
	if (n >= field->min && n <= field->max)
		return 0;
	return err_set(err, ERR_BAD_REQUEST, "%s: %lld is not from %lld to %lld", at, (long long)n,
		(long long)field->min, (long long)field->max);
}

static int field_check_word(
	const struct field *field, const char *at, const char *text, struct err *err)
{
	if (text_is_word(field->words, '|', text))
		return 0;
	return err_set(
		err, ERR_BAD_REQUEST, "%s: '%.64s' is not one of %s", at, text, field->words);
}

int field_check_param(const struct field *field, const char *value, struct err *err)
{
	char *end = NULL;
	switch (field->type) {
	case FIELD_TEXT:
		return field_check_text(field, field->name, value, strlen(value), err);
	case FIELD_WORD:
		return field_check_word(field, field->name, value, err);
	case FIELD_FLAG:
		if (!strcmp(value, "0") || !strcmp(value, "1"))
			return 0;
		return err_set(
			err, ERR_BAD_REQUEST, "%s: '%.64s' is not 0 or 1", field->name, value);
	case FIELD_NUMBER:
		errno = 0;
		long long n = strtoll(value, &end, 10);
		if (errno || end == value || *end || strspn(value, "-0123456789") != strlen(value))
			return err_set(err, ERR_BAD_REQUEST, "%s: '%.64s' is not a whole number",
				field->name, value);
		return field_check_number(field, field->name, n, err);
	case FIELD_OBJECT:
	case FIELD_LIST:
	case FIELD_TEXTS:
	case FIELD_LABELS:
	case FIELD_TIME:
	case FIELD_FREE:
	case FIELD_ALSO:
		break;
	}
	return err_set(err, ERR_INTERNAL, "%s: no query parameter has such a type", field->name);
}

/* JSON */

/* The check of a body, and the place in it where the check is. */
struct body_check {
	char at[160];
	const struct field *fields;
	bool nullable; /* a label may be null, which removes it */
	struct err *err;
};

/* Extends the place. Returns its old length; the caller cuts it back to that. */
static size_t place_extend(struct body_check *check, const char *fmt, ...) FORMAT(2, 3);
static size_t place_extend(struct body_check *check, const char *fmt, ...)
{
	size_t n = strlen(check->at);
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(check->at + n, sizeof check->at - n, fmt, args);
	va_end(args);
	return n;
}

static int body_must_be(const struct body_check *check, const char *what)
{
	return err_set(check->err, ERR_BAD_REQUEST, "%s: must be %s",
		check->at[0] ? check->at : "body", what);
}

static int body_check_object(
	struct body_check *check, const struct field *fields, const struct json *object);

static int body_check_count(
	const struct body_check *check, const struct field *field, const struct json *value)
{
	if (json_length(value) <= (size_t)field->max)
		return 0;
	return err_set(check->err, ERR_BAD_REQUEST, "%s: %zu are more than the %lld allowed",
		check->at, json_length(value), (long long)field->max);
}

static int body_check_list(
	struct body_check *check, const struct field *field, const struct json *list)
{
	size_t count = json_length(list);
	if (body_check_count(check, field, list) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		size_t n = place_extend(check, "[%zu]", i);
		if (body_check_object(check, field->of, json_item(list, i)) < 0)
			return -1;
		check->at[n] = '\0';
	}
	return 0;
}

static int body_check_texts(
	struct body_check *check, const struct field *field, const struct json *texts)
{
	const struct field each = { .type = FIELD_TEXT, .max = field->min };
	size_t count = json_length(texts);
	size_t len = 0;
	if (body_check_count(check, field, texts) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		const struct json *item = json_item(texts, i);
		size_t n = place_extend(check, "[%zu]", i);
		if (json_kind_of(item) != JSON_IS_STRING)
			return body_must_be(check, "a string");
		const char *text = json_get_string(item, &len);
		/* Empty texts are allowed: these may be words of a command line. */
		if (len && field_check_text(&each, check->at, text, len, check->err) < 0)
			return -1;
		check->at[n] = '\0';
	}
	return 0;
}

static int body_check_label(const char *name, const struct json *value, void *data)
{
	static const struct field label = { "", .type = FIELD_TEXT, .max = FIELD_LABEL_BYTES_MAX };
	struct body_check *check = data;
	size_t len = 0;
	if (!text_is_name(name))
		return err_set(check->err, ERR_BAD_REQUEST, "%s: the name '%.64s' is not %s",
			check->at, name, TEXT_NAME_RULE);
	size_t n = place_extend(check, ".%s", name);
	if (json_kind_of(value) == JSON_IS_NULL && check->nullable) {
		check->at[n] = '\0';
		return 0;
	}
	if (json_kind_of(value) != JSON_IS_STRING)
		return body_must_be(check, "a string");
	const char *text = json_get_string(value, &len);
	if (len && field_check_text(&label, check->at, text, len, check->err) < 0)
		return -1;
	check->at[n] = '\0';
	return 0;
}

static int body_check_labels(
	struct body_check *check, const struct field *field, const struct json *labels)
{
	if (body_check_count(check, field, labels) < 0)
		return -1;
	check->nullable = field->nullable;
	return json_each(labels, body_check_label, check);
}

static int body_check_value(
	struct body_check *check, const struct field *field, const struct json *value)
{
	enum json_kind kind = json_kind_of(value);
	size_t len = 0;
	if (kind == JSON_IS_NULL && field->nullable)
		return 0;
	switch (field->type) {
	case FIELD_TEXT:
		if (kind != JSON_IS_STRING)
			return body_must_be(check, "a string");
		const char *text = json_get_string(value, &len);
		return field_check_text(field, check->at, text, len, check->err);
	case FIELD_WORD:
		if (kind != JSON_IS_STRING)
			return body_must_be(check, "a string");
		const char *word = json_get_string(value, &len);
		return field_check_word(
			field, check->at, strlen(word) == len ? word : "", check->err);
	case FIELD_FLAG:
		return kind == JSON_IS_BOOL ? 0 : body_must_be(check, "true or false");
	case FIELD_NUMBER:
		if (kind != JSON_IS_INT)
			return body_must_be(check, "a whole number");
		return field_check_number(field, check->at, json_get_int(value), check->err);
	case FIELD_OBJECT:
		return body_check_object(check, field->of, value);
	case FIELD_LIST:
		if (kind != JSON_IS_ARRAY)
			return body_must_be(check, "an array");
		return body_check_list(check, field, value);
	case FIELD_TEXTS:
		if (kind != JSON_IS_ARRAY)
			return body_must_be(check, "an array");
		return body_check_texts(check, field, value);
	case FIELD_LABELS:
		if (kind != JSON_IS_OBJECT)
			return body_must_be(check, "a JSON object");
		return body_check_labels(check, field, value);
	case FIELD_TIME:
	case FIELD_FREE:
	case FIELD_ALSO:
		break;
	}
	return err_set(check->err, ERR_INTERNAL, "%s: no body has such a type", check->at);
}

static int body_check_member(const char *name, const struct json *value, void *data)
{
	struct body_check *check = data;
	const struct field *fields = check->fields;
	const struct field *field = field_find(fields, name);
	size_t n = place_extend(check, "%s%s", check->at[0] ? "." : "", name);
	if (!field)
		return field_unknown(fields, "field", check->at, check->err);
	if (body_check_value(check, field, value) < 0)
		return -1;
	check->at[n] = '\0';
	check->fields = fields;
	return 0;
}

static int body_check_object(
	struct body_check *check, const struct field *fields, const struct json *object)
{
	if (json_kind_of(object) != JSON_IS_OBJECT)
		return body_must_be(check, "a JSON object");
	check->fields = fields;
	if (json_each(object, body_check_member, check) < 0)
		return -1;
	for (; fields && fields->name; fields++)
		if (fields->required && !json_member(object, fields->name))
			return err_set(check->err, ERR_BAD_REQUEST, "%s%s%s: this field is missing",
				check->at, check->at[0] ? "." : "", fields->name);
	return 0;
}

int field_check_object(const struct field *fields, const struct json *object, struct err *err)
{
	struct body_check check = { .err = err };
	return body_check_object(&check, fields, object);
}
