/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "base/base.h"
#include "base/clock.h"
#include "libvirt/event_loop.h"

#include <errno.h>
#include <semaphore.h>
#include <sys/socket.h>

enum { LONG_MS = 60000 }; /* more than any test takes */

/* What the callbacks of a test have seen. */
static struct {
	sem_t called, let_go;
	atomic_int calls, gone;
	atomic_int events; /* of the last call */
	atomic_bool ends;  /* the first call removes its watch or timer */
	int fds[2];
} seen;

static int set_up(void **state)
{
	(void)state;
	(void)sem_init(&seen.called, 0, 0);
	(void)sem_init(&seen.let_go, 0, 0);
	atomic_store(&seen.calls, 0);
	atomic_store(&seen.gone, 0);
	atomic_store(&seen.ends, false);
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, seen.fds) || event_loop_start();
}

static int tear_down(void **state)
{
	(void)state;
	event_loop_stop();
	(void)close(seen.fds[0]);
	if (seen.fds[1] >= 0)
		(void)close(seen.fds[1]);
	return 0;
}

static void await(sem_t *sem)
{
	while (sem_wait(sem))
		assert_int_equal(errno, EINTR);
}

static void on_gone(void *data)
{
	assert_ptr_equal(data, &seen);
	(void)atomic_fetch_add(&seen.gone, 1);
	(void)sem_post(&seen.let_go);
}

/* Is called once: then the watch waits for nothing. */
static void on_events(int watch, int fd, int events, void *data)
{
	assert_int_equal(fd, seen.fds[0]);
	assert_ptr_equal(data, &seen);
	atomic_store(&seen.events, events);
	(void)atomic_fetch_add(&seen.calls, 1);
	if (atomic_load(&seen.ends))
		assert_int_equal(event_loop_remove(watch), 0);
	else
		event_loop_update_watch(watch, 0);
	(void)sem_post(&seen.called);
}

static void on_time(int timer, void *data)
{
	assert_ptr_equal(data, &seen);
	(void)atomic_fetch_add(&seen.calls, 1);
	if (atomic_load(&seen.ends))
		assert_int_equal(event_loop_remove(timer), 0);
	(void)sem_post(&seen.called);
}

static int watch(int events)
{
	int number = event_loop_add_watch(seen.fds[0], events, on_events, &seen, on_gone);
	assert_true(number > 0);
	return number;
}

static int timer(int ms)
{
	int number = event_loop_add_timer(ms, on_time, &seen, on_gone);
	assert_true(number > 0);
	return number;
}

static void on_pass(int timer, void *data)
{
	assert_int_equal(event_loop_remove(timer), 0);
	(void)data;
}

static void on_passed(void *data)
{
	(void)sem_post(data);
}

/* Returns when the loop has handled everything that was there before. */
static void pass_once(void)
{
	sem_t passed;
	(void)sem_init(&passed, 0, 0);
	assert_true(event_loop_add_timer(0, on_pass, &passed, on_passed) > 0);
	await(&passed);
}

static void say_something(void)
{
	assert_int_equal(write(seen.fds[1], "x", 1), 1);
}

static void hang_up(void)
{
	(void)close(TAKE_FD(seen.fds[1]));
}

static void test_a_watch_gets_the_events_that_it_waits_for(void **state)
{
	static const struct {
		int wants, before; /* what is there: 'x' something to read, 'h' a hang-up */
		int events;
	} rows[] = {
		{ EVENT_READABLE, 'x', EVENT_READABLE },
		{ EVENT_WRITABLE, 'x', EVENT_WRITABLE },
		{ EVENT_READABLE | EVENT_WRITABLE, 'x', EVENT_READABLE | EVENT_WRITABLE },
		{ EVENT_WRITABLE, 0, EVENT_WRITABLE },
		{ EVENT_READABLE, 'h', EVENT_READABLE | EVENT_HANGUP },
		{ EVENT_HANGUP, 'h', EVENT_HANGUP },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(set_up(NULL), 0);
		if (rows[i].before == 'x')
			say_something();
		if (rows[i].before == 'h')
			hang_up();
		(void)watch(rows[i].wants);
		await(&seen.called);
		CHECK(atomic_load(&seen.events) == rows[i].events, "row %zu: %d", i,
			atomic_load(&seen.events));
		(void)tear_down(NULL);
		CHECK(atomic_load(&seen.gone) == 1, "row %zu", i);
	}
}

static void test_a_watch_for_nothing_is_not_called(void **state)
{
	(void)state;
	int number = watch(0);
	say_something();
	hang_up();
	pass_once();
	assert_int_equal(atomic_load(&seen.calls), 0);
	event_loop_update_watch(number, EVENT_READABLE);
	await(&seen.called);
	assert_int_equal(atomic_load(&seen.events), EVENT_READABLE | EVENT_HANGUP);
}

static void test_a_watch_is_called_again_until_everything_is_read(void **state)
{
	(void)state;
	int number = watch(EVENT_READABLE);
	say_something();
	for (int i = 0; i < 3; i++) {
		await(&seen.called);
		event_loop_update_watch(number, EVENT_READABLE);
	}
}

static void test_a_removed_watch_is_finished_once_and_not_called_again(void **state)
{
	(void)state;
	int number = watch(EVENT_READABLE);
	assert_int_equal(event_loop_remove(number), 0);
	assert_int_equal(event_loop_remove(number), -1);
	await(&seen.let_go);
	say_something();
	event_loop_update_watch(number, EVENT_READABLE);
	pass_once();
	assert_int_equal(atomic_load(&seen.calls), 0);
	assert_int_equal(atomic_load(&seen.gone), 1);
}

static void test_a_callback_may_remove_its_own_watch(void **state)
{
	(void)state;
	atomic_store(&seen.ends, true);
	(void)watch(EVENT_READABLE);
	say_something();
	await(&seen.called);
	await(&seen.let_go);
	assert_int_equal(atomic_load(&seen.calls), 1);
}

static void test_a_descriptor_may_be_watched_again_after_its_removal(void **state)
{
	(void)state;
	int first = watch(EVENT_READABLE);
	assert_int_equal(
		event_loop_add_watch(seen.fds[0], EVENT_READABLE, on_events, &seen, NULL), -1);
	assert_int_equal(event_loop_remove(first), 0);
	assert_int_not_equal(watch(EVENT_READABLE), first);
	say_something();
	await(&seen.called);
}

static void test_a_timer_is_called_again_and_again(void **state)
{
	(void)state;
	int number = timer(1);
	for (int i = 0; i < 3; i++)
		await(&seen.called);
	assert_int_equal(event_loop_remove(number), 0);
	assert_int_equal(event_loop_remove(number), -1);
	await(&seen.let_go);
}

static void test_a_timer_is_not_called_before_its_time(void **state)
{
	(void)state;
	enum { MS = 30 };
	int64_t start = clock_ms();
	(void)timer(MS);
	await(&seen.called);
	assert_true(clock_ms() - start >= MS);
}

/* The loop already waits for the first, later time; it must not miss the earlier one. */
static void test_a_timer_may_be_put_forward_and_back(void **state)
{
	(void)state;
	int number = timer(-1);
	pass_once();
	assert_int_equal(atomic_load(&seen.calls), 0);
	event_loop_update_timer(number, LONG_MS);
	event_loop_update_timer(number, 1);
	await(&seen.called);
	event_loop_update_timer(number, LONG_MS);
	pass_once(); /* the timer may have fired again before it was put back */
	int calls = atomic_load(&seen.calls);
	pass_once();
	assert_int_equal(atomic_load(&seen.calls), calls);
}

/* Watches change as they do when a libvirt client calls a daemon. */
static void *come_and_go(void *data)
{
	atomic_int *failed = data;
	for (int i = 0; i < 300; i++) {
		int fds[2];
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
			(void)atomic_fetch_add(failed, 1);
			continue;
		}
		int number = event_loop_add_watch(fds[0], EVENT_READABLE, NULL, NULL, NULL);
		int alarm = event_loop_add_timer(LONG_MS, NULL, NULL, NULL);
		for (int j = 0; j < 8; j++) {
			event_loop_update_watch(number, j % 2 ? EVENT_READABLE : 0);
			event_loop_update_timer(alarm, LONG_MS + j);
		}
		if (event_loop_remove(number) < 0 || event_loop_remove(alarm) < 0)
			(void)atomic_fetch_add(failed, 1);
		(void)close(fds[0]);
		(void)close(fds[1]);
	}
	return NULL;
}

static void test_many_threads_may_use_the_loop(void **state)
{
	(void)state;
	pthread_t threads[8];
	atomic_int failed = 0;
	(void)watch(EVENT_READABLE);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &failed), 0);
	say_something();
	await(&seen.called);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		(void)pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&failed), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_watch_gets_the_events_that_it_waits_for),
		cmocka_unit_test_setup_teardown(
			test_a_watch_for_nothing_is_not_called, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_watch_is_called_again_until_everything_is_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_removed_watch_is_finished_once_and_not_called_again, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_callback_may_remove_its_own_watch, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_descriptor_may_be_watched_again_after_its_removal, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_timer_is_called_again_and_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_timer_is_not_called_before_its_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_timer_may_be_put_forward_and_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_many_threads_may_use_the_loop, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
