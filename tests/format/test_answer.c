/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "format/answer.h"

#include <string.h>

enum size { SMALL, LARGE };

struct part {
	int number;
};

struct sample {
	const char *text, *absent;
	char array[8], empty[8];
	bool flag;
	int small, unknown;
	unsigned bits;
	int64_t time;
	size_t count;
	enum size size;
	char named[8];
	struct part part;
	struct part *parts;
	struct part fixed[2];
	const char *words[2];
	char names[2][4];
	struct json *json;
};

static struct json *twice(const void *data, const void *context)
{
	return json_new_int(2 * ((const struct sample *)data)->small + *(const int *)context);
}

static const struct field part_fields[] = {
	{ "number", .type = FIELD_NUMBER, FROM(struct part, number) },
	{ 0 },
};

static const struct sample sample = {
	.text = "",
	.array = "a",
	.flag = true,
	.small = 3,
	.unknown = -1,
	.bits = 5,
	.time = 1001,
	.count = 2,
	.size = LARGE,
	.named = "large",
	.part = { 7 },
	.parts = (struct part[]){ { 8 }, { 9 } },
	.fixed = { { 1 }, { 2 } },
	.words = { "x", "" },
	.names = { "y", "z" },
};

#define MISSING .nullable = true
#define LEFT_OUT .optional = true

static void test_each_kind_of_value_is_rendered(void **state)
{
	static const struct {
		struct field fields[2];
		const char *json;
	} cases[] = {
		{ { { "m", .type = FIELD_TEXT, FROM(struct sample, text), MISSING } },
			"{\"m\":\"\"}" },
		{ { { "m", .type = FIELD_TEXT, FROM(struct sample, absent) } }, "{\"m\":null}" },
		{ { { "m", .type = FIELD_TEXT, FROM(struct sample, absent), LEFT_OUT } }, "{}" },
		{ { { "m", .type = FIELD_TEXT, FROM(struct sample, array) } }, "{\"m\":\"a\"}" },
		{ { { "m", .type = FIELD_TEXT, FROM(struct sample, empty) } }, "{\"m\":\"\"}" },
		{ { { "m", .type = FIELD_TEXT, FROM(struct sample, empty), MISSING } },
			"{\"m\":null}" },
		{ { { "m", .type = FIELD_TEXT, FROM(struct sample, empty), LEFT_OUT } }, "{}" },
		{ { { "m", .type = FIELD_FLAG, FROM(struct sample, flag) } }, "{\"m\":true}" },
		{ { { "m", .type = FIELD_FLAG, FROM(struct sample, unknown), MISSING } },
			"{\"m\":null}" },
		{ { { "m", .type = FIELD_NUMBER, FROM(struct sample, small) } }, "{\"m\":3}" },
		{ { { "m", .type = FIELD_NUMBER, FROM(struct sample, unknown) } }, "{\"m\":-1}" },
		{ { { "m", FIELD_COUNT, FROM(struct sample, unknown) } }, "{\"m\":null}" },
		{ { { "m", .type = FIELD_NUMBER, FROM(struct sample, time) } }, "{\"m\":1001}" },
		{ { { "m", .type = FIELD_NUMBER, FROM(struct sample, count) } }, "{\"m\":2}" },
		{ { { "m", .type = FIELD_NUMBER, FROM(struct sample, part.number) } },
			"{\"m\":7}" },
		{ { { "m", .type = FIELD_NUMBER, .get = twice } }, "{\"m\":106}" },
		{ { { "m", .type = FIELD_WORD, .words = "small|large",
			  FROM(struct sample, size) } },
			"{\"m\":\"large\"}" },
		{ { { "m", .type = FIELD_WORD, FROM(struct sample, named) } },
			"{\"m\":\"large\"}" },
		{ { { "m", .type = FIELD_TEXTS, .words = "a|b|c", FROM(struct sample, bits) } },
			"{\"m\":[\"a\",\"c\"]}" },
		{ { { "m", .type = FIELD_TEXTS, FROM_LIST(struct sample, words, count) } },
			"{\"m\":[\"x\",\"\"]}" },
		{ { { "m", .type = FIELD_TEXTS, FROM_LIST(struct sample, names, count) } },
			"{\"m\":[\"y\",\"z\"]}" },
		{ { { "m", .type = FIELD_TIME, FROM(struct sample, time) } },
			"{\"m\":\"1970-01-01T00:00:01.001Z\"}" },
		{ { { "m", .type = FIELD_OBJECT, .of = part_fields, FROM(struct sample, part) } },
			"{\"m\":{\"number\":7}}" },
		{ { { "M", .type = FIELD_ALSO, .of = part_fields, FROM(struct sample, part) } },
			"{\"number\":7}" },
		{ { { "m", .type = FIELD_LIST, .of = part_fields,
			  FROM_LIST(struct sample, parts, count) } },
			"{\"m\":[{\"number\":8},{\"number\":9}]}" },
		{ { { "m", .type = FIELD_LIST, .of = part_fields,
			  FROM_LIST(struct sample, fixed, count) } },
			"{\"m\":[{\"number\":1},{\"number\":2}]}" },
		{ { { "m", .type = FIELD_FREE, FROM(struct sample, json), LEFT_OUT } }, "{}" },
	};
	const int context = 100;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(json_free) struct json *made = answer_json(cases[i].fields, &sample, &context);
		AUTO(free) char *text = NULL;
		size_t len = 0;
		struct err err;
		assert_int_equal(json_text(made, &text, &len, &err), 0);
		CHECK(!strcmp(text, cases[i].json), "case %zu: %s, not %s", i, text, cases[i].json);
	}
}

static void test_json_is_shared_and_not_taken(void **state)
{
	static const struct field fields[] = {
		{ "m", .type = FIELD_LABELS, FROM(struct sample, json) },
		{ 0 },
	};
	struct sample labelled = { .json = json_new_object() };
	(void)state;
	json_free(answer_json(fields, &labelled, NULL));
	json_put_bool(labelled.json, "still", true);
	assert_int_equal(json_length(labelled.json), 1);
	json_free(labelled.json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_kind_of_value_is_rendered),
		cmocka_unit_test(test_json_is_shared_and_not_taken),
	};
	return cmocka_run_group_tests_name("answer", tests, NULL, NULL);
}
