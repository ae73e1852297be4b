/* SPDX-License-Identifier: MIT */
#include "server/server.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/wait.h"
#include "server/exchange.h"
#include "server/intake.h"
#include "server/later.h"
#include "server/notify.h"
#include "server/request_log.h"
#include "server/stream.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/queue.h>

/* When draining, how long a new connection may take to bring its request. */
enum { NEW_CONNECTION_MS = 500 };

struct worker {
	struct server *server;
	SLIST_ENTRY(worker) link;
	pthread_t thread;
	struct exchange *exchange;
	atomic_bool ended;
	bool stuck; /* with server->lock */

	/*
	 * The request that it answers. While the turn is odd, the fields below are set and the
	 * watchdog may read them. One compare-and-swap of an odd turn decides who replies: the
	 * worker makes it the next even number, the watchdog makes it 0.
	 */
	atomic_uint turn;
	_Atomic int64_t deadline; /* clock_ms() */
	_Atomic int64_t began_at; /* clock_us() */
	const struct api_call *call;
	const char *ref; /* the VM's, from path or query; or NULL */
	struct connection *connection;
};

struct server {
	const struct config *config;
	struct api *api;
	struct intake *intake;
	struct wait_places *places;
	atomic_int later; /* requests that wait for their reply without a worker */
	SLIST_HEAD(worker_list, worker) workers; /* used by the main thread alone */
	pthread_t overload;
	bool has_overload;

	pthread_mutex_t expiry; /* held while the watchdog replies in a worker's place */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	int serving; /* threads that are neither stuck nor ended */
	int wanted;  /* how many should be serving */
	int begun;   /* workers that have begun to wait for requests, ever */
};

static void worker_begin_turn(struct worker *worker, const struct api_call *call,
	struct connection *connection, int64_t began_at)
{
	worker->call = call;
	worker->ref = api_text(call, "ref");
	worker->connection = connection;
	worker->began_at = began_at;
	atomic_store(&worker->deadline, began_at / 1000 + (int64_t)api_deadline(call) * 1000);
	(void)atomic_fetch_add(&worker->turn, 1);
}

/* false: the watchdog has replied, and no longer uses the request. */
static bool worker_end_turn(struct worker *worker)
{
	unsigned mine = atomic_load(&worker->turn) | 1;
	if (atomic_compare_exchange_strong(&worker->turn, &mine, mine + 1))
		return true;
	LOCK(&worker->server->expiry); /* waits until it has written its reply */
	return false;
}

/* Counts and logs before it writes: a client that has the reply finds it counted and logged. */
static enum exchange_end send_reply(struct exchange *exchange, const struct api_call *call,
	const struct api_reply *reply, int64_t began_at)
{
	int64_t microseconds = clock_us() - began_at;
	api_count(call, reply, microseconds);
	request_log(exchange, reply, microseconds);
	return exchange_answer(exchange, reply);
}

/* Reads a request; false: there is none yet, or no more, and the connection is given back. */
static bool read_request(
	struct server *server, struct exchange *exchange, struct connection *connection)
{
	enum fastcgi_step step =
		exchange_read(exchange, intake_fd(connection), intake_partial(connection));
	if (step != FASTCGI_WHOLE)
		intake_give(server->intake, connection,
			step == FASTCGI_PARTIAL ? INTAKE_PARTIAL : INTAKE_CLOSE);
	return step == FASTCGI_WHOLE;
}

static void give_back(struct server *server, struct connection *connection, enum exchange_end end)
{
	intake_give(server->intake, connection, end == EXCHANGE_KEPT ? INTAKE_KEPT : INTAKE_CLOSE);
}

/* Ends an answered request. If its stream takes the exchange, *exchange becomes a new one. */
static void end_request(struct server *server, struct exchange **exchange,
	struct connection *connection, struct api_reply *reply, enum exchange_end end)
{
	if (end == EXCHANGE_STREAMED) {
		stream_start(reply, exchange, server->intake, connection);
		api_reply_done(reply);
		return;
	}
	api_reply_done(reply);
	exchange_done(*exchange);
	give_back(server, connection, end);
}

static void make_reply(
	const struct exchange *exchange, struct api_call *call, struct api_reply *ret)
{
	const struct err *failure = exchange_failure(exchange);
	if (failure && api_reads_body(call))
		api_answer_error(call, failure, ret);
	else
		api_answer(call, ret);
}

/* Workers */

/* Writes the reply, unless the watchdog has written its own. */
static void finish_request(struct worker *worker, const struct api_call *call,
	struct connection *connection, struct api_reply *reply, bool in_time)
{
	struct exchange *exchange = worker->exchange;
	struct server *server = worker->server;
	int64_t began_at = worker->began_at;
	enum exchange_end end = EXCHANGE_BROKEN;
	if (in_time)
		end = send_reply(exchange, call, reply, began_at);
	else
		request_log_late(exchange, reply, clock_us() - began_at);
	if (reply->stop)
		(void)kill(getpid(), SIGTERM);
	if (in_time) {
		end_request(server, &worker->exchange, connection, reply, end);
		return;
	}
	api_reply_done(reply);
	exchange_done(exchange);
}

static void serve_request(struct worker *worker, struct connection *connection)
{
	struct exchange *exchange = worker->exchange;
	struct server *server = worker->server;
	__attribute__((cleanup(api_call_done))) struct api_call call;
	struct api_reply reply;
	metrics_begin(server->api->metrics);
	api_call_init(server->api, exchange_request(exchange), &call);
	worker_begin_turn(worker, &call, connection, clock_us());
	if (!api_is_instant(&call))
		intake_block(server->intake);
	make_reply(exchange, &call, &reply);
	bool in_time = worker_end_turn(worker);
	bool later = in_time && reply.kind == API_REPLY_LATER;
	atomic_fetch_add(&server->later, later);
	if (later &&
		later_start(&reply, &call, &worker->exchange, server->intake, connection,
			worker->began_at))
		return;
	atomic_fetch_sub(&server->later, later);
	finish_request(worker, &call, connection, &reply, in_time);
}

/* Replies to a request that has waited for its reply without a worker. */
static void resume_request(
	struct worker *worker, struct connection *connection, struct later *later)
{
	struct server *server = worker->server;
	struct api_reply reply;
	atomic_fetch_sub(&server->later, 1);
	exchange_free(worker->exchange);
	worker->exchange = later->exchange;
	worker_begin_turn(worker, &later->call, connection, later->began_at);
	intake_block(server->intake);
	api_finish(&later->call, later->reply, &reply);
	finish_request(worker, &later->call, connection, &reply, worker_end_turn(worker));
	later_done(later);
}

/* After a request: does the worker go on? One that was stuck does if it is needed again. */
static bool worker_goes_on(struct worker *worker)
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

static void add_serving(struct server *server, int by)
{
	LOCK(&server->lock);
	server->serving += by;
	(void)pthread_cond_signal(&server->changed);
}

static void note_begin(struct server *server)
{
	LOCK(&server->lock);
	server->begun++;
	(void)pthread_cond_signal(&server->changed);
}

static void *work(void *data)
{
	struct worker *worker = data;
	struct intake *intake = worker->server->intake;
	struct connection *connection = NULL;
	bool needed = true;
	wait_places_join(worker->server->places);
	note_begin(worker->server);
	while (needed && (connection = intake_take(intake))) {
		struct later *later = intake_later(connection);
		if (later)
			resume_request(worker, connection, later);
		else if (read_request(worker->server, worker->exchange, connection))
			serve_request(worker, connection);
		needed = worker_goes_on(worker);
	}
	if (needed)
		add_serving(worker->server, -1);
	atomic_store(&worker->ended, true);
	return NULL;
}

/* The overload thread */

static void answer_overdue(
	struct server *server, struct exchange **exchange, struct connection *connection)
{
	int64_t began_at = clock_us();
	__attribute__((cleanup(api_call_done))) struct api_call call;
	struct api_reply reply;
	struct err err;
	metrics_begin(server->api->metrics);
	api_call_init(server->api, exchange_request(*exchange), &call);
	(void)err_set(&err, ERR_OVERLOADED, "all %d workers are busy with requests that take long",
		server->config->workers);
	if (api_is_instant(&call))
		make_reply(*exchange, &call, &reply);
	else
		api_answer_error(&call, &err, &reply);
	enum exchange_end end = send_reply(*exchange, &call, &reply, began_at);
	end_request(server, exchange, connection, &reply, end);
}

static void *answer_overload(void *data)
{
	struct server *server = data;
	AUTO(exchange_free) struct exchange *exchange = exchange_new();
	struct connection *connection = NULL;
	while (exchange && (connection = intake_take_overdue(server->intake))) {
		if (read_request(server, exchange, connection))
			answer_overdue(server, &exchange, connection);
	}
	add_serving(server, -1);
	return NULL;
}

/* Starting */

static void worker_free(struct worker *worker)
{
	if (worker->exchange)
		exchange_free(worker->exchange);
	free(worker);
}

/* It counts as serving before it runs, so that none seems to have ended before it began. */
static int start_worker(struct server *server)
{
	struct worker *worker = calloc(1, sizeof *worker);
	if (!worker)
		return -1;
	worker->server = server;
	worker->exchange = exchange_new();
	add_serving(server, 1);
	if (!worker->exchange || thread_start(&worker->thread, "worker", work, worker) < 0) {
		add_serving(server, -1);
		worker_free(worker);
		return -1;
	}
	SLIST_INSERT_HEAD(&server->workers, worker, link);
	return 0;
}

static void await_workers(struct server *server, int count)
{
	LOCK(&server->lock);
	while (server->begun < count)
		(void)pthread_cond_wait(&server->changed, &server->lock);
}

static void start_overload(struct server *server)
{
	add_serving(server, 1);
	server->has_overload =
		!thread_start(&server->overload, "overload", answer_overload, server);
	if (!server->has_overload)
		add_serving(server, -1);
}

/*
 * The overload thread comes last: to that thread, workers that have not begun are busy ones. Fewer
 * workers than wanted are started later, by the watchdog.
 */
int server_start(struct server *server, struct err *err)
{
	int started = 0;
	while (started < server->config->workers && !start_worker(server))
		started++;
	if (!started)
		return err_set(err, ERR_INTERNAL, "no worker could be started");
	await_workers(server, started);
	start_overload(server);
	server->wanted = server->config->workers + server->has_overload;
	return 0;
}

/* The watchdog */

static void worker_set_stuck(struct worker *worker)
{
	struct server *server = worker->server;
	LOCK(&server->lock);
	worker->stuck = true;
	server->serving--;
	(void)atomic_fetch_add(&server->api->stuck, 1);
	(void)pthread_cond_signal(&server->changed);
}

static bool worker_is_stuck(struct worker *worker)
{
	LOCK(&worker->server->lock);
	return worker->stuck;
}

/* Replies in the place of a worker past its deadline, unless that one replies at this moment. */
static void expire_turn(struct worker *worker, unsigned turn)
{
	struct server *server = worker->server;
	struct api_reply reply;
	struct err err;
	LOCK(&server->expiry);
	/* With turn 0 the worker's own compare-and-swap fails. Its next increment makes turn odd.
	 */
	if (!atomic_compare_exchange_strong(&worker->turn, &turn, 0))
		return;
	api_late_error(worker->call, worker->ref, &err);
	api_answer_error(worker->call, &err, &reply);
	enum exchange_end end =
		send_reply(worker->exchange, worker->call, &reply, worker->began_at);
	api_reply_done(&reply);
	give_back(server, worker->connection, end);
	worker_set_stuck(worker);
}

static bool lacks_worker(struct server *server)
{
	LOCK(&server->lock);
	return server->serving < server->wanted &&
		atomic_load(&server->api->stuck) <= server->config->workers;
}

/* Replies for workers past their deadlines, and starts others for those that are stuck. */
static void expire_turns(struct server *server)
{
	int64_t now = clock_ms();
	notify("WATCHDOG=1");
	struct worker *worker = NULL;
	SLIST_FOREACH(worker, &server->workers, link) {
		unsigned turn = atomic_load(&worker->turn);
		if (turn & 1 && atomic_load(&worker->deadline) <= now)
			expire_turn(worker, turn);
	}
	while (lacks_worker(server))
		if (start_worker(server) < 0) {
			log_error("workers are stuck, and no others could be started");
			return;
		}
}

/* Frees those that were stuck, came back and were not needed any more. */
static void free_ended_workers(struct server *server)
{
	struct worker *next = SLIST_FIRST(&server->workers);
	for (struct worker *worker; (worker = next);) {
		next = SLIST_NEXT(worker, link);
		if (!atomic_load(&worker->ended))
			continue;
		SLIST_REMOVE(&server->workers, worker, worker, link);
		(void)pthread_join(worker->thread, NULL);
		worker_free(worker);
	}
}

/*
 * When the watchdog looks again, by clock_ms(). A request that begins meanwhile cannot expire
 * before the shortest of the deadlines has passed; one that was put off may be expired late.
 */
static int64_t next_expiry(const struct server *server)
{
	enum { LOOK_MS = 5000 }; /* for connections that stall, and for systemd's watchdog */
	const struct config *config = server->config;
	int shortest = config->read_deadline < config->action_deadline ? config->read_deadline
								       : config->action_deadline;
	if (config->long_deadline < shortest)
		shortest = config->long_deadline;
	int64_t pause = (int64_t)shortest * 1000;
	int64_t next = clock_ms() + (pause < LOOK_MS ? pause : LOOK_MS);
	struct worker *worker = NULL;
	SLIST_FOREACH(worker, &server->workers, link) {
		int64_t deadline = atomic_load(&worker->deadline);
		if (atomic_load(&worker->turn) & 1 && deadline < next)
			next = deadline;
	}
	return next;
}

static void watch_until_stopped(struct server *server)
{
	sigset_t signals;
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	for (;;) {
		int64_t ms = next_expiry(server) - clock_ms();
		ms = ms > 0 ? ms : 0;
		struct timespec timeout = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
		if (sigtimedwait(&signals, NULL, &timeout) > 0)
			return;
		expire_turns(server);
		intake_end_stalled(server->intake, INTAKE_STALL_MS);
		free_ended_workers(server);
		(void)malloc_trim(0); /* what a burst of requests has left in holes */
	}
}

/* Draining */

/* Waits until that time of clock_ms() for all threads to end; false: some are still serving. */
static bool await_end(struct server *server, int64_t until)
{
	struct timespec deadline = clock_after_ms(until - clock_ms());
	LOCK(&server->lock);
	while (server->serving)
		if (pthread_cond_timedwait(&server->changed, &server->lock, &deadline) == ETIMEDOUT)
			return !server->serving;
	return true;
}

/* Is a request that arrived by that time of clock_us() still being answered? */
static bool answers_older(const struct server *server, int64_t us)
{
	const struct worker *worker = NULL;
	SLIST_FOREACH(worker, &server->workers, link)
		if (atomic_load(&worker->turn) & 1 && atomic_load(&worker->began_at) <= us)
			return true;
	return atomic_load(&server->later);
}

/*
 * With an inherited socket the next virtgate starts when this process has ended, and until then no
 * other process accepts. So it serves on until the requests that run now are answered, or half of
 * the time is over; requests that have begun by then have the other half.
 */
static void serve_on(struct server *server, int64_t end)
{
	enum { LOOK_MS = 20 };
	for (int64_t us = clock_us(); answers_older(server, us) && clock_ms() < end;) {
		(void)await_end(server, clock_ms() + LOOK_MS);
		expire_turns(server);
	}
}

/* false: after config->drain seconds some threads are still serving. */
static bool drain(struct server *server)
{
	/* With --drain 0 too, the threads need a moment to end. */
	int64_t seconds = server->config->drain ? server->config->drain : 1;
	int64_t end = clock_ms() + seconds * 1000;
	atomic_store(&server->api->draining, true);
	notify("STOPPING=1");
	if (intake_is_inherited(server->intake))
		serve_on(server, (clock_ms() + end) / 2);
	atomic_store(&server->api->leaving, true);
	intake_drain(server->intake);
	if (await_end(server, clock_ms() + NEW_CONNECTION_MS))
		return true;
	for (;;) {
		intake_drain(server->intake);
		int64_t look = next_expiry(server);
		if (await_end(server, look < end ? look : end))
			return true;
		if (clock_ms() >= end)
			return false;
		expire_turns(server);
	}
}

/* Joins all threads but those that are stuck, and returns how many these are. */
static int join_threads(struct server *server)
{
	int stuck = 0;
	struct worker *worker = NULL;
	if (server->has_overload)
		(void)pthread_join(server->overload, NULL);
	SLIST_FOREACH(worker, &server->workers, link) {
		if (!worker_is_stuck(worker)) {
			(void)pthread_join(worker->thread, NULL);
			continue;
		}
		(void)pthread_detach(worker->thread);
		stuck++;
	}
	return stuck;
}

int server_run(struct server *server, int *ret_stuck)
{
	*ret_stuck = 0;
	watch_until_stopped(server);
	if (drain(server)) {
		*ret_stuck = join_threads(server);
		return 0;
	}
	int unanswered = intake_taken_count(server->intake);
	return unanswered ? unanswered : 1;
}

void server_free(struct server *server)
{
	while (!SLIST_EMPTY(&server->workers)) {
		struct worker *worker = SLIST_FIRST(&server->workers);
		SLIST_REMOVE_HEAD(&server->workers, link);
		worker_free(worker);
	}
	if (server->intake)
		intake_free(server->intake);
	if (server->places)
		wait_places_free(server->places);
	(void)pthread_cond_destroy(&server->changed);
	(void)pthread_mutex_destroy(&server->lock);
	(void)pthread_mutex_destroy(&server->expiry);
	free(server);
}

int server_new(const struct config *config, struct api *api, struct server **ret, struct err *err)
{
	struct server *server = calloc(1, sizeof *server);
	if (!server)
		return err_memory(err);
	*server = (struct server){ .config = config, .api = api };
	(void)pthread_mutex_init(&server->lock, NULL);
	(void)pthread_mutex_init(&server->expiry, NULL);
	cond_init_monotonic(&server->changed);
	server->places = wait_places_new(config->workers);
	int rc = exchange_init();
	(void)signal(SIGPIPE, SIG_IGN); /* libfcgi has installed a handler of its own */
	if (rc < 0 || !server->places)
		(void)err_memory(err);
	else if (!intake_new(config, &server->intake, err)) {
		*ret = server;
		return 0;
	}
	server_free(server);
	return -1;
}
