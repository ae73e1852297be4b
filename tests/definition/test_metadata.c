/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "definition/metadata.h"

#include <stdio.h>
#include <string.h>

#define VM "<v:vm xmlns:v='urn:virtgate:vm:1'>"

static struct xml *read_domain(const char *inside)
{
	char text[1024];
	struct xml *doc = NULL;
	struct err err;
	(void)snprintf(text, sizeof text, "<domain>%s</domain>", inside);
	CHECK(!xml_parse_trusted(text, &doc, &err), "%s: %s", inside, err.text);
	return doc;
}

static void check_element(const struct xml *doc, const char *wanted)
{
	struct err err;
	AUTO(free) char *element = NULL;
	assert_int_equal(metadata_element(xml_root(doc), &element, &err), 0);
	CHECK(!element == !wanted, "%s instead of %s", element, wanted);
	CHECK(!wanted || strstr(element, wanted), "%s instead of %s", element, wanted);
	CHECK(!element || !strstr(element, "urn:"), "a namespace in %s", element);
}

static void test_labels_are_merged_by_rfc_7396(void **state)
{
	static const struct {
		const char *before, *patch, *after; /* NULL: no element of ours */
	} cases[] = {
		{ "", "{\"a\":\"b\"}", "<label name=\"a\">b</label>" },
		{ "", "{\"a\":null}", NULL },
		{ "", "{}", NULL },
		{ "", "null", NULL },
		{ "<metadata/>", "{\"a\":\"\"}", "<label name=\"a\"/>" },
		{ "<metadata>" VM "<v:label name='a'>b</v:label></v:vm></metadata>",
			"{\"a\":\"c\",\"d\":\"e\"}", "<label name=\"a\">c</label>" },
		{ "<metadata>" VM "<v:label name='a'>b</v:label></v:vm></metadata>", "{}",
			"<label name=\"a\">b</label>" },
		{ "<metadata>" VM "<v:label name='a'>b</v:label></v:vm></metadata>", "{\"a\":null}",
			NULL },
		{ "<metadata>" VM "<v:label name='a'>b</v:label></v:vm></metadata>", "null", NULL },
		{ "<metadata>" VM "<v:label name='a'>b</v:label><v:disk path='/x'/></v:vm>"
		  "</metadata>",
			"null", "<vm>\n  <disk path=\"/x\"/>\n</vm>" },
		{ "<metadata>" VM "<v:label name='a'>&lt;&amp;</v:label></v:vm></metadata>", "{}",
			"<label name=\"a\">&lt;&amp;</label>" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err;
		AUTO(json_free) struct json *holder = NULL;
		AUTO(xml_free) struct xml *doc = read_domain(cases[i].before);
		char patch[128];
		(void)snprintf(patch, sizeof patch, "{\"labels\":%s}", cases[i].patch);
		assert_int_equal(json_parse(patch, strlen(patch), &holder, &err), 0);
		CHECK(!metadata_merge_labels(xml_root(doc), json_member(holder, "labels"), &err),
			"%s: %s", patch, err.text);
		check_element(doc, cases[i].after);
	}
}

/* Under any prefix, at any depth: everything that virtgate would later trust is removed. */
static void test_a_clients_claim_to_a_disk_is_removed(void **state)
{
	static const char *const claims[] = {
		"<metadata>" VM "<v:disk path='/x'/></v:vm></metadata>",
		"<metadata><vm xmlns='urn:virtgate:vm:1'><disk path='/x'/></vm></metadata>",
		"<metadata>" VM "</v:vm>" VM "<v:disk path='/x'/></v:vm></metadata>",
		"<metadata/><metadata>" VM "<v:disk path='/x'/></v:vm></metadata>",
		"<metadata><a><v:vm xmlns:v='urn:virtgate:vm:1'><v:disk path='/x'/></v:vm></a>"
		"</metadata>",
		"<metadata>" VM "<v:disk path='/y'/><v:disk path='/x'><v:disk path='/x'/></v:disk>"
		"</v:vm></metadata>",
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(claims); i++) {
		AUTO(xml_free) struct xml *doc = read_domain(claims[i]);
		metadata_drop_claims(xml_root(doc));
		AUTO(free) char *text = xml_text(doc);
		CHECK(!strstr(text, "disk"), "%s", text);
		CHECK(!metadata_has_disk(xml_root(doc), "/x"), "%s", text);
	}
}

static void test_only_disks_that_the_vm_keeps_stay_recorded(void **state)
{
	struct err err;
	AUTO(xml_free) struct xml *old = read_domain(
		"<metadata>" VM "<v:disk path='/a'/><v:disk path='/b'/></v:vm></metadata>");
	AUTO(xml_free) struct xml *new = read_domain(
		"<devices><disk><source file='/b'/></disk><disk/><disk><source file='/c'/></disk>"
		"<disk><source file='/b'/></disk></devices>");
	(void)state;
	assert_int_equal(metadata_keep_claims(xml_root(new), xml_root(old), &err), 0);
	assert_true(metadata_has_disk(xml_root(new), "/b"));
	assert_false(metadata_has_disk(xml_root(new), "/a"));
	assert_false(metadata_has_disk(xml_root(new), "/c"));
	check_element(new, "<vm>\n  <disk path=\"/b\"/>\n</vm>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_labels_are_merged_by_rfc_7396),
		cmocka_unit_test(test_a_clients_claim_to_a_disk_is_removed),
		cmocka_unit_test(test_only_disks_that_the_vm_keeps_stay_recorded),
	};
	xml_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
