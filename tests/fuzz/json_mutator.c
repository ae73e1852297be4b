/* SPDX-License-Identifier: MIT */
#include "mutator.h"

#include "definition/spec.h"

#include <json-c/json.h>
#include <string.h>

DEFINE_AUTO(json_object *, json_object_put)

/* The objects in a spec, each with the fields that it may have. */
struct objects {
	unsigned count;
	struct object {
		json_object *json;
		const struct field *fields;
	} list[256];
};

static void collect(json_object *json, const struct field *fields, struct objects *ret)
{
	if (json_object_is_type(json, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(json); i++)
			collect(json_object_array_get_idx(json, i), fields, ret);
		return;
	}
	if (!json_object_is_type(json, json_type_object) || ret->count == ARRAY_LEN(ret->list))
		return;
	ret->list[ret->count++] = (struct object){ json, fields };
	for (; fields && fields->name; fields++)
		if (fields->of)
			collect(json_object_object_get(json, fields->name), fields->of, ret);
}

static const struct field *pick_field(const struct field *fields)
{
	unsigned count = 0;
	while (fields[count].name)
		count++;
	return &fields[mutator_pick(count)];
}

static json_object *make_value(const struct field *field, json_object *old);

static json_object *make_object(const struct field *fields)
{
	json_object *object = json_object_new_object();
	for (const struct field *f = fields; f->name; f++)
		if (f->required || mutator_one_in(2))
			json_object_object_add(object, f->name, make_value(f, NULL));
	return object;
}

static json_object *make_word(const char *words)
{
	size_t n = 0;
	do {
		words += n + (words[n] == '|');
		n = strcspn(words, "|");
	} while (words[n] && !mutator_one_in(3));
	return json_object_new_string_len(words, (int)n);
}

static json_object *make_number(const struct field *field)
{
	const int64_t numbers[] = { field->min, field->max, field->min - 1, field->max + 1,
		field->min + mutator_pick(4096) };
	return json_object_new_int64(numbers[mutator_pick(ARRAY_LEN(numbers))]);
}

static json_object *make_xml(const char *old)
{
	enum { BYTES_MAX = 8192 };
	const char *text = old && !mutator_one_in(4) ? old : mutator_donor();
	AUTO(free) char *mutated = malloc(BYTES_MAX);
	size_t n = text && mutated ? xml_mutate(text, strlen(text), mutated, BYTES_MAX) : 0;
	return json_object_new_string_len(n ? mutated : "", (int)n);
}

static json_object *make_text(const struct field *field, json_object *old)
{
	static const char *const templates[] = { "helloworld", "http-reply", "linux", "nginx.xml" };
	const char *text = old ? json_object_get_string(old) : NULL;
	if (!strcmp(field->name, "xml"))
		return make_xml(text);
	if (!strcmp(field->name, "template"))
		return json_object_new_string(templates[mutator_pick(ARRAY_LEN(templates))]);
	AUTO(free) char *garbled = text && mutator_one_in(4) ? mutator_garble(text) : NULL;
	return json_object_new_string(garbled ? garbled : mutator_text());
}

static json_object *make_value(const struct field *field, json_object *old)
{
	json_object *list = NULL;
	if (mutator_one_in(16))
		return json_object_new_string(mutator_text());
	switch (field->type) {
	case FIELD_TEXT:
		return make_text(field, old);
	case FIELD_FLAG:
		return json_object_new_boolean((json_bool)mutator_pick(2));
	case FIELD_NUMBER:
		return make_number(field);
	case FIELD_WORD:
		return make_word(field->words);
	case FIELD_OBJECT:
		return make_object(field->of);
	case FIELD_LIST:
		list = json_object_new_array();
		for (unsigned i = mutator_pick(3); i > 0; i--)
			(void)json_object_array_add(list, make_object(field->of));
		return list;
	case FIELD_LABELS:
		list = json_object_new_object();
		json_object_object_add(list, "a", json_object_new_string(mutator_text()));
		return list;
	case FIELD_TEXTS:
	case FIELD_TIME:
	case FIELD_FREE:
	case FIELD_ALSO:
		break; /* a spec has none */
	}
	return NULL;
}

/* Mutations */

static void change(const struct object *object)
{
	const struct field *field = pick_field(object->fields);
	json_object *old = json_object_object_get(object->json, field->name);
	json_object_object_add(object->json, field->name, make_value(field, old));
}

static void remove_one(const struct object *object)
{
	json_object_object_del(object->json, pick_field(object->fields)->name);
}

static void add_stranger(const struct object *object)
{
	const char *name = pick_field(spec_fields)->name;
	json_object_object_add(object->json, name, json_object_new_string(mutator_text()));
}

static void double_item(const struct object *object)
{
	const struct field *field = pick_field(object->fields);
	json_object *list = json_object_object_get(object->json, field->name);
	size_t count =
		json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	json_object *copy = NULL;
	if (count &&
		!json_object_deep_copy(
			json_object_array_get_idx(list, mutator_pick((unsigned)count)), &copy,
			NULL))
		(void)json_object_array_add(list, copy);
}

static void (*const mutations[])(const struct object *object) = {
	change,
	change,
	change,
	change,
	remove_one,
	add_stranger,
	double_item,
	double_item,
};

size_t json_mutate(const char *text, size_t size, char *ret, size_t max_size)
{
	AUTO(free) char *copy = strndup(text, size);
	AUTO(json_object_put) json_object *json = copy ? json_tokener_parse(copy) : NULL;
	if (!json_object_is_type(json, json_type_object))
		return 0;
	do {
		struct objects objects = { 0 };
		collect(json, spec_fields, &objects);
		mutations[mutator_pick(ARRAY_LEN(mutations))](
			&objects.list[mutator_pick(objects.count)]);
	} while (mutator_one_in(3));
	size_t n = 0;
	const char *out =
		json_object_to_json_string_length(json, JSON_C_TO_STRING_NOSLASHESCAPE, &n);
	if (!out || n > max_size)
		return 0;
	memcpy(ret, out, n);
	return n;
}
