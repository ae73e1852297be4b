/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "storage/usage.h"

#include <stdio.h>
#include <string.h>

static void look(const char *source, const char *wanted)
{
	AUTO(xml_free) struct xml *doc = NULL;
	AUTO(free) char *text = NULL;
	struct used_file file = { .path = "/images/a" };
	struct err err;
	assert_true(asprintf(&text,
			    "<disk type='file'><driver type='qcow2'/><source file='%s'/></disk>",
			    source) > 0);
	assert_int_equal(xml_parse_trusted(text, &doc, &err), 0);
	usage_look_at_disk(xml_root(doc), "it", &file, 1);
	CHECK(!strcmp(file.user, wanted), "%.64s: '%s'", source, file.user);
}

static void test_a_path_is_compared_to_its_end(void **state)
{
	char path[4000];
	(void)state;
	look("/images/a", "it uses it");
	look("/images/b", "");
	memset(path, '/', sizeof path);
	(void)snprintf(path + sizeof path - sizeof "none", sizeof "none", "none");
	look(path, "whether it uses it is not known");
}

static int set_up(void **state)
{
	(void)state;
	xml_init();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_path_is_compared_to_its_end),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
