/* SPDX-License-Identifier: MIT */
#include "format/answer.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

static int64_t stored_number(const struct field *field, const void *at)
{
	switch (field->stored) {
	case STORED_BOOL:
		return *(const bool *)at;
	case STORED_INT:
		return *(const int *)at;
	case STORED_UNSIGNED:
		return *(const unsigned *)at;
	case STORED_INT64:
		return *(const int64_t *)at;
	case STORED_SIZE:
		return (int64_t) * (const size_t *)at;
	case STORED_TEXT:
	case STORED_JSON:
	case STORED_OTHERWISE:
		break;
	}
	return -1;
}

static const char *stored_text(const struct field *field, const void *at)
{
	return field->stored == STORED_TEXT ? *(char *const *)at : at;
}

static struct json *text_json(const struct field *field, const char *text)
{
	bool may_lack = field->nullable || field->optional;
	bool lacks = field->stored == STORED_TEXT ? !text : may_lack && !*text;
	return lacks ? NULL : json_string(text);
}

/* The n-th of the words. */
static struct json *word_json(const char *words, int64_t n)
{
	char word[64];
	for (; n > 0; n--) {
		words += strcspn(words, "|");
		words += *words == '|';
	}
	(void)snprintf(word, sizeof word, "%.*s", (int)strcspn(words, "|"), words);
	return json_string(word);
}

static struct json *bits_json(const char *words, int64_t bits)
{
	struct json *array = json_new_array();
	for (int64_t n = 0; bits >> n; n++)
		if (bits >> n & 1)
			json_push(array, word_json(words, n));
	return array;
}

static struct json *list_json(
	const struct field *field, const void *data, const char *at, const void *context)
{
	struct json *array = json_new_array();
	size_t count = *(const size_t *)((const char *)data + field->count_at);
	const char *item = field->pointed ? *(char *const *)(const void *)at : at;
	for (size_t i = 0; i < count; i++, item += field->size)
		json_push(array,
			field->of ? answer_json(field->of, item, context)
				  : json_string(stored_text(field, item)));
	return array;
}

static struct json *value_json(const struct field *field, const void *data, const void *context)
{
	if (field->get)
		return field->get(data, context);
	const char *at = (const char *)data + field->at;
	bool may_lack = field->nullable || field->optional;
	int64_t n = 0;
	if (field->stored == STORED_JSON)
		return json_share(*(struct json *const *)(const void *)at);
	switch (field->type) {
	case FIELD_TEXT:
		return text_json(field, stored_text(field, at));
	case FIELD_FLAG:
		n = stored_number(field, at);
		return may_lack && n < 0 ? NULL : json_new_bool(n);
	case FIELD_NUMBER:
		n = stored_number(field, at);
		return may_lack && n < 0 ? NULL : json_new_int(n);
	case FIELD_WORD:
		if (field->stored == STORED_TEXT || field->stored == STORED_OTHERWISE)
			return text_json(field, stored_text(field, at));
		n = stored_number(field, at);
		return may_lack && n < 0 ? NULL : word_json(field->words, n);
	case FIELD_OBJECT:
		return answer_json(field->of, at, context);
	case FIELD_LIST:
		return list_json(field, data, at, context);
	case FIELD_TEXTS:
		return field->words ? bits_json(field->words, stored_number(field, at))
				    : list_json(field, data, at, context);
	case FIELD_TIME:
		return json_new_time(stored_number(field, at));
	case FIELD_LABELS:
	case FIELD_FREE:
	case FIELD_ALSO:
		break;
	}
	return NULL;
}

static void put_members(
	struct json *object, const struct field *fields, const void *data, const void *context)
{
	for (const struct field *f = fields; f->name; f++) {
		if (f->type == FIELD_ALSO) {
			put_members(object, f->of, (const char *)data + f->at, context);
			continue;
		}
		struct json *value = value_json(f, data, context);
		if (value || !f->optional)
			json_put(object, f->name, value);
	}
}

struct json *answer_json(const struct field *fields, const void *data, const void *context)
{
	struct json *object = json_new_object();
	put_members(object, fields, data, context);
	return object;
}
