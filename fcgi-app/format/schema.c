/* SPDX-License-Identifier: MIT */
#include "format/schema.h"

#include <stdio.h>
#include <string.h>

struct writer {
	enum schema_side side;
	bool partial; /* any member may be missing */
	struct json *components;
};

struct json *schema_words(const char *words)
{
	struct json *array = json_new_array();
	char word[64];
	for (const char *s = words; *s; s += strcspn(s, "|"), s += *s == '|') {
		(void)snprintf(word, sizeof word, "%.*s", (int)strcspn(s, "|"), s);
		json_push_string(array, word);
	}
	return array;
}

/* NULL: no example. The tests check that every example is JSON. */
static struct json *parse_example(const char *example)
{
	struct json *value = NULL;
	struct err ignored;
	if (example)
		(void)json_parse(example, strlen(example), &value, &ignored);
	return value;
}

void schema_put_example(struct json *object, const char *name, const char *example)
{
	if (example)
		json_put(object, name, parse_example(example));
}

static void put_type(struct json *o, const char *type, bool nullable)
{
	if (!nullable) {
		json_put_string(o, "type", type);
		return;
	}
	struct json *types = json_new_array();
	json_push_string(types, type);
	json_push_string(types, "null");
	json_put(o, "type", types);
}

static void put_length(struct json *o, int64_t least, int64_t most)
{
	if (least)
		json_put_int(o, "minLength", least);
	if (most)
		json_put_int(o, "maxLength", most);
}

struct json *schema_of_text(int64_t least, int64_t most)
{
	struct json *o = json_new_object();
	put_type(o, "string", false);
	put_length(o, least, most);
	return o;
}

static void put_words(struct json *o, const struct field *field)
{
	struct json *words = schema_words(field->words);
	if (field->nullable)
		json_push(words, NULL);
	json_put(o, "enum", words);
}

static void put_bounds(struct json *o, const struct field *field)
{
	json_put_int(o, "minimum", field->min);
	if (field->max)
		json_put_int(o, "maximum", field->max);
}

static void put_labels(struct json *o, const struct field *field, enum schema_side side)
{
	bool request = side == SCHEMA_REQUEST;
	struct json *names = json_new_object();
	struct json *text = json_new_object();
	put_type(text, "string", request && field->nullable);
	put_length(text, 0, FIELD_LABEL_BYTES_MAX);
	json_put_string(names, "pattern", "^[A-Za-z0-9][A-Za-z0-9._+-]{0,62}$");
	json_put(o, "additionalProperties", text);
	json_put(o, "propertyNames", names);
	if (field->max)
		json_put_int(o, "maxProperties", field->max);
}

static void put_items(struct json *o, struct json *items, int64_t most)
{
	json_put(o, "items", items);
	if (most)
		json_put_int(o, "maxItems", most);
}

static void put_object(struct writer *w, struct json *o, const struct field *fields);

static struct json *schema_object(struct writer *w, const struct field *fields)
{
	struct json *o = json_new_object();
	put_type(o, "object", false);
	put_object(w, o, fields);
	return o;
}

static void put_field(struct writer *w, struct json *o, const struct field *field)
{
	bool request = w->side == SCHEMA_REQUEST;
	switch (field->type) {
	case FIELD_TEXT:
		put_type(o, "string", field->nullable);
		/* `max` counts bytes, JSON Schema characters: never more. */
		put_length(o, request, field->max);
		break;
	case FIELD_FLAG:
		put_type(o, "boolean", field->nullable);
		break;
	case FIELD_NUMBER:
		put_type(o, "integer", field->nullable);
		put_bounds(o, field);
		break;
	case FIELD_WORD:
		put_type(o, "string", field->nullable);
		put_words(o, field);
		break;
	case FIELD_OBJECT:
		put_type(o, "object", field->nullable);
		put_object(w, o, field->of);
		break;
	case FIELD_LIST:
		put_type(o, "array", field->nullable);
		put_items(o, schema_object(w, field->of), field->max);
		break;
	case FIELD_TEXTS:
		put_type(o, "array", field->nullable);
		put_items(o, schema_of_text(0, request ? field->min : 0), field->max);
		break;
	case FIELD_LABELS:
		put_type(o, "object", field->nullable);
		put_labels(o, field, w->side);
		break;
	case FIELD_TIME:
		put_type(o, "string", field->nullable);
		json_put_string(o, "format", "date-time");
		break;
	case FIELD_FREE:
	case FIELD_ALSO:
		break;
	}
}

static struct json *schema_value(struct writer *w, const struct field *field)
{
	struct json *o = json_new_object();
	put_field(w, o, field);
	if (field->says)
		json_put_string(o, "description", field->says);
	if (!field->example)
		return o;
	struct json *examples = json_new_array();
	json_push(examples, parse_example(field->example));
	json_put(o, "examples", examples);
	return o;
}

/* A reference to a named table, which is added to the components if it is not there yet. */
static struct json *schema_reference(struct writer *w, const struct field *also)
{
	char to[96];
	struct json *o = json_new_object();
	struct writer inner = { w->side, also->optional, w->components };
	if (!json_member(w->components, also->name))
		json_put(w->components, also->name, schema_object(&inner, also->of));
	(void)snprintf(to, sizeof to, "#/components/schemas/%s", also->name);
	json_put_string(o, "$ref", to);
	return o;
}

static void put_unless_empty(struct json *o, const char *name, struct json *value)
{
	if (json_length(value))
		json_put(o, name, value);
	else
		json_free(value);
}

/* The parts of an object's schema. */
struct parts {
	struct json *properties, *required, *all;
};

static void add_fields(struct writer *w, const struct parts *parts, const struct field *fields)
{
	bool request = w->side == SCHEMA_REQUEST;
	for (const struct field *f = fields; f && f->name; f++) {
		if (f->type == FIELD_ALSO && w->partial) {
			add_fields(w, parts, f->of);
			continue;
		}
		if (f->type == FIELD_ALSO) {
			json_push(parts->all, schema_reference(w, f));
			continue;
		}
		json_put(parts->properties, f->name, schema_value(w, f));
		if (request ? f->required : !f->optional && !w->partial)
			json_push_string(parts->required, f->name);
	}
}

static void put_object(struct writer *w, struct json *o, const struct field *fields)
{
	struct parts parts = { json_new_object(), json_new_array(), json_new_array() };
	add_fields(w, &parts, fields);
	put_unless_empty(o, "allOf", parts.all);
	put_unless_empty(o, "required", parts.required);
	put_unless_empty(o, "properties", parts.properties);
	if (w->side == SCHEMA_REQUEST)
		json_put_bool(o, "additionalProperties", false);
}

struct json *schema_of_object(
	const struct field *fields, enum schema_side side, struct json *components)
{
	struct writer writer = { side, false, components };
	return schema_object(&writer, fields);
}

struct json *schema_of_param(const struct field *field)
{
	struct writer writer = { SCHEMA_REQUEST, false, NULL };
	struct json *o = json_new_object();
	if (field->type != FIELD_FLAG) {
		put_field(&writer, o, field);
		return o;
	}
	put_type(o, "integer", false);
	json_put_int(o, "minimum", 0);
	json_put_int(o, "maximum", 1);
	return o;
}
