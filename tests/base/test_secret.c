/* SPDX-License-Identifier: MIT */
/* The secret that processes share by a file. */
#include "check.h"

#include "base/secret.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char dir[] = "/tmp/virtgate-secret-XXXXXX";
static char path[64];

static void remove_file(void)
{
	(void)unlink(path);
}

static void write_file(const char *text, unsigned mode)
{
	remove_file();
	FILE *out = fopen(path, "we");
	CHECK(out && fputs(text, out) >= 0 && !fclose(out) && !chmod(path, mode), "%s", path);
}

static void test_all_get_the_secret_that_the_first_has_made(void **state)
{
	unsigned char first[SECRET_SIZE];
	unsigned char second[SECRET_SIZE];
	unsigned char zero[SECRET_SIZE] = { 0 };
	struct err err;
	struct stat st;
	bool made = false;
	(void)state;
	remove_file();
	(void)umask(0);
	assert_int_equal(secret_share(path, first, &made, &err), 0);
	assert_true(made);
	assert_int_equal(secret_share(path, second, &made, &err), 0);
	assert_false(made);
	assert_memory_equal(first, second, sizeof first);
	assert_memory_not_equal(first, zero, sizeof first);
	CHECK(!stat(path, &st) && (st.st_mode & 07777) == 0600, "%o", st.st_mode);
	remove_file();
	assert_int_equal(secret_share(path, second, &made, &err), 0);
	assert_true(made);
	assert_memory_not_equal(first, second, sizeof first);
}

struct starter {
	pthread_t thread;
	unsigned char secret[SECRET_SIZE];
	bool made;
	int rc;
};

static void *share(void *data)
{
	struct starter *starter = data;
	struct err err;
	starter->rc = secret_share(path, starter->secret, &starter->made, &err);
	return NULL;
}

static void test_of_many_that_start_at_once_one_makes_it(void **state)
{
	enum { ROUNDS = 50 };
	struct starter starters[8];
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		int makers = 0;
		remove_file();
		for (size_t i = 0; i < ARRAY_LEN(starters); i++)
			assert_int_equal(
				pthread_create(&starters[i].thread, NULL, share, &starters[i]), 0);
		for (size_t i = 0; i < ARRAY_LEN(starters); i++) {
			(void)pthread_join(starters[i].thread, NULL);
			assert_int_equal(starters[i].rc, 0);
			makers += starters[i].made;
		}
		assert_int_equal(makers, 1);
		for (size_t i = 1; i < ARRAY_LEN(starters); i++)
			assert_memory_equal(
				starters[i].secret, starters[0].secret, sizeof starters[0].secret);
	}
}

static void test_a_secret_that_others_know_or_that_is_damaged_is_none(void **state)
{
	static const struct {
		const char *text;
		unsigned mode;
		const char *why;
	} cases[] = {
		{ "12345678901234567890123456789012", 0640, "its owner alone" },
		{ "12345678901234567890123456789012", 0604, "its owner alone" },
		{ "", 0660, "its owner alone" },
		{ "short", 0600, "damaged" },
		{ "123456789012345678901234567890123", 0600, "damaged" },
	};
	unsigned char secret[SECRET_SIZE];
	struct err err;
	bool made = false;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		write_file(cases[i].text, cases[i].mode);
		CHECK(secret_share(path, secret, &made, &err) == -1, "case %zu", i);
		CHECK(strstr(err.text, cases[i].why) && strstr(err.text, path), "%s", err.text);
	}
	remove_file();
	assert_int_equal(symlink("elsewhere", path), 0);
	assert_int_equal(secret_share(path, secret, &made, &err), -1);
	remove_file();
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(secret_share(path, secret, &made, &err), -1);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof path, "%s/secret", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	remove_file();
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_get_the_secret_that_the_first_has_made),
		cmocka_unit_test(test_of_many_that_start_at_once_one_makes_it),
		cmocka_unit_test(test_a_secret_that_others_know_or_that_is_damaged_is_none),
	};
	return cmocka_run_group_tests_name("secret", tests, set_up, tear_down);
}
