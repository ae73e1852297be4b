/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "base/shell_words.h"
#include "convert/qemu_list.h"

#include <stdio.h>
#include <string.h>

/* The words, or "key=value", between bars. */
static void join(char *to, size_t size, const char *a, const char *between, const char *b)
{
	size_t n = strlen(to);
	(void)snprintf(to + n, size - n, "%s%s%s|", a, between, b);
}

static void test_words_are_split_as_a_shell_does(void **state)
{
	static const struct {
		const char *text, *words; /* NULL: refused */
	} cases[] = {
		{ "", "" },
		{ "a b\tc", "a|b|c|" },
		{ "  a  \n", "a|" },
		{ "'a b' \"c d\"", "a b|c d|" },
		{ "a'b'\"c\"d", "abcd|" },
		{ "'' \"\"", "||" },
		{ "'a\"b' \"a'b\"", "a\"b|a'b|" },
		{ "a\\ b \\'c \\\\", "a b|'c|\\|" },
		{ "\"a\\\"b\\\\c\\d\"", "a\"b\\c\\d|" },
		{ "'a\\b'", "a\\b|" },
		{ "a\\\nb", "ab|" },
		{ "a \\\n b", "a|b|" },
		{ "\"a\\\nb\"", "ab|" },
		{ "'a\nb'", "a\nb|" },
		{ "a # b", "a|" },
		{ "a#b", "a#b|" },
		{ "# a\nb # c\n", "b|" },
		{ "a\\", "a\\|" },
		{ "'$a `b` ;|&'", "$a `b` ;|&|" },
		{ "a\nb", NULL },
		{ "a $b", NULL },
		{ "\"$b\"", NULL },
		{ "`a`", NULL },
		{ "a;b", NULL },
		{ "a | b", NULL },
		{ "a > b", NULL },
		{ "a &", NULL },
		{ "'a", NULL },
		{ "\"a", NULL },
		{ "\"a\\\"", NULL },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct shell_words words = { 0 };
		struct err err;
		char seen[256] = "";
		int rc = shell_words_split(cases[i].text, strlen(cases[i].text), &words, &err);
		CHECK(rc == (cases[i].words ? 0 : -1), "'%s'", cases[i].text);
		if (rc < 0) {
			CHECK(err.kind == ERR_INVALID_SPEC && err.line && err.column, "%s",
				err.text);
			continue;
		}
		for (size_t j = 0; j < words.count; j++)
			join(seen, sizeof seen, words.word[j], "", "");
		CHECK(!strcmp(seen, cases[i].words), "'%s': %s", cases[i].text, seen);
		shell_words_done(&words);
	}
}

static void test_lists_are_read_as_qemu_does(void **state)
{
	static const struct {
		const char *text, *first, *items; /* NULL: refused */
	} cases[] = {
		{ "a=b,c=d", NULL, "a=b|c=d|" },
		{ "x,a=b", "driver", "driver=x|a=b|" },
		{ "a=b", "driver", "a=b|" },
		{ "path=a,,b,c=,,", NULL, "path=a,b|c=,|" },
		{ "a,,b", "file", "file=a,b|" },
		{ "on,noff,no", NULL, "on=on|ff=off|no=on|" },
		{ "a=", NULL, "a=|" },
		{ "a=b=c", NULL, "a=b=c|" },
		{ "", "x", "" },
		{ ",,", "x", "x=,|" },
		{ "a=1,a=2", NULL, "a=1|a=2|" },
		{ "{\"a\":\"b\",\"c\":{\"d\":1,\"e\":true}}", "x", "a=b|c.d=1|c.e=on|" },
		{ "{\"a\":null,\"b\":[1]}", "x", "a=|b=|" },
		{ "{\"a\":", "x", NULL },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct qemu_list list = { 0 };
		struct err err;
		char seen[256] = "";
		int rc = qemu_list_parse(cases[i].text, cases[i].first, &list, &err);
		CHECK(rc == (cases[i].items ? 0 : -1), "'%s'", cases[i].text);
		if (rc < 0)
			continue;
		for (size_t j = 0; j < list.count; j++)
			join(seen, sizeof seen, list.item[j].key, "=", list.item[j].value);
		CHECK(!strcmp(seen, cases[i].items), "'%s': %s", cases[i].text, seen);
		qemu_list_done(&list);
	}
}

static void test_of_several_values_the_last_counts_and_what_is_left_is_known(void **state)
{
	struct qemu_list list = { 0 };
	struct err err;
	(void)state;
	assert_int_equal(qemu_list_parse("a=1,b=off,a=2,c", NULL, &list, &err), 0);
	assert_string_equal(qemu_list_look(&list, "a"), "2");
	assert_false(list.item[0].taken);
	assert_string_equal(qemu_list_take(&list, "a"), "2");
	assert_true(list.item[0].taken && list.item[2].taken);
	assert_false(qemu_list_take_flag(&list, "b"));
	assert_true(qemu_list_take_flag(&list, "c"));
	assert_false(qemu_list_take_flag(&list, "d"));
	assert_null(qemu_list_take(&list, "d"));
	qemu_list_done(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words_are_split_as_a_shell_does),
		cmocka_unit_test(test_lists_are_read_as_qemu_does),
		cmocka_unit_test(test_of_several_values_the_last_counts_and_what_is_left_is_known),
	};
	return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
