/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "format/xml.h"

#include <stdio.h>
#include <string.h>

static int parse(const char *text, struct xml **ret, struct err *err)
{
	return xml_parse(text, strlen(text), "XML", ret, err);
}

static void test_what_is_refused_and_why(void **state)
{
	static const struct {
		const char *text;
		const char *why;
	} cases[] = {
		{ "", "not well-formed" },
		{ "x", "not well-formed" },
		{ "<a>", "not well-formed" },
		{ "<a></b>", "not well-formed" },
		{ "<a/><b/>", "not well-formed" },
		{ "<a b='1' b='2'/>", "not well-formed" },
		{ "<a>&undefined;</a>", "not well-formed" },
		{ "<a>&#0;</a>", "not well-formed" },
		{ "<!DOCTYPE a><a/>", "document type" },
		{ "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", "document type" },
		{ "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "document type" },
		{ "<!DOCTYPE a [<!ENTITY % p SYSTEM 'http://127.0.0.1/'>%p;]><a/>",
			"document type" },
		{ "<a><?php x?></a>", "processing instruction" },
		{ "<?xml-stylesheet href='x'?><a/>", "processing instruction" },
		{ "<a>\xff</a>", "UTF-8" },
		{ "<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe4</a>", "UTF-8" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct xml *doc = NULL;
		struct err err;
		CHECK(parse(cases[i].text, &doc, &err) == -1, "%s", cases[i].text);
		CHECK(err.kind == ERR_INVALID_XML, "%s", cases[i].text);
		CHECK(strstr(err.text, cases[i].why), "%s: %s", cases[i].text, err.text);
	}
}

static void test_an_error_says_where(void **state)
{
	struct xml *doc = NULL;
	struct err err;
	(void)state;
	assert_int_equal(parse("<a>\n <b>\n</a>", &doc, &err), -1);
	assert_int_equal(err.line, 3);
	CHECK(err.column > 0, "%d", err.column);
}

static void test_sizes_are_bounded(void **state)
{
	struct xml *doc = NULL;
	struct err err;
	(void)state;
	AUTO(free) char *text = calloc(1, XML_BYTES_MAX + 2);
	memset(text, ' ', XML_BYTES_MAX + 1);
	assert_int_equal(xml_parse(text, XML_BYTES_MAX + 1, "XML", &doc, &err), -1);
	assert_int_equal(err.kind, ERR_BODY_TOO_LARGE);

	char *p = text + sprintf(text, "<a>");
	for (int i = 0; i < XML_ELEMENTS_MAX; i++)
		p += sprintf(p, "<b/>");
	(void)sprintf(p, "</a>");
	assert_int_equal(parse(text, &doc, &err), -1);
	CHECK(strstr(err.text, "4096"), "%s", err.text);

	p = text + sprintf(text, "<a");
	for (int i = 0; i <= XML_ATTRIBUTES_MAX; i++)
		p += sprintf(p, " a%d=''", i);
	(void)sprintf(p, "/>");
	assert_int_equal(parse(text, &doc, &err), -1);
	CHECK(strstr(err.text, "attributes"), "%s", err.text);

	p = text + sprintf(text, "<a>");
	for (int i = 0; i <= XML_NAMESPACES_MAX; i++)
		p += sprintf(p, "<b xmlns='a'/>");
	(void)sprintf(p, "</a>");
	assert_int_equal(parse(text, &doc, &err), -1);
	CHECK(strstr(err.text, "namespaces"), "%s", err.text);

	p = text;
	for (int i = 0; i < 300; i++)
		p += sprintf(p, "<a>");
	for (int i = 0; i < 300; i++)
		p += sprintf(p, "</a>");
	assert_int_equal(parse(text, &doc, &err), -1);
	assert_int_equal(err.kind, ERR_INVALID_XML);
}

static void test_the_serialised_text_is_what_was_checked(void **state)
{
	struct err err;
	(void)state;
	AUTO(xml_free) struct xml *doc = NULL;
	assert_int_equal(
		parse("<a> <!-- c -->\n<n> x<!-- y -->z<![CDATA[<&]]> </n></a>", &doc, &err), 0);
	AUTO(free) char *seen = xml_node_text(xml_child(xml_root(doc), "n"));
	AUTO(free) char *text = xml_text(doc);
	assert_string_equal(seen, "xz<&");
	assert_string_equal(text,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<a>\n  <n> xz&lt;&amp; </n>\n</a>\n");
}

static void test_a_text_cannot_become_an_element(void **state)
{
	(void)state;
	AUTO(xml_free) struct xml *doc = xml_new("domain");
	CHECK(xml_add(xml_root(doc), "name", "a</name><name>b"), "add");
	assert_int_equal(xml_set_attr(xml_root(doc), "type", "x'\"<&"), 0);
	AUTO(free) char *text = xml_text(doc);
	CHECK(strstr(text, "<name>a&lt;/name&gt;&lt;name&gt;b</name>"), "%s", text);
	CHECK(strstr(text, "type=\"x'&quot;&lt;&amp;\""), "%s", text);
}

static void test_an_added_element_is_indented_beside_white_space(void **state)
{
	struct err err;
	(void)state;
	AUTO(xml_free) struct xml *doc = NULL;
	assert_int_equal(parse("<a><b>\n</b><c> </c><d> </d></a>", &doc, &err), 0);
	CHECK(xml_add(xml_find(xml_root(doc), "b"), "e", NULL), "add");
	CHECK(xml_add_foreign(xml_find(xml_root(doc), "c"), "x", "u", "f"), "add");
	AUTO(free) char *text = xml_text(doc);
	assert_string_equal(text,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<a>\n  <b>\n    <e/>\n  </b>\n  <c>\n    <x:f xmlns:x=\"u\"/>\n  </c>\n"
		"  <d> </d>\n</a>\n");
}

static void test_an_empty_text_makes_no_node(void **state)
{
	struct err err;
	(void)state;
	AUTO(xml_free) struct xml *doc = NULL;
	assert_int_equal(parse("<a><b>x</b></a>", &doc, &err), 0);
	assert_int_equal(xml_set_text(xml_find(xml_root(doc), "b"), ""), 0);
	CHECK(xml_add(xml_root(doc), "c", ""), "add");
	AUTO(free) char *text = xml_text(doc);
	assert_string_equal(
		text, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a>\n  <b/>\n  <c/>\n</a>\n");
}

static void test_elements_are_found_by_path_and_name(void **state)
{
	struct err err;
	(void)state;
	AUTO(xml_free) struct xml *doc = NULL;
	const char *text = "<d><x:disk xmlns:x='u'/><devices><disk n='1'/><net/><disk n='2'/>"
			   "</devices></d>";
	assert_int_equal(parse(text, &doc, &err), 0);
	struct xml_node *disk = xml_find(xml_root(doc), "devices/disk");
	AUTO(free) char *first = xml_attr(disk, "n");
	AUTO(free) char *second = xml_attr(xml_next(disk), "n");
	assert_string_equal(first, "1");
	assert_string_equal(second, "2");
	assert_null(xml_next(xml_next(disk)));
	assert_null(xml_attr(disk, "m"));
	assert_null(xml_child(xml_root(doc), "disk")); /* a foreign namespace's twin */
	assert_null(xml_find(xml_root(doc), "devices/disk/source"));
}

/* Takes the element away; a third is refused. */
static int take(struct xml_node *node, void *data)
{
	int *count = data;
	if (++*count > 2)
		return -1;
	xml_remove(node);
	return 0;
}

static void test_every_element_at_a_path_is_visited_and_may_be_removed(void **state)
{
	struct err err;
	int count = 0;
	(void)state;
	AUTO(xml_free) struct xml *doc = NULL;
	assert_int_equal(parse("<a><b/><b><c/><cc/></b><b><x:c xmlns:x='u'/><c n='3'/><c/></b>"
			       "<d><c/></d></a>",
				 &doc, &err),
		0);
	assert_int_equal(xml_each_at(xml_root(doc), "b/c/@n", take, &count), -1);
	assert_int_equal(count, 3);
	AUTO(free) char *text = xml_text(doc);
	assert_string_equal(text,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<a>\n  <b/>\n  <b>\n    <cc/>\n  </b>\n"
		"  <b>\n    <x:c xmlns:x=\"u\"/>\n    <c/>\n  </b>\n"
		"  <d>\n    <c/>\n  </d>\n</a>\n");
}

static void test_children_are_put_in_order(void **state)
{
	struct err err;
	(void)state;
	AUTO(xml_free) struct xml *doc = NULL;
	assert_int_equal(
		parse("<d><c/><a n='1'/><x/><b/><a n='2'/><y:a xmlns:y='u'/><c/></d>", &doc, &err),
		0);
	xml_sort(xml_root(doc), "a|b|none|c");
	AUTO(free) char *text = xml_text(doc);
	assert_string_equal(text,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<d>\n  <x/>\n  <y:a xmlns:y=\"u\"/>\n  <a n=\"1\"/>\n  <a n=\"2\"/>\n"
		"  <b/>\n  <c/>\n  <c/>\n</d>\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_refused_and_why),
		cmocka_unit_test(test_an_error_says_where),
		cmocka_unit_test(test_sizes_are_bounded),
		cmocka_unit_test(test_the_serialised_text_is_what_was_checked),
		cmocka_unit_test(test_a_text_cannot_become_an_element),
		cmocka_unit_test(test_an_added_element_is_indented_beside_white_space),
		cmocka_unit_test(test_an_empty_text_makes_no_node),
		cmocka_unit_test(test_elements_are_found_by_path_and_name),
		cmocka_unit_test(test_every_element_at_a_path_is_visited_and_may_be_removed),
		cmocka_unit_test(test_children_are_put_in_order),
	};
	xml_init();
	return cmocka_run_group_tests_name("xml", tests, NULL, NULL);
}
