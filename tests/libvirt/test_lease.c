/* SPDX-License-Identifier: MIT */
/* Who gets a connection, who waits and who is refused; on libvirt's test driver and on sockets that
 * only look like a daemon. */
#include "in_process.h"

#include "base/clock.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A daemon that accepts connections and then says nothing, or closes them at once. */

struct daemon {
	char path[64];
	char uri[128];
	int fd;
	bool closes;
	pthread_t thread;
	atomic_bool stop;
	atomic_int accepted;
	int held[64];
};

static void *accept_all(void *data)
{
	struct daemon *daemon = data;
	struct pollfd poll_fd = { .fd = daemon->fd, .events = POLLIN };
	while (!atomic_load(&daemon->stop)) {
		if (poll(&poll_fd, 1, 10) < 1)
			continue;
		int fd = accept4(daemon->fd, NULL, NULL, SOCK_CLOEXEC);
		int i = atomic_load(&daemon->accepted);
		if (daemon->closes || i == (int)ARRAY_LEN(daemon->held))
			(void)close(fd);
		else
			daemon->held[i] = fd;
		atomic_fetch_add(&daemon->accepted, 1);
	}
	return NULL;
}

static void start_daemon(struct daemon *daemon, bool closes)
{
	static int number;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	*daemon = (struct daemon){ .closes = closes };
	(void)snprintf(daemon->path, sizeof daemon->path, "/tmp/test_lease.%d.%d", (int)getpid(),
		number++);
	(void)snprintf(
		daemon->uri, sizeof daemon->uri, "qemu+unix:///system?socket=%s", daemon->path);
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", daemon->path);
	daemon->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(daemon->fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(daemon->fd, 64), 0);
	assert_int_equal(pthread_create(&daemon->thread, NULL, accept_all, daemon), 0);
}

/* Connections that hang in it are closed. */
static void end_daemon(struct daemon *daemon)
{
	atomic_store(&daemon->stop, true);
	(void)pthread_join(daemon->thread, NULL);
	(void)close(daemon->fd);
	(void)unlink(daemon->path);
	for (int i = 0; !daemon->closes && i < atomic_load(&daemon->accepted); i++)
		(void)close(daemon->held[i]);
}

static enum err_kind refusal(struct hypervisor *hypervisor, enum lease_class class, int64_t *ret_ms)
{
	AUTO_LEASE struct lease lease = { 0 };
	struct err err;
	int64_t began = clock_ms();
	CHECK(lease_take(hypervisor, class, &lease, &err) < 0, "class %d", (int)class);
	*ret_ms = clock_ms() - began;
	return err.kind;
}

struct crowd {
	struct hypervisor *hypervisor;
	atomic_bool stop;
	atomic_int refused, served;
};

enum { CROWD_SIZE = 64 };

static void start_crowd(struct crowd *crowd, void *(*each)(void *), pthread_t threads[CROWD_SIZE])
{
	for (size_t i = 0; i < CROWD_SIZE; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, each, crowd), 0);
}

static void join_crowd(const pthread_t threads[CROWD_SIZE])
{
	for (size_t i = 0; i < CROWD_SIZE; i++)
		(void)pthread_join(threads[i], NULL);
}

static void *take_until_stopped(void *data)
{
	struct crowd *crowd = data;
	while (!atomic_load(&crowd->stop)) {
		AUTO_LEASE struct lease lease = { 0 };
		struct err err;
		if (!lease_take(crowd->hypervisor, LEASE_READ, &lease, &err))
			atomic_fetch_add(&crowd->served, 1);
		else if (err.kind == ERR_HYPERVISOR_UNAVAILABLE)
			atomic_fetch_add(&crowd->refused, 1);
	}
	return NULL;
}

/* How many attempts may begin in this time, if each pause is as short as jitter makes it. */
static int most_attempts(int64_t ms)
{
	int attempts = 1;
	int pause_ms = OPENER_PAUSE_MIN_MS;
	for (int64_t at = pause_ms / 2; at <= ms; at += pause_ms / 2) {
		attempts++;
		pause_ms = 2 * pause_ms < OPENER_PAUSE_MAX_MS ? 2 * pause_ms : OPENER_PAUSE_MAX_MS;
	}
	return attempts;
}

/* Opening */

static void test_a_host_that_fails_is_tried_once_for_each_pause(void **state)
{
	struct daemon daemon;
	pthread_t threads[CROWD_SIZE];
	(void)state;
	start_daemon(&daemon, true);
	int64_t began = clock_ms();
	struct crowd crowd = { .hypervisor = hypervisor_new("local", daemon.uri, 8, 2) };
	start_crowd(&crowd, take_until_stopped, threads);
	AWAIT(atomic_load(&daemon.accepted) >= 5 && atomic_load(&crowd.refused) > 1000);
	int attempts = atomic_load(&daemon.accepted);
	int most = most_attempts(clock_ms() - began);
	CHECK(attempts <= most, "%d attempts where %d are possible", attempts, most);
	struct opener_load load = hypervisor_load(crowd.hypervisor).leases.opener;
	CHECK(load.pause_ms >= OPENER_PAUSE_MIN_MS, "%d", load.pause_ms);
	atomic_store(&crowd.stop, true);
	join_crowd(threads);
	assert_int_equal(atomic_load(&crowd.served), 0);
	assert_int_equal(hypervisor_load(crowd.hypervisor).leases.waiting, 0);
	hypervisor_free(crowd.hypervisor);
	end_daemon(&daemon);
}

static void test_a_host_that_fails_is_tried_again_without_requests(void **state)
{
	struct daemon daemon;
	int64_t ms;
	(void)state;
	start_daemon(&daemon, true);
	struct hypervisor *hypervisor = hypervisor_new("local", daemon.uri, 8, 2);
	assert_int_equal(refusal(hypervisor, LEASE_READ, &ms), ERR_HYPERVISOR_UNAVAILABLE);
	AWAIT(atomic_load(&daemon.accepted) >= 3);
	hypervisor_free(hypervisor);
	end_daemon(&daemon);
}

static void test_requests_wait_for_a_host_that_hangs_only_at_first(void **state)
{
	struct daemon daemon;
	int64_t ms;
	(void)state;
	start_daemon(&daemon, false);
	struct hypervisor *hypervisor = hypervisor_new("local", daemon.uri, 8, 2);
	assert_int_equal(refusal(hypervisor, LEASE_READ, &ms), ERR_HYPERVISOR_UNAVAILABLE);
	CHECK(ms >= LEASE_WAIT_MS, "%d ms", (int)ms);
	AWAIT(hypervisor_load(hypervisor).leases.opener.opening_ms > LEASE_WAIT_MS);
	assert_int_equal(refusal(hypervisor, LEASE_CALL, &ms), ERR_HYPERVISOR_UNAVAILABLE);
	CHECK(ms < LEASE_WAIT_MS, "%d ms", (int)ms);
	struct hypervisor_load load = hypervisor_load(hypervisor);
	assert_int_equal(atomic_load(&daemon.accepted), 1);
	CHECK(load.leases.opener.opening_ms >= LEASE_WAIT_MS, "%d",
		(int)load.leases.opener.opening_ms);
	int64_t began = clock_ms();
	hypervisor_free(hypervisor); /* while the attempt still hangs */
	CHECK(clock_ms() - began < LEASE_WAIT_MS, "%d ms", (int)(clock_ms() - began));
	end_daemon(&daemon);
}

static void count_failure(void *data, virConnectPtr conn)
{
	atomic_int *failures = data;
	assert_null(conn);
	atomic_fetch_add(failures, 1);
}

static void test_an_attempt_that_hangs_is_given_up_and_another_begins(void **state)
{
	enum { GIVE_UP_MS = 50 };
	struct daemon daemon;
	atomic_int failures = 0;
	(void)state;
	start_daemon(&daemon, false);
	struct opener *opener = opener_new(daemon.uri, GIVE_UP_MS, count_failure, &failures);
	for (int i = 1; i <= OPENER_GIVEN_UP_MAX + 1; i++) {
		opener_want(opener, true);
		AWAIT(atomic_load(&daemon.accepted) == i);
		AWAIT(opener_load(opener).opening_ms > GIVE_UP_MS);
	}
	opener_want(opener, true); /* but no more attempts may hang */
	assert_int_equal(opener_load(opener).given_up, OPENER_GIVEN_UP_MAX);
	assert_int_equal(opener_load(opener).attempts, OPENER_GIVEN_UP_MAX + 1);
	end_daemon(&daemon);
	AWAIT(!opener_load(opener).given_up);
	AWAIT(atomic_load(&failures) > 0); /* the attempt that was not given up */
	opener_free(opener);
}

/* Leases */

static void test_calls_that_hang_leave_connections_to_reads_and_kills(void **state)
{
	static const struct {
		int max, calls, reads, kills;
	} rows[] = {
		{ 1, 1, 0, 0 },
		{ 2, 1, 1, 0 },
		{ 4, 3, 1, 0 },
		{ 8, 6, 1, 1 },
		{ 16, 12, 3, 1 },
	};
	static const enum lease_class classes[] = { LEASE_CALL, LEASE_READ, LEASE_KILL };
	(void)state;
	for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
		const int counts[] = { rows[row].calls, rows[row].reads, rows[row].kills };
		struct hypervisor *hypervisor =
			hypervisor_new("local", "test:///default", rows[row].max, 2);
		struct lease leases[16] = { 0 };
		int out = 0;
		struct err err;
		for (size_t i = 0; i < ARRAY_LEN(classes); i++)
			for (int n = 0; n < counts[i]; n++, out++)
				CHECK(!lease_take(hypervisor, classes[i], &leases[out], &err),
					"%d connections, class %d: %s", rows[row].max,
					(int)classes[i], err.text);
		assert_int_equal(out, rows[row].max);
		struct hypervisor_load load = hypervisor_load(hypervisor);
		for (size_t i = 0; i < ARRAY_LEN(classes); i++)
			assert_int_equal(load.leases.leased[classes[i]], counts[i]);
		while (out)
			lease_give(&leases[--out]);
		hypervisor_free(hypervisor);
	}
}

static void test_when_all_calls_hang_the_next_is_refused_at_once(void **state)
{
	struct hypervisor *hypervisor = hypervisor_new("local", "test:///default", 8, 2);
	struct lease calls[6] = { 0 };
	struct err err;
	int64_t ms;
	(void)state;
	int64_t began = clock_ms();
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		CHECK(!lease_take(hypervisor, LEASE_CALL, &calls[i], &err), "%s", err.text);
	/* Nobody is refused before the calls have taken longer than short ones do. */
	assert_int_equal(refusal(hypervisor, LEASE_CALL, &ms), ERR_HOST_BUSY);
	CHECK(clock_ms() - began >= LEASE_WAIT_MS, "%d ms", (int)(clock_ms() - began));
	for (int i = 0; i < 20; i++) {
		AUTO_LEASE struct lease read = { 0 };
		AUTO_LEASE struct lease kill = { 0 };
		assert_int_equal(refusal(hypervisor, LEASE_CALL, &ms), ERR_HOST_BUSY);
		CHECK(ms < LEASE_WAIT_MS, "%d ms", (int)ms);
		CHECK(!lease_take(hypervisor, LEASE_READ, &read, &err), "%s", err.text);
		CHECK(!lease_take(hypervisor, LEASE_KILL, &kill, &err), "%s", err.text);
	}
	assert_int_equal(hypervisor_load(hypervisor).leases.refused, 21);
	/* A call that ends leaves its connection to the next. */
	lease_give(&calls[0]);
	CHECK(!lease_take(hypervisor, LEASE_CALL, &calls[0], &err), "%s", err.text);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		lease_give(&calls[i]);
	hypervisor_free(hypervisor);
}

struct queued {
	struct hypervisor *hypervisor;
	atomic_int *next; /* counts those that were served */
	int place;        /* at which this one was served */
};

static void *take_in_turn(void *data)
{
	struct queued *queued = data;
	AUTO_LEASE struct lease lease = { 0 };
	struct err err;
	queued->place = -1;
	if (!lease_take(queued->hypervisor, LEASE_READ, &lease, &err))
		queued->place = atomic_fetch_add(queued->next, 1);
	return NULL;
}

/* false: the machine was so slow that somebody gave up. */
static bool queue_in_order(struct hypervisor *hypervisor)
{
	enum { COUNT = 4 };
	atomic_int next = 0;
	struct queued queued[COUNT];
	pthread_t threads[COUNT];
	struct lease held = { 0 };
	struct err err;
	uint64_t refused = hypervisor_load(hypervisor).leases.refused;
	CHECK(!lease_take(hypervisor, LEASE_READ, &held, &err), "%s", err.text);
	for (int i = 0; i < COUNT; i++) {
		queued[i] = (struct queued){ .hypervisor = hypervisor, .next = &next };
		assert_int_equal(pthread_create(&threads[i], NULL, take_in_turn, &queued[i]), 0);
		AWAIT(hypervisor_load(hypervisor).leases.waiting > i ||
			hypervisor_load(hypervisor).leases.refused > refused);
	}
	lease_give(&held);
	for (int i = 0; i < COUNT; i++)
		(void)pthread_join(threads[i], NULL);
	if (hypervisor_load(hypervisor).leases.refused > refused)
		return false;
	for (int i = 0; i < COUNT; i++)
		CHECK(queued[i].place == i, "thread %d was served at place %d", i, queued[i].place);
	return true;
}

static void test_threads_get_a_connection_in_the_order_in_which_they_came(void **state)
{
	struct hypervisor *hypervisor = hypervisor_new("local", "test:///default", 1, 2);
	(void)state;
	AWAIT(queue_in_order(hypervisor));
	hypervisor_free(hypervisor);
}

/* Takes a hundred leases. On a slow machine a thread may be refused, and asks again. */
static void *take_many(void *data)
{
	struct crowd *crowd = data;
	for (int i = 0; i < 100;) {
		AUTO_LEASE struct lease lease = { 0 };
		struct err err;
		enum lease_class class = (enum lease_class)(i % LEASE_CLASS_COUNT);
		if (lease_take(crowd->hypervisor, class, &lease, &err) < 0) {
			if (err.kind != ERR_HOST_BUSY)
				break;
			continue;
		}
		atomic_fetch_add(&crowd->served, 1);
		i++;
	}
	return NULL;
}

static void test_many_threads_share_few_connections(void **state)
{
	static const int sizes[] = { 1, 2, 3, 8 };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		pthread_t threads[CROWD_SIZE];
		struct crowd crowd = {
			.hypervisor = hypervisor_new("local", "test:///default", sizes[i], 2),
		};
		start_crowd(&crowd, take_many, threads);
		join_crowd(threads);
		CHECK(atomic_load(&crowd.served) == 100 * CROWD_SIZE, "%d of %d connections",
			atomic_load(&crowd.served), sizes[i]);
		struct leases_load load = hypervisor_load(crowd.hypervisor).leases;
		assert_int_equal(load.open, load.idle);
		assert_int_equal(load.waiting, 0);
		CHECK(load.open <= sizes[i], "%d are open", load.open);
		hypervisor_free(crowd.hypervisor);
	}
}

static void *connect_for_good(void *data)
{
	static const atomic_bool stop = false;
	return lease_connect(data, &stop);
}

static void test_a_connection_for_good_is_opened_beside_leases_that_hang(void **state)
{
	struct hypervisor *hypervisor = hypervisor_new("local", "test:///default", 1, 2);
	AUTO_LEASE struct lease lease = { 0 };
	struct err err;
	(void)state;
	CHECK(!lease_take(hypervisor, LEASE_CALL, &lease, &err), "%s", err.text);
	virConnectPtr conn = connect_for_good(hypervisor);
	assert_non_null(conn);
	assert_ptr_not_equal(conn, lease.conn);
	assert_int_equal(virConnectClose(conn), 0);
	lease_give(&lease);
	assert_int_equal(hypervisor_load(hypervisor).leases.open, 1);
	hypervisor_free(hypervisor);
}

struct wait {
	struct hypervisor *hypervisor;
	atomic_bool stop;
};

static void *connect_until_stopped(void *data)
{
	struct wait *wait = data;
	return lease_connect(wait->hypervisor, &wait->stop);
}

static void test_waiting_for_a_connection_for_good_can_be_stopped(void **state)
{
	struct daemon daemon;
	pthread_t thread;
	void *conn = &thread;
	(void)state;
	start_daemon(&daemon, false);
	struct wait wait = { .hypervisor = hypervisor_new("local", daemon.uri, 1, 2) };
	assert_int_equal(pthread_create(&thread, NULL, connect_until_stopped, &wait), 0);
	AWAIT(atomic_load(&daemon.accepted) == 1);
	atomic_store(&wait.stop, true);
	lease_wake(wait.hypervisor);
	(void)pthread_join(thread, &conn);
	assert_null(conn);
	hypervisor_free(wait.hypervisor);
	end_daemon(&daemon);
}

static int set_up(void **state)
{
	struct err err;
	(void)state;
	return virt_start(&err);
}

static int tear_down(void **state)
{
	(void)state;
	virt_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_host_that_fails_is_tried_once_for_each_pause),
		cmocka_unit_test(test_a_host_that_fails_is_tried_again_without_requests),
		cmocka_unit_test(test_requests_wait_for_a_host_that_hangs_only_at_first),
		cmocka_unit_test(test_an_attempt_that_hangs_is_given_up_and_another_begins),
		cmocka_unit_test(test_calls_that_hang_leave_connections_to_reads_and_kills),
		cmocka_unit_test(test_when_all_calls_hang_the_next_is_refused_at_once),
		cmocka_unit_test(test_threads_get_a_connection_in_the_order_in_which_they_came),
		cmocka_unit_test(test_many_threads_share_few_connections),
		cmocka_unit_test(test_a_connection_for_good_is_opened_beside_leases_that_hang),
		cmocka_unit_test(test_waiting_for_a_connection_for_good_can_be_stopped),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
