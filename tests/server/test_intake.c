/* SPDX-License-Identifier: MIT */
/*
 * Intake without FastCGI: a client sends one byte as a request, and the thread that takes its
 * connection sends one byte back, which says what kind of thread it is.
 */
#include "check.h"

#include "base/clock.h"
#include "base/thread.h"
#include "server/intake.h"

#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

enum { PATIENCE_MS = 20000, WORKERS_MAX = 8 };

/* What a client sends, and what it gets. */
enum { ASK_AT_ONCE = 'a', ASK_BLOCKING = 'b', ASK_HELD = 'h', ASK_HALF = '/' };
enum { BY_WORKER = 'W', BY_OVERLOAD = 'O', CLOSED = 'C', LOST = 'L' };

/* An intake on a socket of its own, the threads that serve it, and what they do. */
static struct {
	char path[64];
	struct config config;
	struct intake *intake;
	pthread_t workers[WORKERS_MAX];
	pthread_t overload;
	sem_t held;    /* a worker has taken an ASK_HELD */
	sem_t release; /* lets one of them go on */
} world;

static char directory[] = "/tmp/virtgate-intake-XXXXXX";

static void await(sem_t *semaphore)
{
	while (sem_wait(semaphore))
		;
}

/* One request and its reply. */
static enum intake_end serve(const struct connection *connection, char by)
{
	char ask = 0;
	int fd = intake_fd(connection);
	if (read(fd, &ask, 1) != 1)
		return INTAKE_CLOSE;
	if (ask == ASK_HALF)
		return INTAKE_PARTIAL;
	if (ask != ASK_AT_ONCE && by == BY_WORKER)
		intake_block(world.intake);
	if (ask == ASK_BLOCKING)
		(void)sched_yield();
	if (ask == ASK_HELD && by == BY_WORKER) {
		(void)sem_post(&world.held);
		await(&world.release);
	}
	return write(fd, &by, 1) == 1 ? INTAKE_KEPT : INTAKE_CLOSE;
}

static void *work(void *data)
{
	struct connection *connection = NULL;
	(void)data;
	while ((connection = intake_take(world.intake)))
		intake_give(world.intake, connection, serve(connection, BY_WORKER));
	return NULL;
}

static void *answer_overload(void *data)
{
	struct connection *connection = NULL;
	(void)data;
	while ((connection = intake_take_overdue(world.intake)))
		intake_give(world.intake, connection, serve(connection, BY_OVERLOAD));
	return NULL;
}

static void begin_with(int workers, const char *users)
{
	static int number;
	struct err err;
	memset(&world, 0, sizeof world);
	(void)snprintf(
		world.path, sizeof world.path, "/tmp/test_intake.%d.%d", (int)getpid(), number++);
	world.config = (struct config){
		.listen = world.path, .socket_group = "", .socket_users = users, .workers = workers
	};
	(void)sem_init(&world.held, 0, 0);
	(void)sem_init(&world.release, 0, 0);
	CHECK(!intake_new(&world.config, &world.intake, &err), "%s", err.text);
	for (int i = 0; i < workers; i++)
		assert_int_equal(thread_start(&world.workers[i], "worker", work, NULL), 0);
	assert_int_equal(thread_start(&world.overload, "overload", answer_overload, NULL), 0);
}

static void begin(int workers)
{
	begin_with(workers, "");
}

static void join(void)
{
	for (int i = 0; i < world.config.workers; i++)
		assert_int_equal(pthread_join(world.workers[i], NULL), 0);
	assert_int_equal(pthread_join(world.overload, NULL), 0);
	intake_free(world.intake);
	(void)sem_destroy(&world.held);
	(void)sem_destroy(&world.release);
}

/* Drains for good: also connections without a request. */
static void end(void)
{
	intake_drain(world.intake);
	intake_drain(world.intake);
	join();
}

/* -1: nobody listens. */
static int client_new(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", world.path);
	if (connect(fd, (const struct sockaddr *)&address, sizeof address)) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static bool send_ask(int fd, char ask)
{
	return send(fd, &ask, 1, MSG_NOSIGNAL) == 1;
}

/* Which kind of thread replied; CLOSED: the connection was closed; LOST: nothing came. */
static char await_reply(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	char reply = 0;
	if (poll(&ready, 1, PATIENCE_MS) != 1)
		return LOST;
	return read(fd, &reply, 1) == 1 ? reply : CLOSED;
}

static char ask(int fd, char what)
{
	return send_ask(fd, what) ? await_reply(fd) : CLOSED;
}

static bool is_silent(int fd, int ms)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	return !poll(&ready, 1, ms);
}

static void test_a_kept_connection_is_served_again_and_again(void **state)
{
	(void)state;
	begin(3);
	int fd = client_new();
	for (int i = 0; i < 100; i++)
		assert_int_equal(ask(fd, i % 2 ? ASK_AT_ONCE : ASK_BLOCKING), BY_WORKER);
	(void)close(fd);
	end();
}

static void test_idle_connections_hold_no_worker(void **state)
{
	int idle[20];
	(void)state;
	begin(2);
	for (size_t i = 0; i < ARRAY_LEN(idle); i++) {
		idle[i] = client_new();
		assert_int_equal(ask(idle[i], ASK_AT_ONCE), BY_WORKER);
	}
	int fd = client_new();
	assert_int_equal(ask(fd, ASK_AT_ONCE), BY_WORKER);
	(void)close(fd);
	for (size_t i = 0; i < ARRAY_LEN(idle); i++)
		(void)close(idle[i]);
	end();
}

/* This thread alone becomes another user, where glibc would change all of them. */
static void become(uid_t user)
{
	assert_int_equal(syscall(SYS_setresuid, -1, user, -1), 0);
}

static void test_only_the_users_that_are_named_may_connect(void **state)
{
	enum { NOBODY = 65534, DAEMON = 1 };
	(void)state;
	if (geteuid())
		skip();
	begin_with(2, "no-such-user,daemon");
	assert_int_equal(chmod(world.path, 0666), 0);
	become(NOBODY);
	int refused = client_new();
	become(0);
	become(DAEMON);
	int named = client_new();
	become(0);
	int own = client_new();
	assert_int_equal(await_reply(refused), CLOSED);
	assert_int_equal(ask(named, ASK_AT_ONCE), BY_WORKER);
	assert_int_equal(ask(own, ASK_AT_ONCE), BY_WORKER);
	(void)close(refused);
	(void)close(named);
	(void)close(own);
	end();
}

static void test_half_requests_hold_no_worker_and_end_when_they_stall(void **state)
{
	int half[20];
	(void)state;
	begin(2);
	for (size_t i = 0; i < ARRAY_LEN(half); i++) {
		half[i] = client_new();
		assert_true(send_ask(half[i], ASK_HALF));
	}
	int fd = client_new();
	assert_int_equal(ask(fd, ASK_AT_ONCE), BY_WORKER);
	assert_int_equal(ask(half[0], ASK_AT_ONCE), BY_WORKER);
	AWAIT(intake_taken_count(world.intake) == 0);
	intake_end_stalled(world.intake, PATIENCE_MS);
	assert_int_equal(ask(half[1], ASK_AT_ONCE), BY_WORKER);
	intake_end_stalled(world.intake, 0);
	for (size_t i = 2; i < ARRAY_LEN(half); i++)
		assert_int_equal(await_reply(half[i]), CLOSED);
	assert_int_equal(ask(half[0], ASK_AT_ONCE), BY_WORKER);
	for (size_t i = 0; i < ARRAY_LEN(half); i++)
		(void)close(half[i]);
	(void)close(fd);
	end();
}

/* As many workers block as there are pollers: a parked one has to be woken. */
static void test_a_parked_worker_polls_when_others_block(void **state)
{
	enum { HELD = WORKERS_MAX - 1 };
	int held[HELD];
	(void)state;
	begin(WORKERS_MAX);
	for (size_t i = 0; i < HELD; i++) {
		held[i] = client_new();
		(void)send_ask(held[i], ASK_HELD);
		await(&world.held);
	}
	int fd = client_new();
	assert_int_equal(ask(fd, ASK_AT_ONCE), BY_WORKER);
	assert_true(intake_taken_count(world.intake) >= HELD);
	for (size_t i = 0; i < HELD; i++)
		(void)sem_post(&world.release);
	for (size_t i = 0; i < HELD; i++) {
		assert_int_equal(await_reply(held[i]), BY_WORKER);
		(void)close(held[i]);
	}
	(void)close(fd);
	end();
}

static void test_what_no_worker_takes_in_time_is_overdue(void **state)
{
	(void)state;
	begin(1);
	int held = client_new();
	int fd = client_new();
	(void)send_ask(held, ASK_HELD);
	await(&world.held);
	for (int i = 0; i < 3; i++) {
		int64_t sent_at = clock_ms();
		assert_int_equal(ask(fd, ASK_AT_ONCE), BY_OVERLOAD);
		int64_t took = clock_ms() - sent_at;
		CHECK(took >= INTAKE_PATIENCE_MS - 1, "answered after %d ms", (int)took);
	}
	(void)sem_post(&world.release);
	assert_int_equal(await_reply(held), BY_WORKER);
	assert_int_equal(ask(fd, ASK_AT_ONCE), BY_WORKER);
	(void)close(fd);
	(void)close(held);
	end();
}

static void test_drain_closes_idle_connections(void **state)
{
	(void)state;
	begin(2);
	int fd = client_new();
	assert_int_equal(ask(fd, ASK_AT_ONCE), BY_WORKER);
	intake_drain(world.intake);
	assert_int_equal(await_reply(fd), CLOSED);
	assert_true(access(world.path, F_OK) < 0);
	assert_true(client_new() < 0);
	join();
	(void)close(fd);
}

static void test_drain_waits_for_the_first_request_of_a_connection(void **state)
{
	(void)state;
	begin(2);
	int fd = client_new();
	int silent = client_new();
	intake_drain(world.intake);
	assert_true(is_silent(fd, 20));
	assert_int_equal(ask(fd, ASK_AT_ONCE), BY_WORKER);
	assert_int_equal(await_reply(fd), CLOSED);
	assert_true(is_silent(silent, 20));
	intake_drain(world.intake);
	assert_int_equal(await_reply(silent), CLOSED);
	join();
	(void)close(fd);
	(void)close(silent);
}

static void test_drain_answers_what_has_arrived(void **state)
{
	int fds[4];
	(void)state;
	begin(1);
	int held = client_new();
	(void)send_ask(held, ASK_HELD);
	await(&world.held);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = client_new();
		(void)send_ask(fds[i], ASK_AT_ONCE);
	}
	intake_drain(world.intake);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		char by = await_reply(fds[i]);
		assert_true(by == BY_WORKER || by == BY_OVERLOAD);
		assert_int_equal(await_reply(fds[i]), CLOSED);
		(void)close(fds[i]);
	}
	(void)sem_post(&world.release);
	assert_int_equal(await_reply(held), BY_WORKER);
	assert_int_equal(await_reply(held), CLOSED);
	(void)close(held);
	join();
}

/* Clients that ask as fast as they can, on connections that they close now and then. */
enum { CROWD = 12, ASKS = 200 };

struct client {
	pthread_t thread;
	unsigned seed;
	int answered;
	bool lost; /* a request got no reply */
};

static void *ask_many(void *data)
{
	struct client *client = data;
	int fd = client_new();
	while (client->answered < ASKS && !client->lost) {
		client->seed = client->seed * 1103515245 + 12345;
		unsigned random = client->seed >> 16;
		char by = ask(fd, random & 1 ? ASK_BLOCKING : ASK_AT_ONCE);
		if (by == BY_WORKER || by == BY_OVERLOAD)
			client->answered++;
		else
			client->lost = true;
		if (!(random & 30)) {
			(void)close(fd);
			fd = client_new();
		}
	}
	(void)close(fd);
	return NULL;
}

/* Until the connection is closed between two requests. */
static void *ask_until_closed(void *data)
{
	struct client *client = data;
	int fd = client_new();
	char by = BY_WORKER;
	while (by == BY_WORKER || by == BY_OVERLOAD) {
		by = ask(fd, ASK_AT_ONCE);
		(void)sem_post(&world.held);
	}
	client->lost = by == LOST;
	(void)close(fd);
	return NULL;
}

static void crowd_start(struct client crowd[static CROWD], void *(*ask_all)(void *))
{
	for (unsigned i = 0; i < CROWD; i++) {
		crowd[i] = (struct client){ .seed = i };
		assert_int_equal(thread_start(&crowd[i].thread, "client", ask_all, &crowd[i]), 0);
	}
}

static void crowd_join(struct client crowd[static CROWD])
{
	for (size_t i = 0; i < CROWD; i++) {
		assert_int_equal(pthread_join(crowd[i].thread, NULL), 0);
		CHECK(!crowd[i].lost, "client %zu, after %d replies", i, crowd[i].answered);
	}
}

static void test_no_request_is_lost_in_a_crowd(void **state)
{
	struct client crowd[CROWD];
	(void)state;
	for (int workers = 1; workers <= WORKERS_MAX; workers *= 2) {
		begin(workers);
		crowd_start(crowd, ask_many);
		crowd_join(crowd);
		end();
	}
}

static void test_drain_ends_a_crowd(void **state)
{
	struct client crowd[CROWD];
	(void)state;
	for (int round = 0; round < 10; round++) {
		begin(4);
		crowd_start(crowd, ask_until_closed);
		for (int i = 0; i < CROWD * 4; i++)
			await(&world.held);
		intake_drain(world.intake);
		intake_drain(world.intake);
		crowd_join(crowd);
		join();
	}
}

static void test_a_socket_in_use_is_refused(void **state)
{
	struct intake *second = NULL;
	struct err err;
	(void)state;
	begin(1);
	assert_int_equal(intake_new(&world.config, &second, &err), -1);
	CHECK(strstr(err.text, "another process listens there"), "%s", err.text);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_kept_connection_is_served_again_and_again),
		cmocka_unit_test(test_idle_connections_hold_no_worker),
		cmocka_unit_test(test_a_parked_worker_polls_when_others_block),
		cmocka_unit_test(test_what_no_worker_takes_in_time_is_overdue),
		cmocka_unit_test(test_drain_closes_idle_connections),
		cmocka_unit_test(test_drain_waits_for_the_first_request_of_a_connection),
		cmocka_unit_test(test_drain_answers_what_has_arrived),
		cmocka_unit_test(test_no_request_is_lost_in_a_crowd),
		cmocka_unit_test(test_drain_ends_a_crowd),
		cmocka_unit_test(test_only_the_users_that_are_named_may_connect),
		cmocka_unit_test(test_half_requests_hold_no_worker_and_end_when_they_stall),
		cmocka_unit_test(test_a_socket_in_use_is_refused),
	};
	if (!mkdtemp(directory))
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(directory);
	return failed;
}
