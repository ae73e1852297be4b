/* SPDX-License-Identifier: MIT */
#include "server.h"

#include "exchange.h"
#include "listen.h"
#include "log.h"
#include "request_log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum {
	/* nginx sends a request at once and whole; a peer that stalls inside one is dropped. */
	IO_TIMEOUT_SECONDS = 30,
	/* libvirt's client parses XML and the test driver checks schemas on these stacks. */
	STACK_BYTES = 1024 * 1024,
};

/* From nginx; busy while a worker has it, else waiting in the epoll set. */
struct connection {
	int fd;
	bool busy;
	struct connection *next, *previous;
};

struct server {
	const struct config *config;
	struct api *api;
	int epoll;
	int wake; /* readable from the moment that workers shall end */
	pthread_t *workers;
	int worker_count;

	pthread_mutex_t lock;
	struct listener listener; /* closed once nothing more is accepted */
	struct connection *connections;
};

/* The epoll set */

/* Arms a descriptor for one event, which will carry the tag. */
static int arm(const struct server *server, int fd, void *tag, int op)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT,
		.data.ptr = tag,
	};
	return epoll_ctl(server->epoll, op, fd, &event);
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
	*server = (struct server){ .config = config, .api = api, .listener.fd = -1 };
	(void)pthread_mutex_init(&server->lock, NULL);
	allow_many_files();
	server->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	server->workers = calloc((size_t)config->workers, sizeof server->workers[0]);
	struct epoll_event wake = { .events = EPOLLIN, .data.ptr = &server->wake };
	bool good = server->workers && !exchange_init() &&
		!epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->wake, &wake);
	if (!good)
		(void)err_set(err, ERR_INTERNAL, "cannot set up: %s", strerror(errno));
	if (good && !listener_open(config, &server->listener, err)) {
		/* libfcgi puts a handler of its own on it. */
		(void)signal(SIGPIPE, SIG_IGN);
		if (!arm(server, server->listener.fd, &server->listener, EPOLL_CTL_ADD)) {
			*ret = server;
			return 0;
		}
		(void)err_set(err, ERR_INTERNAL, "cannot set up: %s", strerror(errno));
	}
	server_free(server);
	return -1;
}

void server_free(struct server *server)
{
	listener_close(&server->listener);
	if (server->epoll >= 0)
		(void)close(server->epoll);
	if (server->wake >= 0)
		(void)close(server->wake);
	(void)pthread_mutex_destroy(&server->lock);
	free(server->workers);
	free(server);
}

/* Connections; the lock is held for these. */

static void add_connection(struct server *server, int fd)
{
	const struct timeval timeout = { .tv_sec = IO_TIMEOUT_SECONDS };
	struct connection *connection = calloc(1, sizeof *connection);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
	if (!connection || arm(server, fd, connection, EPOLL_CTL_ADD) < 0) {
		free(connection);
		(void)close(fd);
		return;
	}
	connection->fd = fd;
	connection->next = server->connections;
	if (connection->next)
		connection->next->previous = connection;
	server->connections = connection;
}

/* Its descriptor is closed already. The last one to go, in draining, lets the workers end. */
static void remove_connection(struct server *server, struct connection *connection)
{
	if (connection->next)
		connection->next->previous = connection->previous;
	if (connection->previous)
		connection->previous->next = connection->next;
	else
		server->connections = connection->next;
	free(connection);
	if (!server->connections && atomic_load(&server->api->draining))
		(void)eventfd_write(server->wake, 1);
}

/*
 * In draining: closes a connection that has nothing more to say, by letting a worker read its end.
 * One whose next request is there already is answered first.
 */
static void end_if_silent(const struct connection *connection)
{
	struct pollfd pending = { .fd = connection->fd, .events = POLLIN };
	if (!poll(&pending, 1, 0))
		(void)shutdown(connection->fd, SHUT_RD);
}

/* A worker is done with it: nginx closed it, or it waits for its next request. */
static void release_connection(struct server *server, struct connection *connection, bool closed)
{
	LOCK(&server->lock);
	connection->busy = false;
	if (!closed && atomic_load(&server->api->draining))
		end_if_silent(connection);
	if (!closed && !arm(server, connection->fd, connection, EPOLL_CTL_MOD))
		return;
	if (!closed)
		(void)close(connection->fd);
	remove_connection(server, connection);
}

/* Accepts one connection; false: there is none. *ret_error is errno then. */
static bool accept_one(struct server *server, int *ret_error)
{
	int fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC);
	*ret_error = errno;
	if (fd >= 0)
		add_connection(server, fd);
	return fd >= 0;
}

/* Requests */

static int64_t clock_us(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Who has an answer finds it counted. */
static bool answer(struct server *server, struct exchange *exchange, struct api_reply *reply)
{
	int64_t start = clock_us();
	__attribute__((cleanup(api_call_done))) struct api_call call;
	const struct err *failure = exchange_failure(exchange);
	metrics_begin(server->api->metrics);
	api_call_init(server->api, exchange_request(exchange), &call);
	if (failure)
		api_answer_error(&call, failure, reply);
	else
		api_answer(&call, reply);
	api_count(&call, reply, clock_us() - start);
	bool kept = exchange_answer(exchange, reply);
	request_log(exchange, reply, clock_us() - start);
	return kept;
}

static bool serve_request(struct server *server, struct exchange *exchange)
{
	struct api_reply reply;
	bool kept = answer(server, exchange, &reply);
	if (reply.stop)
		(void)kill(getpid(), SIGTERM);
	api_reply_done(&reply);
	exchange_done(exchange);
	return kept;
}

/* Reads one request from a connection that has something to read, and answers it. */
static void serve_connection(
	struct server *server, struct exchange *exchange, struct connection *connection)
{
	{
		LOCK(&server->lock);
		connection->busy = true;
	}
	bool kept = false;
	if (exchange_read(exchange, connection->fd)) {
		kept = serve_request(server, exchange);
		if (!kept)
			(void)close(connection->fd);
	}
	release_connection(server, connection, !kept);
}

static void accept_connection(struct server *server)
{
	enum { PAUSE_MICROSECONDS = 10000 };
	int error = 0;
	bool accepted = true;
	{
		LOCK(&server->lock);
		if (server->listener.fd >= 0)
			accepted = accept_one(server, &error);
	}
	/* Out of descriptors or memory the listener stays ready: without a pause this would spin.
	 */
	if (!accepted && error != EAGAIN && error != ECONNABORTED)
		(void)usleep(PAUSE_MICROSECONDS);
	LOCK(&server->lock);
	if (server->listener.fd >= 0)
		(void)arm(server, server->listener.fd, &server->listener, EPOLL_CTL_MOD);
}

/* Workers */

static void *work(void *data)
{
	struct server *server = data;
	AUTO(exchange_free) struct exchange *exchange = exchange_new();
	while (exchange) {
		struct epoll_event event;
		if (epoll_wait(server->epoll, &event, 1, -1) < 1)
			continue;
		if (event.data.ptr == &server->wake)
			break;
		if (event.data.ptr == &server->listener)
			accept_connection(server);
		else
			serve_connection(server, exchange, event.data.ptr);
	}
	return NULL;
}

static void start_workers(struct server *server)
{
	pthread_attr_t attr;
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (int i = 0; i < server->config->workers; i++) {
		if (pthread_create(&server->workers[i], &attr, work, server))
			break;
		(void)pthread_setname_np(server->workers[i], "worker");
		server->worker_count++;
	}
	(void)pthread_attr_destroy(&attr);
}

/* Returns how many requests are not finished when time is up. */
static int join_workers(struct server *server)
{
	struct timespec deadline;
	(void)clock_gettime(CLOCK_REALTIME, &deadline);
	/* Without a moment for the threads to end, --drain 0 would always find some. */
	deadline.tv_sec += server->config->drain ? server->config->drain : 1;
	bool late = false;
	for (int i = 0; i < server->worker_count; i++)
		late |= pthread_timedjoin_np(server->workers[i], NULL, &deadline) != 0;
	if (!late)
		return 0;
	LOCK(&server->lock);
	int unfinished = 0;
	for (const struct connection *c = server->connections; c; c = c->next)
		unfinished += c->busy;
	return unfinished ? unfinished : 1;
}

/* Accepts no more but what waits already; ends what is idle, and the rest when it is answered. */
static void drain(struct server *server)
{
	LOCK(&server->lock);
	atomic_store(&server->api->draining, true);
	(void)epoll_ctl(server->epoll, EPOLL_CTL_DEL, server->listener.fd, NULL);
	int error = 0;
	while (!server->listener.inherited && accept_one(server, &error))
		;
	listener_close(&server->listener);
	for (const struct connection *c = server->connections; c; c = c->next)
		if (!c->busy)
			end_if_silent(c);
	if (!server->connections)
		(void)eventfd_write(server->wake, 1);
}

int server_run(struct server *server)
{
	sigset_t signals;
	int got = 0;
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	start_workers(server);
	if (!server->worker_count) {
		log_error("no worker could be started");
		return 1;
	}
	(void)sigwait(&signals, &got);
	drain(server);
	return join_workers(server);
}
