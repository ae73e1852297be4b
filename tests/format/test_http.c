/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "format/http.h"

#include <string.h>

static void test_paths_are_split_before_they_are_decoded(void **state)
{
	struct http_path path;
	struct err err;
	(void)state;
	assert_int_equal(http_path_parse("/v1/vms/a%2Fb%20%C3%A4+/xml?x=/y", &path, &err), 0);
	assert_int_equal(path.count, 4);
	assert_string_equal(path.segment[0], "v1");
	assert_string_equal(path.segment[2], "a/b \xc3\xa4+");
	assert_string_equal(path.segment[3], "xml");
	http_path_done(&path);
}

static void test_paths_that_no_route_can_have_are_refused(void **state)
{
	static const struct {
		const char *target;
		enum err_kind kind;
	} cases[] = {
		{ "", ERR_NOT_FOUND },
		{ "*", ERR_NOT_FOUND },
		{ "/", ERR_NOT_FOUND },
		{ "//", ERR_NOT_FOUND },
		{ "/v1/", ERR_NOT_FOUND },
		{ "/v1//vms", ERR_NOT_FOUND },
		{ "/v1/../vms", ERR_NOT_FOUND },
		{ "/v1/%2e%2e/vms", ERR_NOT_FOUND },
		{ "/v1/./vms", ERR_NOT_FOUND },
		{ "/a/b/c/d/e/f/g/h/i", ERR_NOT_FOUND },
		{ "/v1/%", ERR_BAD_REQUEST },
		{ "/v1/%4", ERR_BAD_REQUEST },
		{ "/v1/%zz", ERR_BAD_REQUEST },
		{ "/v1/%00", ERR_BAD_REQUEST },
		{ "/v1/%ff", ERR_BAD_REQUEST },
		{ "/v1/%c0%af", ERR_BAD_REQUEST },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_path path;
		struct err err;
		CHECK(http_path_parse(cases[i].target, &path, &err) == -1, "'%s'", cases[i].target);
		CHECK(err.kind == cases[i].kind, "'%s': %s", cases[i].target, err.text);
	}
}

static void test_query_follows_the_form_rules(void **state)
{
	struct http_query query;
	struct err err;
	(void)state;
	assert_int_equal(
		http_query_parse("/vm?name=a+b%2B%26&&empty=&bare&x=1=2#no", &query, &err), 0);
	assert_int_equal(query.count, 4);
	assert_string_equal(query.param[0].name, "name");
	assert_string_equal(query.param[0].value, "a b+&");
	assert_string_equal(query.param[1].name, "empty");
	assert_string_equal(query.param[1].value, "");
	assert_string_equal(query.param[2].name, "bare");
	assert_string_equal(query.param[2].value, "");
	assert_string_equal(query.param[3].value, "1=2");
	http_query_done(&query);
	assert_int_equal(http_query_parse("/vm", &query, &err), 0);
	assert_int_equal(query.count, 0);
	http_query_done(&query);
}

static void test_bad_queries_are_refused(void **state)
{
	static const char *const targets[] = { "/?a=%", "/?a=%1", "/?a=%g0", "/?%=1", "/?a=%00",
		"/?a=%ff", "/?a%00=1", "/?a=%ed%a0%80" };
	char many[200] = "/?";
	struct http_query query;
	struct err err;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		CHECK(http_query_parse(targets[i], &query, &err) == -1, "'%s'", targets[i]);
		CHECK(err.kind == ERR_BAD_REQUEST, "'%s'", targets[i]);
	}
	for (int i = 0; i <= HTTP_PARAMS_MAX; i++)
		strcat(many, "a&");
	assert_int_equal(http_query_parse(many, &query, &err), -1);
	assert_int_equal(err.kind, ERR_BAD_REQUEST);
}

static void test_media_types_ignore_case_and_parameters(void **state)
{
	(void)state;
	CHECK(http_is_media_type("application/json", "application/json"), "plain");
	CHECK(http_is_media_type("Application/JSON; charset=utf-8", "application/json"), "both");
	CHECK(!http_is_media_type("application/jsonp", "application/json"), "longer");
	CHECK(!http_is_media_type("", "application/json"), "none");
}

static void test_requests_of_other_sites_are_recognised(void **state)
{
	static const struct {
		const char *site, *origin, *scheme, *host;
		bool cross;
	} cases[] = {
		{ "", "", "https", "a.example", false },
		{ "same-origin", "https://a.example", "https", "a.example", false },
		{ "same-origin", "", "https", "a.example", false },
		{ "none", "", "https", "a.example", false },
		{ "cross-site", "https://b.example", "https", "a.example", true },
		{ "same-site", "https://b.example", "https", "a.example", true },
		{ "cross-site", "", "https", "a.example", true },
		{ "Same-Origin", "", "https", "a.example", true },
		{ "same-origin, cross-site", "", "https", "a.example", true },
		/* Each of the two may say so. */
		{ "cross-site", "https://a.example", "https", "a.example", true },
		{ "same-origin", "https://b.example", "https", "a.example", true },
		{ "none", "null", "https", "a.example", true },
		/* The scheme. */
		{ "", "https://a.example", "https", "a.example", false },
		{ "", "http://a.example", "http", "a.example", false },
		{ "", "http://a.example", "https", "a.example", true },
		{ "", "https://a.example", "http", "a.example", true },
		{ "", "https://a.example", "", "a.example", true },
		{ "", "https://a.example", "HTTPS", "a.example", false },
		{ "", "HTTPS://A.example", "https", "a.EXAMPLE", false },
		{ "", "httpsx://a.example", "https", "a.example", true },
		{ "", "ws://a.example", "https", "a.example", true },
		{ "", "://a.example", "", "a.example", true },
		/* The port. */
		{ "", "https://a.example:8443", "https", "A.example:8443", false },
		{ "", "https://a.example", "https", "a.example:8443", true },
		{ "", "https://a.example:8443", "https", "a.example", true },
		{ "", "https://a.example:8443", "https", "a.example:18443", true },
		{ "", "https://a.example:443", "https", "a.example", false },
		{ "", "https://a.example", "https", "a.example:443", false },
		{ "", "https://a.example", "https", "a.example:", false },
		{ "", "https://a.example:80", "https", "a.example", true },
		{ "", "http://a.example", "http", "a.example:80", false },
		{ "", "http://a.example", "http", "a.example:443", true },
		{ "", "http://a.example:443", "https", "a.example", true },
		/* The host. */
		{ "", "https://b.example", "https", "a.example", true },
		{ "", "https://a.example.b.example", "https", "a.example", true },
		{ "", "https://a.example@b.example", "https", "a.example", true },
		{ "", "https://a.example/", "https", "a.example", true },
		{ "", "https://a.example https://b.example", "https", "a.example", true },
		{ "", "https://[::1]:8443", "https", "[::1]:8443", false },
		{ "", "https://[::1]", "https", "[::1]:443", false },
		{ "", "https://[::1]:8443", "https", "[::1]", true },
		{ "", "https://[::1]", "https", "[::2]", true },
		{ "", "https://[::1", "https", "[::1]", true },
		{ "", "https://", "https", "", true },
		{ "", "https://:443", "https", ":443", true },
		{ "", "https://a.example", "https", "", true },
		{ "", "null", "https", "a.example", true },
		{ "", "null", "https", "null", true },
		{ "", "null", "https", "", true },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_req req = { .sec_fetch_site = cases[i].site,
			.origin = cases[i].origin,
			.scheme = cases[i].scheme,
			.host = cases[i].host };
		CHECK(http_is_cross_site(&req) == cases[i].cross, "%s %s %s://%s", cases[i].site,
			cases[i].origin, cases[i].scheme, cases[i].host);
	}
}

static void test_directives_ignore_case_and_arguments(void **state)
{
	static const struct {
		const char *header;
		bool has;
	} cases[] = {
		{ "", false },
		{ "no-cache", true },
		{ "No-Cache", true },
		{ "max-age=0, no-cache", true },
		{ "max-age=0,no-cache", true },
		{ " ,, no-cache , x", true },
		{ "no-cache=\"Set-Cookie\"", true },
		{ "no-cache ; x", true },
		{ "no-cached", false },
		{ "no", false },
		{ "max-age=0", false },
		{ "x=no-cache", false },
		{ "x=\"a, no-cache\"", false },
		{ "x=\"a\\\", no-cache\"", false },
		{ "x=\"a\", no-cache", true },
		{ "x=\"a, no-cache", false },
		{ "x=\"\\", false },
		{ "=, =no-cache", false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		CHECK(http_has_directive(cases[i].header, "no-cache") == cases[i].has, "%s",
			cases[i].header);
}

static void test_segments_are_encoded_for_location(void **state)
{
	(void)state;
	AUTO(free) char *text = http_encode_segment("a b/\xc3\xa4\r\n~");
	assert_string_equal(text, "a%20b%2F%C3%A4%0D%0A~");
}

static void test_methods_are_case_sensitive(void **state)
{
	(void)state;
	assert_int_equal(http_method_of("GET"), HTTP_GET);
	assert_int_equal(http_method_of("DELETE"), HTTP_DELETE);
	assert_int_equal(http_method_of("get"), HTTP_OTHER);
	assert_int_equal(http_method_of(""), HTTP_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths_are_split_before_they_are_decoded),
		cmocka_unit_test(test_paths_that_no_route_can_have_are_refused),
		cmocka_unit_test(test_query_follows_the_form_rules),
		cmocka_unit_test(test_bad_queries_are_refused),
		cmocka_unit_test(test_media_types_ignore_case_and_parameters),
		cmocka_unit_test(test_requests_of_other_sites_are_recognised),
		cmocka_unit_test(test_directives_ignore_case_and_arguments),
		cmocka_unit_test(test_segments_are_encoded_for_location),
		cmocka_unit_test(test_methods_are_case_sensitive),
	};
	return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
