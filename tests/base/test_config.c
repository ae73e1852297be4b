/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "base/config.h"

#include <string.h>

static int load(struct config *ret, struct err *err, const char *first, const char *second)
{
	char *const argv[] = { (char *)(uintptr_t) "virtgate", (char *)(uintptr_t)first,
		(char *)(uintptr_t)second, NULL };
	int argc = second ? 3 : first ? 2 : 1;
	return config_load(ret, argc, argv, err);
}

static int clear(void **state)
{
	(void)state;
	(void)unsetenv("VIRTGATE_WORKERS");
	(void)unsetenv("VIRTGATE_URI");
	(void)unsetenv("VIRTGATE_ACCEL");
	return 0;
}

static void test_defaults_stand_when_nothing_is_set(void **state)
{
	struct config config;
	struct err err;
	(void)state;
	assert_int_equal(load(&config, &err, NULL, NULL), 0);
	assert_int_equal(config.action, CONFIG_RUN);
	assert_int_equal(config.workers, 64);
	assert_string_equal(config.uri, "");
	assert_int_equal(config.accel, ACCEL_AUTO);
	assert_int_equal(config.anonymous, ROLE_NONE);
}

static void test_a_flag_wins_over_the_environment(void **state)
{
	struct config config;
	struct err err;
	(void)state;
	(void)setenv("VIRTGATE_WORKERS", "3", 1);
	(void)setenv("VIRTGATE_URI", "test:///default", 1);
	assert_int_equal(load(&config, &err, NULL, NULL), 0);
	assert_int_equal(config.workers, 3);
	assert_string_equal(config.uri, "test:///default");
	assert_int_equal(load(&config, &err, "--workers", "5"), 0);
	assert_int_equal(config.workers, 5);
	assert_int_equal(load(&config, &err, "--accel=tcg", NULL), 0);
	assert_int_equal(config.accel, ACCEL_TCG);
	assert_int_equal(load(&config, &err, "--check", NULL), 0);
	assert_int_equal(config.action, CONFIG_CHECK);
}

static void test_a_bad_value_is_named_with_its_bounds(void **state)
{
	static const struct {
		const char *flag, *value, *says;
	} cases[] = {
		{ "--workers", "0", "--workers: '0' is not a whole number from 1 to 1024" },
		{ "--workers", "1025", "from 1 to 1024" },
		{ "--workers", "4x", "from 1 to 1024" },
		{ "--workers", "", "from 1 to 1024" },
		{ "--workers", "99999999999999999999", "from 1 to 1024" },
		{ "--accel", "kv", "'kv' is not one of auto|as-written|tcg" },
		{ "--accel", "auto|tcg", "is not one of" },
		{ "--accel", "aut", "is not one of" },
		{ "--images", "images", "is not an absolute path" },
		{ "--workers", NULL, "--workers needs a value" },
		{ "--work", "4", "'--work' is not a flag" },
		{ "workers", "4", "'workers' is not a flag" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct config config;
		struct err err;
		CHECK(load(&config, &err, cases[i].flag, cases[i].value) == -1, "%s %s",
			cases[i].flag, cases[i].value ? cases[i].value : "");
		CHECK(strstr(err.text, cases[i].says), "%s", err.text);
	}
	struct config config;
	struct err err;
	(void)setenv("VIRTGATE_WORKERS", "many", 1);
	assert_int_equal(load(&config, &err, NULL, NULL), -1);
	CHECK(strstr(err.text, "VIRTGATE_WORKERS: 'many'"), "%s", err.text);
}

static void test_help_names_every_variable(void **state)
{
	static const char *const names[] = { "VIRTGATE_LISTEN", "VIRTGATE_URI", "VIRTGATE_WORKERS",
		"VIRTGATE_ANONYMOUS_ROLE", "--socket-group", "auto|as-written|tcg", "1 to 1024" };
	char text[8192] = "";
	(void)state;
	FILE *out = fmemopen(text, sizeof text, "w");
	config_help(out);
	(void)fclose(out);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		CHECK(strstr(text, names[i]), "%s", names[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_defaults_stand_when_nothing_is_set, clear),
		cmocka_unit_test_setup(test_a_flag_wins_over_the_environment, clear),
		cmocka_unit_test_setup(test_a_bad_value_is_named_with_its_bounds, clear),
		cmocka_unit_test_setup(test_help_names_every_variable, clear),
	};
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
