/* SPDX-License-Identifier: MIT */
#include "server/server.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "server/exchange.h"
#include "server/intake.h"
#include "server/request_log.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

enum {
	/* In draining, how long a new connection may take to bring its request. */
	NEW_CONNECTION_MS = 500,
};

struct worker {
	struct server *server;
	struct worker *next; /* the main thread's alone */
	pthread_t thread;
	struct exchange *exchange;
	atomic_bool ended;
	bool stuck; /* with the server's lock */

	/*
	 * What it answers now. An odd turn says that the rest is there to be read: whoever moves it
	 * on, with one compare-and-swap, answers.
	 */
	atomic_uint turn;
	_Atomic int64_t deadline; /* clock_ms() */
	const struct api_call *call;
	const char *ref; /* of the path; or NULL */
	struct connection *connection;
	_Atomic int64_t began_at; /* clock_us() */
};

struct server {
	const struct config *config;
	struct api *api;
	struct intake *intake;
	struct worker *workers; /* the main thread's alone */
	pthread_t receptionist;
	bool receives;

	pthread_mutex_t expiry; /* held while the watchdog answers for a worker */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	int serving; /* threads that are neither stuck nor ended */
	int wanted;  /* of them */
};

/* Who has an answer finds it counted and logged. false: the connection is of no more use. */
static bool answer(struct exchange *exchange, const struct api_call *call,
	const struct api_reply *reply, int64_t began_at)
{
	int64_t microseconds = clock_us() - began_at;
	api_count(call, reply, microseconds);
	request_log(exchange, reply, microseconds);
	return exchange_answer(exchange, reply);
}

static enum intake_end end_of(bool kept)
{
	return kept ? INTAKE_KEPT : INTAKE_CLOSE;
}

/* Workers */

static void begin_turn(struct worker *worker, const struct api_call *call,
	struct connection *connection, int64_t began_at)
{
	worker->call = call;
	worker->ref = api_text(call, "ref");
	worker->connection = connection;
	worker->began_at = began_at;
	atomic_store(&worker->deadline, clock_ms() + (int64_t)api_deadline(call) * 1000);
	(void)atomic_fetch_add(&worker->turn, 1);
}

/* false: the watchdog has answered, and is done with what it needed for that. */
static bool end_turn(struct worker *worker)
{
	unsigned mine = atomic_load(&worker->turn) | 1;
	if (atomic_compare_exchange_strong(&worker->turn, &mine, mine + 1))
		return true;
	LOCK(&worker->server->expiry);
	return false;
}

static void make_reply(
	const struct exchange *exchange, struct api_call *call, struct api_reply *ret)
{
	const struct err *failure = exchange_failure(exchange);
	if (failure)
		api_answer_error(call, failure, ret);
	else
		api_answer(call, ret);
}

static void serve_request(struct worker *worker, struct connection *connection)
{
	struct exchange *exchange = worker->exchange;
	struct intake *intake = worker->server->intake;
	int64_t began_at = clock_us();
	__attribute__((cleanup(api_call_done))) struct api_call call;
	struct api_reply reply;
	metrics_begin(worker->server->api->metrics);
	api_call_init(worker->server->api, exchange_request(exchange), &call);
	begin_turn(worker, &call, connection, began_at);
	if (call.route && !call.route->instant)
		intake_leave(intake);
	make_reply(exchange, &call, &reply);
	bool in_time = end_turn(worker);
	bool kept = in_time && answer(exchange, &call, &reply, began_at);
	if (!in_time)
		request_log_late(exchange, &reply, clock_us() - began_at);
	if (reply.stop)
		(void)kill(getpid(), SIGTERM);
	api_reply_done(&reply);
	exchange_done(exchange);
	if (in_time)
		intake_give(intake, connection, end_of(kept));
}

/* Of a worker that was stuck: is it needed again? */
static bool goes_on(struct worker *worker)
{
	struct server *server = worker->server;
	LOCK(&server->lock);
	if (!worker->stuck)
		return true;
	worker->stuck = false;
	(void)atomic_fetch_sub(&server->api->stuck, 1);
	if (server->serving >= server->wanted)
		return false;
	server->serving++;
	return true;
}

static void leave_service(struct server *server)
{
	LOCK(&server->lock);
	server->serving--;
	(void)pthread_cond_signal(&server->changed);
}

static void *work(void *data)
{
	struct worker *worker = data;
	struct intake *intake = worker->server->intake;
	struct connection *connection = NULL;
	bool needed = true;
	while (needed && (connection = intake_take(intake))) {
		if (exchange_read(worker->exchange, intake_fd(connection)))
			serve_request(worker, connection);
		else
			intake_give(intake, connection, INTAKE_CLOSED);
		needed = goes_on(worker);
	}
	if (needed)
		leave_service(worker->server);
	atomic_store(&worker->ended, true);
	return NULL;
}

/* The receptionist */

/* What never waits is answered even now. */
static void turn_away(
	struct server *server, struct exchange *exchange, struct connection *connection)
{
	int64_t began_at = clock_us();
	__attribute__((cleanup(api_call_done))) struct api_call call;
	struct api_reply reply;
	struct err err;
	metrics_begin(server->api->metrics);
	api_call_init(server->api, exchange_request(exchange), &call);
	(void)err_set(&err, ERR_OVERLOADED,
		"virtgate answers %d requests at a time, and all of them take long",
		server->config->workers);
	if (!call.route || call.route->instant)
		make_reply(exchange, &call, &reply);
	else
		api_answer_error(&call, &err, &reply);
	bool kept = answer(exchange, &call, &reply, began_at);
	api_reply_done(&reply);
	exchange_done(exchange);
	intake_give(server->intake, connection, end_of(kept));
}

static void *receive(void *data)
{
	struct server *server = data;
	AUTO(exchange_free) struct exchange *exchange = exchange_new();
	struct connection *connection = NULL;
	while (exchange && (connection = intake_take_late(server->intake))) {
		if (exchange_read(exchange, intake_fd(connection)))
			turn_away(server, exchange, connection);
		else
			intake_give(server->intake, connection, INTAKE_CLOSED);
	}
	leave_service(server);
	return NULL;
}

/* Starting */

/* It serves from the moment that it is counted, so that nobody ends before it has begun. */
static void count_serving(struct server *server, int by)
{
	LOCK(&server->lock);
	server->serving += by;
}

static void worker_free(struct worker *worker)
{
	if (worker->exchange)
		exchange_free(worker->exchange);
	free(worker);
}

static int start_worker(struct server *server)
{
	struct worker *worker = calloc(1, sizeof *worker);
	if (!worker)
		return -1;
	worker->server = server;
	worker->exchange = exchange_new();
	count_serving(server, 1);
	if (!worker->exchange || thread_start(&worker->thread, "worker", work, worker) < 0) {
		count_serving(server, -1);
		worker_free(worker);
		return -1;
	}
	worker->next = server->workers;
	server->workers = worker;
	return 0;
}

static int start_threads(struct server *server)
{
	count_serving(server, 1);
	server->receives = !thread_start(&server->receptionist, "receptionist", receive, server);
	if (!server->receives)
		count_serving(server, -1);
	server->wanted = server->config->workers + server->receives;
	for (int i = 0; i < server->config->workers; i++)
		if (start_worker(server) < 0)
			break;
	return server->workers ? 0 : -1;
}

/* The watchdog */

static void deadline_exceeded(const struct worker *worker, struct err *err)
{
	const struct route *route = worker->call->route;
	int seconds = api_deadline(worker->call);
	if (!route || route->method == HTTP_GET) {
		(void)err_set(err, ERR_DEADLINE_EXCEEDED,
			"the host or the VM has not answered within %d s", seconds);
		return;
	}
	(void)err_set(err, ERR_DEADLINE_EXCEEDED,
		"this was not done within %d s; it is still under way, and may yet succeed",
		seconds);
	AUTO(free) char *ref = worker->ref ? http_encode_segment(worker->ref) : NULL;
	(void)err_hint(err, "look what became of it before you try again: GET /v1/vms%s%.200s",
		ref ? "/" : "", ref ? ref : "");
}

static void count_stuck(struct worker *worker)
{
	struct server *server = worker->server;
	LOCK(&server->lock);
	worker->stuck = true;
	server->serving--;
	(void)atomic_fetch_add(&server->api->stuck, 1);
	(void)pthread_cond_signal(&server->changed);
}

static bool is_stuck(struct worker *worker)
{
	LOCK(&worker->server->lock);
	return worker->stuck;
}

/* Answers for a worker that is past its deadline, unless that one does so just now. */
static void expire(struct worker *worker, unsigned turn)
{
	struct server *server = worker->server;
	struct api_reply reply;
	struct err err;
	LOCK(&server->expiry);
	/* 0: the worker's own compare-and-swap fails, and its next turn is odd again. */
	if (!atomic_compare_exchange_strong(&worker->turn, &turn, 0))
		return;
	deadline_exceeded(worker, &err);
	api_answer_error(worker->call, &err, &reply);
	bool kept = answer(worker->exchange, worker->call, &reply, worker->began_at);
	api_reply_done(&reply);
	intake_give(server->intake, worker->connection, end_of(kept));
	count_stuck(worker);
}

static bool lacks_worker(struct server *server)
{
	LOCK(&server->lock);
	return server->serving < server->wanted &&
		atomic_load(&server->api->stuck) <= server->config->workers;
}

static void expire_late(struct server *server)
{
	int64_t now = clock_ms();
	for (struct worker *w = server->workers; w; w = w->next) {
		unsigned turn = atomic_load(&w->turn);
		if (turn & 1 && atomic_load(&w->deadline) <= now)
			expire(w, turn);
	}
	while (lacks_worker(server))
		if (start_worker(server) < 0) {
			log_error("workers are stuck, and no others could be started");
			return;
		}
}

/* Those that came back and were not needed any more. */
static void free_ended(struct server *server)
{
	struct worker **at = &server->workers;
	while (*at) {
		struct worker *worker = *at;
		if (!atomic_load(&worker->ended)) {
			at = &worker->next;
			continue;
		}
		*at = worker->next;
		(void)pthread_join(worker->thread, NULL);
		worker_free(worker);
	}
}

/*
 * When the watchdog has to look again, in clock_ms(): no request that comes meanwhile is late
 * before the shortest deadline has passed.
 */
static int64_t next_look(const struct server *server)
{
	const struct config *config = server->config;
	int shortest = config->read_deadline < config->action_deadline ? config->read_deadline
								       : config->action_deadline;
	if (config->long_deadline < shortest)
		shortest = config->long_deadline;
	int64_t next = clock_ms() + (int64_t)shortest * 1000;
	for (struct worker *w = server->workers; w; w = w->next) {
		int64_t deadline = atomic_load(&w->deadline);
		if (atomic_load(&w->turn) & 1 && deadline < next)
			next = deadline;
	}
	return next;
}

static struct timespec timespec_until(int64_t ms)
{
	int64_t left = ms - clock_ms();
	left = left > 0 ? left : 0;
	return (struct timespec){ .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };
}

static void watch_until_stopped(struct server *server)
{
	sigset_t signals;
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	for (;;) {
		struct timespec patience = timespec_until(next_look(server));
		if (sigtimedwait(&signals, NULL, &patience) > 0)
			return;
		expire_late(server);
		free_ended(server);
		(void)malloc_trim(0); /* what a burst of requests has left in holes */
	}
}

/* Stopping */

/* false: some still serve at that time. */
static bool await_end(struct server *server, int64_t until)
{
	struct timespec deadline = clock_after_ms(until - clock_ms());
	LOCK(&server->lock);
	while (server->serving)
		if (pthread_cond_timedwait(&server->changed, &server->lock, &deadline) == ETIMEDOUT)
			return !server->serving;
	return true;
}

/* Is one that had come by then still being answered? */
static bool works_on_older(const struct server *server, int64_t us)
{
	for (struct worker *w = server->workers; w; w = w->next)
		if (atomic_load(&w->turn) & 1 && atomic_load(&w->began_at) <= us)
			return true;
	return false;
}

/*
 * Who holds our socket starts the next virtgate when this one has ended: until then nobody else
 * takes what comes, so all is served until only short requests are left to finish, or half of the
 * time is over: what has been begun then has the other half.
 */
static void serve_on(struct server *server, int64_t end)
{
	enum { LOOK_MS = 20 };
	for (int64_t us = clock_us(); works_on_older(server, us) && clock_ms() < end;) {
		(void)await_end(server, clock_ms() + LOOK_MS);
		expire_late(server);
	}
}

static bool drain(struct server *server)
{
	/* Without a moment for the threads to end, --drain 0 would always find some. */
	int64_t patience = server->config->drain ? server->config->drain : 1;
	int64_t end = clock_ms() + patience * 1000;
	atomic_store(&server->api->draining, true);
	if (intake_is_handed_over(server->intake))
		serve_on(server, (clock_ms() + end) / 2);
	atomic_store(&server->api->leaving, true);
	intake_drain(server->intake);
	if (await_end(server, clock_ms() + NEW_CONNECTION_MS))
		return true;
	intake_drain(server->intake);
	for (;;) {
		int64_t look = next_look(server);
		if (await_end(server, look < end ? look : end))
			return true;
		if (clock_ms() >= end)
			return false;
		expire_late(server);
	}
}

/* Those that are stuck are left to themselves; returns how many they are. */
static int join_threads(struct server *server)
{
	int stuck = 0;
	if (server->receives)
		(void)pthread_join(server->receptionist, NULL);
	for (struct worker *w = server->workers; w; w = w->next) {
		if (!is_stuck(w)) {
			(void)pthread_join(w->thread, NULL);
			continue;
		}
		(void)pthread_detach(w->thread);
		stuck++;
	}
	return stuck;
}

int server_run(struct server *server, int *ret_stuck)
{
	*ret_stuck = 0;
	if (start_threads(server) < 0) {
		log_error("no worker could be started");
		return 1;
	}
	watch_until_stopped(server);
	if (drain(server)) {
		*ret_stuck = join_threads(server);
		return 0;
	}
	int unfinished = intake_taken(server->intake);
	return unfinished ? unfinished : 1;
}

void server_free(struct server *server)
{
	while (server->workers) {
		struct worker *worker = server->workers;
		server->workers = worker->next;
		worker_free(worker);
	}
	if (server->intake)
		intake_free(server->intake);
	(void)pthread_cond_destroy(&server->changed);
	(void)pthread_mutex_destroy(&server->lock);
	(void)pthread_mutex_destroy(&server->expiry);
	free(server);
}

/* nginx may keep more connections than the usual 1024 allow. */
static void allow_many_files(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

int server_open(const struct config *config, struct api *api, struct server **ret, struct err *err)
{
	struct server *server = calloc(1, sizeof *server);
	if (!server)
		return err_memory(err);
	*server = (struct server){ .config = config, .api = api };
	(void)pthread_mutex_init(&server->lock, NULL);
	(void)pthread_mutex_init(&server->expiry, NULL);
	cond_init_monotonic(&server->changed);
	allow_many_files();
	int rc = exchange_init();
	/* libfcgi puts a handler of its own on it. */
	(void)signal(SIGPIPE, SIG_IGN);
	if (rc < 0)
		(void)err_set(err, ERR_INTERNAL, "libfcgi cannot be initialised");
	else if (!intake_open(config, &server->intake, err)) {
		*ret = server;
		return 0;
	}
	server_free(server);
	return -1;
}
