/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/uuid.h"

#include <stdio.h>
#include <string.h>

static void test_utf8_accepts_only_shortest_forms_without_nul(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		bool good;
	} cases[] = {
		{ "", 0, true },
		{ "plain", 5, true },
		{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, true },
		{ "a\0b", 3, false },     /* NUL */
		{ "\x80", 1, false },     /* a continuation alone */
		{ "\xc0\xaf", 2, false }, /* overlong '/' */
		{ "\xe0\x80\xaf", 3, false },
		{ "\xf0\x80\x80\xaf", 4, false },
		{ "\xed\xa0\x80", 3, false },     /* a surrogate */
		{ "\xf4\x90\x80\x80", 4, false }, /* above U+10FFFF */
		{ "\xf5\x80\x80\x80", 4, false },
		{ "\xe2\x82", 2, false }, /* cut */
		{ "\xff", 1, false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		CHECK(text_is_utf8(cases[i].text, cases[i].len) == cases[i].good, "case %zu", i);
}

static void test_names_are_safe_as_file_names(void **state)
{
	static const char *const good[] = { "a", "7", "vm_helloworld", "a.b-c+d_e", "A1" };
	static const char *const bad[] = { "", ".", "..", ".a", "-h", "_a", "+a", "a/b", "a b",
		"a\nb", "\xc3\xa4", "a\"b", "<b>", "a%20" };
	char longest[65];
	(void)state;
	memset(longest, 'x', sizeof longest);
	longest[63] = '\0';
	CHECK(text_is_name(longest), "63 characters");
	longest[63] = 'x';
	longest[64] = '\0';
	CHECK(!text_is_name(longest), "64 characters");
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		CHECK(text_is_name(good[i]), "'%s'", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK(!text_is_name(bad[i]), "'%s'", bad[i]);
}

static void test_uuids_are_recognised_and_made(void **state)
{
	char made[UUID_SIZE];
	char other[UUID_SIZE];
	(void)state;
	CHECK(uuid_is("c7a5fdbd-cdaf-9455-926a-d65c16db1809"), "lower case");
	CHECK(uuid_is("C7A5FDBD-CDAF-9455-926A-D65C16DB1809"), "upper case");
	CHECK(!uuid_is("c7a5fdbd-cdaf-9455-926a-d65c16db180"), "too short");
	CHECK(!uuid_is("c7a5fdbd-cdaf-9455-926a-d65c16db18090"), "too long");
	CHECK(!uuid_is("c7a5fdbdcdaf9455926ad65c16db1809abcd"), "no dashes");
	CHECK(!uuid_is(""), "empty");
	uuid_make(made);
	uuid_make(other);
	CHECK(uuid_is(made) && made[14] == '4' && strchr("89ab", made[19]), "%s", made);
	CHECK(strcmp(made, other) != 0, "two are different");
}

/* The expected ones are of Python's hmac, over the two joined by a NUL. */
static void test_a_key_and_its_user_make_a_uuid_that_needs_the_secret(void **state)
{
	static const struct {
		const char *user, *key, *uuid;
	} cases[] = {
		{ "alice", "k-1", "8ba219b1-06e2-8162-b6dd-ba74fbb417e4" },
		{ "alice", "k-2", "00837d98-6350-8d3f-8b10-ba8b7d562243" },
		{ "al", "icek-1", "006403b4-81b0-8b63-803f-ad5253c02878" },
		{ "", "k", "4746d90f-3ceb-80d7-b57e-0e33b67bbc63" },
	};
	unsigned char secret[SECRET_SIZE];
	unsigned char other[SECRET_SIZE];
	(void)state;
	memset(secret, 7, sizeof secret);
	secret_make(other);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char made[UUID_SIZE];
		hash_secret_uuid(secret, cases[i].user, cases[i].key, made);
		assert_string_equal(made, cases[i].uuid);
		hash_secret_uuid(other, cases[i].user, cases[i].key, made);
		assert_string_not_equal(made, cases[i].uuid);
	}
}

static void test_a_logged_value_cannot_leave_its_line(void **state)
{
	char text[] = "a\nb\tc\x7f\x1b[31m\xc3\xa4";
	(void)state;
	text_mask_controls(text);
	assert_string_equal(text, "a?b?c??[31m\xc3\xa4");
}

static void test_what_changes_how_text_is_shown_is_not_plain(void **state)
{
	static const struct {
		const char *text, *masked;
	} cases[] = {
		{ "\xc2\x80", "?" }, /* U+0080 to U+009F: C1 */
		{ "a\xc2\x9b[2J", "a?[2J" },
		{ "\xc2\x9f", "?" },
		{ "\xd8\x9c", "?" },                  /* U+061C */
		{ "\xe2\x80\x8b", "?" },              /* U+200B */
		{ "\xe2\x80\x8e\xe2\x80\x8f", "??" }, /* U+200E, U+200F */
		{ "\xe2\x80\xa8", "?" },              /* U+2028, U+2029 */
		{ "x\xe2\x80\xa9y", "x?y" },
		{ "\xe2\x80\xaa", "?" }, /* U+202A to U+202E */
		{ "evil\xe2\x80\xaegpj.", "evil?gpj." },
		{ "\xe2\x81\xa0", "?" }, /* U+2060 */
		{ "\xe2\x81\xa6", "?" }, /* U+2066 to U+2069 */
		{ "\xe2\x81\xa9", "?" },
		{ "\xef\xbb\xbf"
		  "begin",
			"?begin" },          /* U+FEFF */
		{ "\xf3\xa0\x81\x81", "?" }, /* U+E0041: a tag */
		{ "\x1b]0;\x07", "?]0;?" },
	};
	static const char *const plain[] = { "", "tab\tand\r\nlines", "\xc3\xa4\xe2\x82\xac",
		"\xc2\xa0", "\xe2\x80\xa7\xe2\x80\xaf", "\xe0\xa4\x95\xe2\x80\x8d", "\xef\xbb\xb0",
		"\xf0\x9f\x98\x80" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[32];
		(void)snprintf(text, sizeof text, "%s", cases[i].text);
		CHECK(!text_is_plain(text), "case %zu", i);
		text_mask_controls(text);
		assert_string_equal(text, cases[i].masked);
	}
	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		CHECK(text_is_plain(plain[i]), "case %zu", i);
}

static void test_times_are_rfc_3339(void **state)
{
	char text[RFC3339_SIZE];
	(void)state;
	clock_rfc3339(1136214245, 7, text);
	assert_string_equal(text, "2006-01-02T15:04:05.007Z");
	clock_rfc3339(0, -1, text);
	assert_string_equal(text, "1970-01-01T00:00:00Z");
}

static void test_an_error_is_utf8_whatever_was_put_in(void **state)
{
	struct err err;
	char longer[sizeof err.text + 10];
	(void)state;
	memset(longer, 'x', sizeof longer);
	memcpy(longer + sizeof err.text - 2, "\xe2\x82\xac", 3);
	longer[sizeof longer - 1] = '\0';
	assert_int_equal(err_set(&err, ERR_NOT_FOUND, "%s", longer), -1);
	CHECK(text_is_utf8(err.text, strlen(err.text)), "cut inside a character");
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
	(void)err_set(&err, ERR_NOT_FOUND, "%s", "\xff\xc3\xa4\xc3");
	assert_string_equal(err.text, "?\xc3\xa4?");
}

static void test_every_error_has_a_status_and_a_code_of_its_own(void **state)
{
	(void)state;
	for (int k = 0; k < ERR_KIND_COUNT; k++) {
		CHECK(err_status(k) >= 400 && err_status(k) < 600, "kind %d", k);
		for (int other = 0; other < k; other++)
			CHECK(strcmp(err_code(k), err_code(other)) != 0, "%s", err_code(k));
		CHECK(err_status(k) != 503 || err_retry_after(k) > 0, "%s", err_code(k));
	}
}

static void test_patterns_match_any_text_and_any_byte(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool fits;
	} cases[] = {
		{ "", "", true },
		{ "", "a", false },
		{ "*", "", true },
		{ "**", "abc", true },
		{ "a*", "abc", true },
		{ "*c", "abc", true },
		{ "*b", "abc", false },
		{ "a?c", "abc", true },
		{ "a?c", "ac", false },
		{ "?", "", false },
		{ "a*b*c", "aXbYbZc", true },
		{ "a*b*c", "aXbYbZcd", false },
		{ "*ab", "aab", true },
		{ "[a]", "a", false },
		{ "*a*a*a*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
			false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		CHECK(text_is_glob(cases[i].pattern, cases[i].text) == cases[i].fits, "%s on %s",
			cases[i].pattern, cases[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns_match_any_text_and_any_byte),
		cmocka_unit_test(test_utf8_accepts_only_shortest_forms_without_nul),
		cmocka_unit_test(test_names_are_safe_as_file_names),
		cmocka_unit_test(test_uuids_are_recognised_and_made),
		cmocka_unit_test(test_a_key_and_its_user_make_a_uuid_that_needs_the_secret),
		cmocka_unit_test(test_a_logged_value_cannot_leave_its_line),
		cmocka_unit_test(test_what_changes_how_text_is_shown_is_not_plain),
		cmocka_unit_test(test_times_are_rfc_3339),
		cmocka_unit_test(test_an_error_is_utf8_whatever_was_put_in),
		cmocka_unit_test(test_every_error_has_a_status_and_a_code_of_its_own),
	};
	return cmocka_run_group_tests_name("text and errors", tests, NULL, NULL);
}
