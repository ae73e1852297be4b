/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "format/rendering.h"

#include <semaphore.h>
#include <stdio.h>
#include <string.h>

static struct renderings all;
static atomic_int made;

static int set_up(void **state)
{
	(void)state;
	renderings_init(&all);
	atomic_store(&made, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	renderings_done(&all);
	return 0;
}

/* Of as many bytes as data says. */
static int make(const void *data, char **ret, size_t *ret_len, struct err *err)
{
	size_t len = *(const size_t *)data;
	char *text = malloc(len + 1);
	if (!text)
		return err_memory(err);
	memset(text, 'x', len);
	text[len] = '\0';
	*ret = text;
	*ret_len = len;
	(void)atomic_fetch_add(&made, 1);
	return 0;
}

static int make_none(const void *data, char **ret, size_t *ret_len, struct err *err)
{
	(void)data;
	(void)ret;
	(void)ret_len;
	(void)atomic_fetch_add(&made, 1);
	return err_memory(err);
}

/* Its text, which may be freed by now: to be compared alone. */
static const char *get(const char *name, size_t len)
{
	struct rendering *rendering = NULL;
	struct err err;
	CHECK(!renderings_get(&all, name, make, &len, &rendering, &err), "%s", err.text);
	assert_int_equal(rendering->len, len);
	const char *text = rendering->text;
	rendering_give(rendering);
	return text;
}

static void test_each_is_made_once(void **state)
{
	(void)state;
	const char *a = get("a", 10);
	const char *b = get("b", 20);
	for (int i = 0; i < 100; i++) {
		assert_ptr_equal(get("a", 10), a);
		assert_ptr_equal(get("b", 20), b);
	}
	assert_int_equal(atomic_load(&made), 2);
}

static void test_only_the_last_few_are_kept(void **state)
{
	char name[16];
	(void)state;
	for (int i = 0; i <= RENDERINGS_MAX; i++) {
		(void)snprintf(name, sizeof name, "%d", i);
		(void)get(name, 1);
	}
	(void)get("1", 1);
	assert_int_equal(atomic_load(&made), RENDERINGS_MAX + 1);
	(void)get("0", 1);
	assert_int_equal(atomic_load(&made), RENDERINGS_MAX + 2);
}

static void test_what_is_too_long_is_not_kept(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		(void)get("short", RENDERING_BYTES_MAX);
		(void)get("long", RENDERING_BYTES_MAX + 1);
	}
	assert_int_equal(atomic_load(&made), 1 + 3);
}

static void test_a_failure_is_tried_again(void **state)
{
	struct rendering *rendering = NULL;
	struct err err;
	(void)state;
	assert_int_equal(renderings_get(&all, "a", make_none, NULL, &rendering, &err), -1);
	assert_int_equal(err.kind, ERR_INTERNAL);
	(void)get("a", 1);
	assert_int_equal(atomic_load(&made), 2);
}

static void test_a_holder_keeps_it_from_being_freed(void **state)
{
	struct rendering *rendering = NULL;
	struct err err;
	size_t len = 3;
	char name[16];
	(void)state;
	assert_int_equal(renderings_get(&all, "a", make, &len, &rendering, &err), 0);
	for (int i = 0; i < RENDERINGS_MAX; i++) {
		(void)snprintf(name, sizeof name, "%d", i);
		(void)get(name, 1);
	}
	assert_string_equal(rendering->text, "xxx");
	rendering_give(rendering);
}

static sem_t begun;
static sem_t go;

static int make_slowly(const void *data, char **ret, size_t *ret_len, struct err *err)
{
	(void)sem_post(&begun);
	while (sem_wait(&go))
		;
	return make(data, ret, ret_len, err);
}

static void *get_slowly(void *data)
{
	struct rendering *rendering = NULL;
	struct err err;
	size_t len = 100;
	(void)data;
	if (renderings_get(&all, "a", make_slowly, &len, &rendering, &err) < 0)
		return NULL;
	void *text = rendering->text;
	rendering_give(rendering);
	return text;
}

static void test_callers_wait_while_another_makes_it(void **state)
{
	pthread_t threads[16];
	void *text = NULL;
	(void)state;
	(void)sem_init(&begun, 0, 0);
	(void)sem_init(&go, 0, 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, get_slowly, NULL), 0);
	while (sem_wait(&begun))
		;
	(void)sem_post(&go);
	(void)pthread_join(threads[0], &text);
	assert_non_null(text);
	for (size_t i = 1; i < ARRAY_LEN(threads); i++) {
		void *same = NULL;
		(void)pthread_join(threads[i], &same);
		assert_ptr_equal(same, text);
	}
	assert_int_equal(atomic_load(&made), 1);
	(void)sem_destroy(&begun);
	(void)sem_destroy(&go);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_each_is_made_once),
		TEST(test_only_the_last_few_are_kept),
		TEST(test_what_is_too_long_is_not_kept),
		TEST(test_a_failure_is_tried_again),
		TEST(test_a_holder_keeps_it_from_being_freed),
		TEST(test_callers_wait_while_another_makes_it),
	};
	return cmocka_run_group_tests_name("rendering", tests, NULL, NULL);
}
