/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "base/uuid.h"
#include "definition/domain_xml.h"
#include "definition/template.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct config config = {
	.images = "/images",
	.shares = "/shares",
	.logs = "/logs",
	.templates = TEMPLATES,
};

static int read_text(const char *text, struct domain_xml *ret, struct err *err)
{
	AUTO_DOMAIN_XML struct domain_xml domain = { 0 };
	if (domain_xml_read(text, strlen(text), &domain, err) < 0 ||
		domain_xml_settle(&domain, &config, err) < 0)
		return -1;
	*ret = domain;
	domain.doc = NULL;
	return 0;
}

static void test_a_bad_or_second_name_is_refused(void **state)
{
	static const struct {
		const char *text;
		enum err_kind kind;
	} cases[] = {
		{ "<domain/>", ERR_INVALID_SPEC },
		{ "<domain><name/></domain>", ERR_INVALID_SPEC },
		{ "<domain><name>..</name></domain>", ERR_INVALID_SPEC },
		{ "<domain><name>a/b</name></domain>", ERR_INVALID_SPEC },
		{ "<domain><name>a&#10;b</name></domain>", ERR_INVALID_SPEC },
		{ "<domain><name>a</name><name>b</name></domain>", ERR_INVALID_XML },
		{ "<domain><name>c7a5fdbd-cdaf-9455-926a-d65c16db1809</name></domain>",
			ERR_INVALID_SPEC },
		{ "<domain><name>a</name><uuid>x</uuid></domain>", ERR_INVALID_SPEC },
		{ "<domain><name>a</name><uuid>00000000-0000-0000-0000-000000000000</uuid></"
		  "domain>",
			ERR_INVALID_SPEC },
		{ "<network><name>a</name></network>", ERR_INVALID_XML },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct domain_xml domain;
		struct err err;
		CHECK(read_text(cases[i].text, &domain, &err) == -1, "%s", cases[i].text);
		CHECK(err.kind == cases[i].kind, "%s: %s", cases[i].text, err.text);
	}
}

static void test_name_and_uuid_are_settled(void **state)
{
	struct err err;
	AUTO_DOMAIN_XML struct domain_xml domain = { 0 };
	(void)state;
	assert_int_equal(read_text("<domain><name> b </name></domain>", &domain, &err), 0);
	assert_string_equal(domain.name, "b");
	CHECK(uuid_is(domain.uuid), "%s", domain.uuid);
	AUTO(free) char *text = xml_text(domain.doc);
	CHECK(strstr(text, "<name>b</name>"), "%s", text);
	CHECK(strstr(text, domain.uuid), "%s", text);
}

static void test_relative_paths_start_from_their_directories(void **state)
{
	static const char text[] =
		"<domain><name>a</name><uuid>3D6FC3A9-ab4c-4f54-a35a-e70216a63a77</uuid>"
		"<os><kernel> k </kernel><initrd>/abs</initrd></os><devices>"
		"<disk><source file='d1'/></disk><disk><source file='x/d2'/></disk><disk/>"
		"<filesystem><source dir='fs0'/><target dir='tag'/></filesystem>"
		"<serial><log file='s.log'/></serial></devices></domain>";
	static const char *const wanted[] = { "<kernel>/images/k</kernel>", "<initrd>/abs</initrd>",
		"file=\"/images/d1\"", "file=\"/images/x/d2\"", "dir=\"/shares/fs0\"",
		"<target dir=\"tag\"/>",
		"file=\"/logs/3d6fc3a9-ab4c-4f54-a35a-e70216a63a77@s.log\"" };
	struct err err;
	AUTO_DOMAIN_XML struct domain_xml domain = { 0 };
	(void)state;
	assert_int_equal(read_text(text, &domain, &err), 0);
	AUTO(free) char *out = xml_text(domain.doc);
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		CHECK(strstr(out, wanted[i]), "%s in %s", wanted[i], out);
}

static void test_a_relative_path_cannot_lead_out(void **state)
{
	static const char *const paths[] = { "..", "../x", "a/../../x", "a/.." };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		char text[200];
		struct domain_xml domain;
		struct err err;
		(void)snprintf(text, sizeof text,
			"<domain><name>a</name><os><kernel>%s</kernel></os></domain>", paths[i]);
		CHECK(read_text(text, &domain, &err) == -1, "%s", paths[i]);
		assert_int_equal(err.kind, ERR_INVALID_SPEC);
	}
}

static void test_templates_come_from_their_directory_only(void **state)
{
	static const char *const good[] = { "helloworld", "helloworld.xml", "nginx", "linux" };
	static const char *const bad[] = { "", "none", "helloworld.xml.xml", "../xml/helloworld",
		"/etc/passwd", "..", ".", "helloworld/", "hello world", "HELLOWORLD" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		AUTO(free) char *text = NULL;
		size_t len = 0;
		struct err err;
		CHECK(!template_read(&config, good[i], &text, &len, &err), "%s", good[i]);
		CHECK(strlen(text) == len && strstr(text, "<domain"), "%s", good[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char *text = NULL;
		size_t len = 0;
		struct err err;
		CHECK(template_read(&config, bad[i], &text, &len, &err) == -1, "%s", bad[i]);
		CHECK(err.kind == ERR_TEMPLATE_NOT_FOUND, "%s", bad[i]);
		CHECK(!strstr(err.text, TEMPLATES), "%s", err.text);
	}
}

static void test_a_template_is_a_file_not_a_link_or_pipe(void **state)
{
	char dir[] = "/tmp/virtgate-test-XXXXXX";
	char path[64];
	char *text = NULL;
	size_t len = 0;
	struct err err;
	(void)state;
	assert_non_null(mkdtemp(dir));
	struct config here = config;
	here.templates = dir;
	(void)snprintf(path, sizeof path, "%s/link.xml", dir);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(template_read(&here, "link", &text, &len, &err), -1);
	assert_int_equal(err.kind, ERR_TEMPLATE_NOT_FOUND);
	(void)unlink(path);
	(void)snprintf(path, sizeof path, "%s/pipe.xml", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(template_read(&here, "pipe", &text, &len, &err), -1);
	assert_int_equal(err.kind, ERR_TEMPLATE_NOT_FOUND);
	(void)unlink(path);
	(void)rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_bad_or_second_name_is_refused),
		cmocka_unit_test(test_name_and_uuid_are_settled),
		cmocka_unit_test(test_relative_paths_start_from_their_directories),
		cmocka_unit_test(test_a_relative_path_cannot_lead_out),
		cmocka_unit_test(test_templates_come_from_their_directory_only),
		cmocka_unit_test(test_a_template_is_a_file_not_a_link_or_pipe),
	};
	xml_init();
	return cmocka_run_group_tests_name("domain_xml", tests, NULL, NULL);
}
