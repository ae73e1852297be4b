/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "format/json.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

static void test_only_json_is_read(void **state)
{
	static const char *const good[] = { "{}", "[]", "null", "1", "-0.5e+3",
		"[0,-0,10,1E5,0.0e-1]", "\"x\"", " {\"a\":1}\n",
		"{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":2}]}", "{\"a\":\"\\u00e4\\n\\\"{[,:\"}",
		"{\"a\":\"\\ud83d\\ude00\\\\u\"}", "[\"\\uD83D\\uDE00\\uFFFF\\\\ud800\"]",
		"{\"a\":\"N\",\"b\":\"'I'\"}" };
	static const char *const bad[] = { "", " ", "{", "}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}",
		"[1,]", "{'a':1}", "{\"a\":'x'}", "{a:1}", "{\"a\":01}", "{\"a\":+1}", "{\"a\":.5}",
		"{\"a\":1.}", "{\"a\":-00}", "{\"a\":-.1}", "[01e+5]", "[0,-01]", "[1.e5]",
		"{\"a\":\"\\ud800\"}", "{\"a\":\"\\udc00\\ud800\"}", "[\"\\uD83D\\n\\uDE00\"]",
		"[\"\\ud83d\\u0041\"]", "[\"\\ude00\"]", "{\"a\":NaN}", "{\"a\":Infinity}",
		"{\"a\":-Infinity}", "{\"a\":nan}", "{\"a\":TRUE}", "{\"a\":tru}", "{\"a\":1} x",
		"{\"a\":1}{", "/**/{}", "{}//", "{\"a\":\"\x01\"}", "{\"a\":\"\t\"}",
		"{\"a\":\"\xff\"}", "{\"a\":\"\\x\"}", "{\"a\":1 \"b\":2}", "\xef\xbb\xbf{}" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct json *value = NULL;
		struct err err;
		CHECK(!json_parse(good[i], strlen(good[i]), &value, &err), "%s", good[i]);
		json_free(value);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct json *value = NULL;
		struct err err;
		CHECK(json_parse(bad[i], strlen(bad[i]), &value, &err) == -1, "%s", bad[i]);
		CHECK(err.kind == ERR_BAD_JSON, "%s: %s", bad[i], err.text);
	}
}

static void test_a_repeated_name_is_refused_by_name(void **state)
{
	static const char *const bad[] = { "{\"name\":1,\"name\":2}",
		"{\"x\":{\"name\":1,\"name\":1}}", "[{\"name\":1,\"b\":{\"name\":1},\"name\":2}]" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct json *value = NULL;
		struct err err;
		CHECK(json_parse(bad[i], strlen(bad[i]), &value, &err) == -1, "%s", bad[i]);
		CHECK(strstr(err.text, "'name' is given twice"), "%s", err.text);
	}
	struct json *value = NULL;
	struct err err;
	const char *escaped = "{\"name\":1,\"n\\u0061me\":2}";
	assert_int_equal(json_parse(escaped, strlen(escaped), &value, &err), -1);
}

static void test_an_integer_beyond_64_bits_is_the_nearest_that_fits(void **state)
{
	static const struct {
		const char *text;
		int64_t value;
	} cases[] = { { "9223372036854775806", INT64_MAX - 1 },
		{ "9223372036854775807", INT64_MAX }, { "9223372036854775808", INT64_MAX },
		{ "18446744073709551616", INT64_MAX }, { "1180591620717411303424", INT64_MAX },
		{ "-9223372036854775807", -INT64_MAX }, { "-9223372036854775808", INT64_MIN },
		{ "-9223372036854775809", INT64_MIN }, { "-1180591620717411303424", INT64_MIN } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[96];
		struct json *value = NULL;
		struct err err;
		(void)snprintf(text, sizeof text, "{\"s\":\"\\\"9\",\"n\":%s}", cases[i].text);
		CHECK(!json_parse(text, strlen(text), &value, &err), "%s: %s", text, err.text);
		const struct json *number = json_member(value, "n");
		CHECK(json_kind_of(number) == JSON_IS_INT, "%s", text);
		CHECK(json_get_int(number) == cases[i].value, "%s", text);
		json_free(value);
	}
}

static void test_digits_that_are_no_large_integer_stay(void **state)
{
	const char *text = "[\"\\\\\",\"\\\"99999999999999999999\",99999999999999999999.5]";
	struct json *value = NULL;
	struct err err;
	size_t len = 0;
	(void)state;
	assert_int_equal(json_parse(text, strlen(text), &value, &err), 0);
	assert_string_equal(json_get_string(json_item(value, 1), &len), "\"99999999999999999999");
	assert_int_equal(json_kind_of(json_item(value, 2)), JSON_IS_NUMBER);
	json_free(value);
	const char *bad = "{\"a\":99999999999999999999,\"b\":099999999999999999999}";
	assert_int_equal(json_parse(bad, strlen(bad), &value, &err), -1);
	assert_int_equal(err.kind, ERR_BAD_JSON);
}

static void test_depth_is_bounded(void **state)
{
	char text[2 * JSON_DEPTH_MAX + 3];
	struct json *value = NULL;
	struct err err;
	(void)state;
	memset(text, '[', JSON_DEPTH_MAX + 1);
	memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	assert_int_equal(json_parse(text, 2 * JSON_DEPTH_MAX + 2, &value, &err), -1);
	assert_int_equal(err.kind, ERR_BAD_JSON);
	assert_int_equal(json_parse(text + 2, 2 * JSON_DEPTH_MAX - 2, &value, &err), 0);
	json_free(value);
}

static void test_the_number_of_values_is_bounded(void **state)
{
	char text[2 * JSON_VALUES_MAX + 8] = "[";
	char *end = text + 1;
	struct json *value = NULL;
	struct err err;
	(void)state;
	for (int i = 0; i < JSON_VALUES_MAX - 1; i++)
		end = stpcpy(end, i ? ",0" : "0");
	(void)strcpy(end, "]");
	assert_int_equal(json_parse(text, strlen(text), &value, &err), 0);
	assert_int_equal(json_length(value), JSON_VALUES_MAX - 1);
	json_free(value);
	(void)strcpy(end, ",0]");
	assert_int_equal(json_parse(text, strlen(text), &value, &err), -1);
	CHECK(strstr(err.text, "more than 2048 values"), "%s", err.text);
	assert_int_equal(err.column, 2 * JSON_VALUES_MAX - 1);
}

/* Processor time to read a text of so many bytes that repeats a part, at best. */
static double parse_seconds(const char *head, const char *part, const char *tail, size_t size)
{
	double best = 1e9;
	char *text = malloc(size + 64);
	assert_non_null(text);
	char *end = stpcpy(text, head);
	while ((size_t)(end - text) < size)
		end = stpcpy(end, part);
	end = stpcpy(end, tail);
	for (int i = 0; i < 5; i++) {
		struct json *value = NULL;
		struct err err;
		struct timespec a, b;
		(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
		if (!json_parse(text, (size_t)(end - text), &value, &err))
			json_free(value);
		(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
		double s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) * 1e-9;
		best = s < best ? s : best;
	}
	free(text);
	return best;
}

static void test_reading_takes_time_in_proportion_to_the_text(void **state)
{
	enum { SIZE = 4 * 1024, TIMES = 16, SLACK = 4 };
	static const struct {
		const char *head, *part, *tail;
	} cases[] = { { "[\"", "\\n", "\"]" }, { "[\"", "\\u00e4", "\"]" },
		{ "[\"", "\\ud83d\\ude00", "\"]" }, { "[\"", "x", "\"]" }, { "[0", ",0", "]" },
		{ "[0", ",-1.5e9", "]" }, { "[1", "1", "]" }, { "[0.", "1", "]" },
		{ "[0", ",[]", "]" }, { "[0", ",{\"a\":0}", "]" }, { "[\"\"", ",\"\"", "]" },
		{ "", "\n", "[]" } };
	(void)state;
	/* Memory that is freed stays with the process: a page fault costs more than a page of text.
	 */
	(void)mallopt(M_TRIM_THRESHOLD, INT32_MAX);
	(void)mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		double small = parse_seconds(cases[i].head, cases[i].part, cases[i].tail, SIZE);
		double large =
			parse_seconds(cases[i].head, cases[i].part, cases[i].tail, SIZE * TIMES);
		CHECK(large < small * TIMES * SLACK, "%s: %.0f us become %.0f us", cases[i].part,
			small * 1e6, large * 1e6);
	}
}

static void test_an_error_says_where(void **state)
{
	const char *text = "{\n  \"a\": 1,\n  \"b\": x\n}";
	struct json *value = NULL;
	struct err err;
	(void)state;
	assert_int_equal(json_parse(text, strlen(text), &value, &err), -1);
	assert_int_equal(err.line, 3);
	assert_int_equal(err.column, 8);
}

static void test_a_nul_in_the_text_is_refused(void **state)
{
	struct json *value = NULL;
	struct err err;
	(void)state;
	assert_int_equal(json_parse("{}\0{}", 5, &value, &err), -1);
	assert_int_equal(err.kind, ERR_BAD_JSON);
}

static void test_what_is_written_is_json(void **state)
{
	struct err err;
	AUTO(free) char *text = NULL;
	size_t len = 0;
	(void)state;
	AUTO(json_free) struct json *object = json_new_object();
	json_put_string(object, "s", "a\"\\/\n\xc3\xa4</x>");
	json_put_string(object, "null", NULL);
	json_put_int(object, "i", INT64_MAX);
	json_put_bool(object, "b", false);
	struct json *array = json_new_array();
	json_push_string(array, "x");
	json_push(array, json_new_object());
	json_put(object, "a", array);
	assert_int_equal(json_text(object, &text, &len, &err), 0);
	assert_string_equal(text,
		"{\"s\":\"a\\\"\\\\/\\n\xc3\xa4</x>\",\"null\":null,"
		"\"i\":9223372036854775807,\"b\":false,\"a\":[\"x\",{}]}");
	assert_int_equal(len, strlen(text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_json_is_read),
		cmocka_unit_test(test_a_repeated_name_is_refused_by_name),
		cmocka_unit_test(test_an_integer_beyond_64_bits_is_the_nearest_that_fits),
		cmocka_unit_test(test_digits_that_are_no_large_integer_stay),
		cmocka_unit_test(test_depth_is_bounded),
		cmocka_unit_test(test_the_number_of_values_is_bounded),
		cmocka_unit_test(test_reading_takes_time_in_proportion_to_the_text),
		cmocka_unit_test(test_an_error_says_where),
		cmocka_unit_test(test_a_nul_in_the_text_is_refused),
		cmocka_unit_test(test_what_is_written_is_json),
	};
	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
