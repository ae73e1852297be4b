/* SPDX-License-Identifier: MIT */
/* Who waits for a gate and who is refused, and how many long operations run at a time. */
#include "in_process.h"

#include "base/clock.h"
#include "base/wait.h"

#include <stdio.h>
#include <string.h>

static struct hypervisor *hypervisor;

static void test_a_gate_that_is_held_for_long_is_refused_at_once(void **state)
{
	struct gate held = { 0 }, other = { 0 };
	struct err err;
	(void)state;
	CHECK(!gate_enter(hypervisor, "vm", &held, &err), "%s", err.text);
	int64_t began = clock_ms();
	assert_int_equal(gate_enter(hypervisor, "vm", &other, &err), -1);
	assert_int_equal(err.kind, ERR_VM_BUSY);
	CHECK(clock_ms() - began >= GATE_WAIT_MS, "%d ms", (int)(clock_ms() - began));
	began = clock_ms();
	for (int i = 0; i < 20; i++)
		assert_int_equal(gate_enter(hypervisor, "vm", &other, &err), -1);
	CHECK(clock_ms() - began < GATE_WAIT_MS, "%d ms", (int)(clock_ms() - began));
	gate_leave(&held);
	CHECK(!gate_enter(hypervisor, "vm", &other, &err), "%s", err.text);
	gate_leave(&other);
}

static void test_different_keys_and_kinds_are_different_gates(void **state)
{
	AUTO_GATE struct gate vm = { 0 };
	AUTO_GATE struct gate other = { 0 };
	AUTO_GATE struct gate stats = { 0 };
	struct gate again = { 0 };
	struct err err;
	(void)state;
	CHECK(!gate_enter(hypervisor, "vm", &vm, &err), "%s", err.text);
	CHECK(!gate_enter(hypervisor, "another", &other, &err), "%s", err.text);
	CHECK(!gate_enter_for(hypervisor, "stats", "vm", &stats, &err), "%s", err.text);
	assert_int_equal(gate_enter_within(hypervisor, "stats:vm", 0, &again, &err), -1);
	assert_int_equal(hypervisor_load(hypervisor).gates.held, 3);
}

struct crowd {
	struct wait_places *places;
	atomic_int entered, refused;
};

static void *enter_gate(void *data)
{
	struct crowd *crowd = data;
	AUTO_GATE struct gate gate = { 0 };
	struct err err;
	wait_places_join(crowd->places);
	bool entered = !gate_enter_within(hypervisor, "vm", 20000, &gate, &err);
	atomic_fetch_add(entered ? &crowd->entered : &crowd->refused, 1);
	return NULL;
}

static void test_the_number_of_workers_that_wait_for_one_gate_is_limited(void **state)
{
	enum { WORKERS = 32, WAITING = WORKERS / 2 };
	struct crowd crowd = { .places = wait_places_new(WORKERS) };
	struct gate held = { 0 };
	pthread_t threads[WAITING + 8];
	struct err err;
	(void)state;
	CHECK(!gate_enter(hypervisor, "vm", &held, &err), "%s", err.text);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, enter_gate, &crowd), 0);
	AWAIT(atomic_load(&crowd.refused) == 8);
	AWAIT(hypervisor_load(hypervisor).gates.waiting == WAITING);
	gate_leave(&held);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		(void)pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&crowd.entered), WAITING);
	assert_int_equal(hypervisor_load(hypervisor).gates.held, 0);
	wait_places_free(crowd.places);
}

/* Another opening of the file stands for another process: the lock belongs to the open file. */
static void test_processes_that_share_a_file_share_the_gates(void **state)
{
	char path[] = "/tmp/test_gate.XXXXXX";
	int fd = mkstemp(path);
	struct gate here = { 0 }, there = { 0 };
	struct err err;
	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
	struct hypervisor *other = hypervisor_new("local", "test:///default", 4, 2);
	CHECK(!gate_share(hypervisor, path, &err), "%s", err.text);
	CHECK(!gate_share(other, path, &err), "%s", err.text);
	CHECK(!gate_enter(hypervisor, "vm", &here, &err), "%s", err.text);
	assert_int_equal(gate_enter_within(other, "vm", 20, &there, &err), -1);
	assert_int_equal(err.kind, ERR_VM_BUSY);
	CHECK(!gate_enter(other, "another", &there, &err), "%s", err.text);
	gate_leave(&there);
	gate_leave(&here);
	CHECK(!gate_enter(other, "vm", &there, &err), "%s", err.text);
	gate_leave(&there);
	hypervisor_free(other);
	(void)unlink(path);
}

static void test_those_who_share_a_gate_exclude_only_others(void **state)
{
	struct gate first = { 0 }, second = { 0 }, alone = { 0 };
	struct err err;
	(void)state;
	CHECK(!gate_enter_shared(hypervisor, "vm", 0, &first, &err), "%s", err.text);
	CHECK(!gate_enter_shared(hypervisor, "vm", 0, &second, &err), "%s", err.text);
	assert_int_equal(gate_enter_within(hypervisor, "vm", 0, &alone, &err), -1);
	gate_leave(&first);
	assert_int_equal(gate_enter_within(hypervisor, "vm", 0, &alone, &err), -1);
	gate_leave(&second);
	CHECK(!gate_enter_within(hypervisor, "vm", 0, &alone, &err), "%s", err.text);
	assert_int_equal(gate_enter_shared(hypervisor, "vm", 0, &first, &err), -1);
	gate_leave(&alone);
}

/* The last thread of a process that leaves a shared gate unlocks it for the other processes. */
static void test_processes_share_a_gate(void **state)
{
	char path[] = "/tmp/test_gate.XXXXXX";
	int fd = mkstemp(path);
	struct gate here[2] = { 0 }, there = { 0 };
	struct err err;
	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
	struct hypervisor *one = hypervisor_new("local", "test:///default", 4, 2);
	struct hypervisor *other = hypervisor_new("local", "test:///default", 4, 2);
	CHECK(!gate_share(one, path, &err), "%s", err.text);
	CHECK(!gate_share(other, path, &err), "%s", err.text);
	for (size_t i = 0; i < ARRAY_LEN(here); i++)
		CHECK(!gate_enter_shared(one, "vm", 0, &here[i], &err), "%s", err.text);
	CHECK(!gate_enter_shared(other, "vm", 0, &there, &err), "%s", err.text);
	gate_leave(&there);
	for (size_t i = 0; i < ARRAY_LEN(here); i++) {
		assert_int_equal(gate_enter_within(other, "vm", 0, &there, &err), -1);
		gate_leave(&here[i]);
	}
	CHECK(!gate_enter_within(other, "vm", 0, &there, &err), "%s", err.text);
	assert_int_equal(gate_enter_shared(one, "vm", 0, &here[0], &err), -1);
	gate_leave(&there);
	hypervisor_free(one);
	hypervisor_free(other);
	(void)unlink(path);
}

static void test_long_work_is_limited_and_calls_more_so(void **state)
{
	struct long_work calls[2] = { 0 }, wait = { 0 }, more = { 0 };
	struct err err;
	(void)state;
	/* Three at a time, two of them calls: four connections. */
	struct hypervisor *three = hypervisor_new("local", "test:///default", 4, 3);
	CHECK(!long_work_begin(three, LONG_WORK_CALL, "a", &calls[0], &err), "%s", err.text);
	CHECK(!long_work_begin(three, LONG_WORK_CALL, "b", &calls[1], &err), "%s", err.text);
	assert_false(long_work_try(three, LONG_WORK_CALL, "c", &more));
	long_work_leave_call(&calls[0]);
	assert_true(long_work_try(three, LONG_WORK_CALL, "c", &more));
	assert_false(long_work_try(three, LONG_WORK_WAIT, "d", &wait));
	assert_int_equal(long_work_begin(three, LONG_WORK_WAIT, "d", &wait, &err), -1);
	assert_int_equal(err.kind, ERR_HOST_BUSY);
	assert_string_equal(
		err.text, "host 'local' is already running its maximum number of long operations");
	assert_int_equal(hypervisor_load(three).long_works.running, 3);
	long_work_end(&more);
	long_work_end(&more); /* does nothing */
	assert_int_equal(hypervisor_load(three).long_works.running, 2);
	long_work_end(&calls[0]);
	long_work_end(&calls[1]);
	hypervisor_free(three);
}

static void test_one_user_has_at_most_half_of_the_long_work(void **state)
{
	struct long_work waits[4] = { 0 }, calls[2] = { 0 }, more = { 0 };
	struct err err;
	(void)state;
	/* Eight at a time, four of them calls: eight connections. */
	struct hypervisor *eight = hypervisor_new("local", "test:///default", 8, 8);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		assert_true(long_work_try(eight, LONG_WORK_CALL, "greedy", &calls[i]));
	assert_false(long_work_try(eight, LONG_WORK_CALL, "greedy", &more));
	for (size_t i = 0; i < 2; i++)
		assert_true(long_work_try(eight, LONG_WORK_WAIT, "greedy", &waits[i]));
	assert_int_equal(long_work_begin(eight, LONG_WORK_WAIT, "greedy", &more, &err), -1);
	assert_int_equal(err.kind, ERR_HOST_BUSY);
	assert_string_equal(err.text,
		"host 'local' is already running as many long operations as one user may have");
	/* What waits without a worker has places of its own: sixteen times as many. */
	static struct long_work parked[8 * LONG_WORK_PARKED_TIMES / 2];
	for (size_t i = 0; i < ARRAY_LEN(parked); i++)
		assert_true(long_work_try(eight, LONG_WORK_PARKED, "greedy", &parked[i]));
	assert_false(long_work_try(eight, LONG_WORK_PARKED, "greedy", &more));
	assert_true(long_work_try(eight, LONG_WORK_PARKED, "modest", &more));
	long_work_end(&more);
	for (size_t i = 0; i < ARRAY_LEN(parked); i++)
		long_work_end(&parked[i]);
	/* Nobody and the others have their own halves; NULL is nobody, as "" is. */
	assert_true(long_work_try(eight, LONG_WORK_CALL, NULL, &more));
	long_work_end(&more);
	for (size_t i = 2; i < ARRAY_LEN(waits); i++)
		assert_true(long_work_try(eight, LONG_WORK_WAIT, "modest", &waits[i]));
	long_work_end(&calls[0]);
	assert_true(long_work_try(eight, LONG_WORK_CALL, "greedy", &calls[0]));
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		long_work_end(&calls[i]);
	for (size_t i = 0; i < ARRAY_LEN(waits); i++)
		long_work_end(&waits[i]);
	hypervisor_free(eight);
}

static int set_up(void **state)
{
	(void)state;
	hypervisor = test_hypervisor_new(1);
	return hypervisor ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	test_hypervisor_free(hypervisor);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_gate_that_is_held_for_long_is_refused_at_once),
		cmocka_unit_test(test_different_keys_and_kinds_are_different_gates),
		cmocka_unit_test(test_the_number_of_workers_that_wait_for_one_gate_is_limited),
		cmocka_unit_test(test_processes_that_share_a_file_share_the_gates),
		cmocka_unit_test(test_those_who_share_a_gate_exclude_only_others),
		cmocka_unit_test(test_processes_share_a_gate),
		cmocka_unit_test(test_long_work_is_limited_and_calls_more_so),
		cmocka_unit_test(test_one_user_has_at_most_half_of_the_long_work),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
