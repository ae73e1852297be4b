/* SPDX-License-Identifier: MIT */
#include "server/intake.h"

#include "base/clock.h"
#include "base/thread.h"
#include "server/listener.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>

enum {
	/* nginx sends a request at once and whole; a peer that stalls inside one is dropped. */
	IO_TIMEOUT_SECONDS = 30,
	/* More of them in line than that are not worth waiting. */
	LINE_PER_WORKER = 4,
	/* Who wait in the epoll set at a time: measured, more only wake each other. */
	POLLERS_MAX = 2,
	/* The receptionist's, while it is attentive, and how many it makes when all is quiet. */
	LOOK_MS = 5,
	LOOKS = 20,
};

/* From nginx; taken while somebody has it or it stands in line, else waiting in the epoll set. */
struct connection {
	int fd;
	atomic_bool taken;
	atomic_bool used;    /* has been taken before */
	int64_t lined_up_at; /* clock_ms() */
	struct connection *behind;
	struct connection *next, *previous;
};

/* A worker that does not poll. The last one is called first: its memory is still warm. */
struct parked {
	pthread_cond_t called;
	bool goes;
	struct parked *next;
};

struct intake {
	const struct config *config;
	int epoll;
	int wake; /* readable from the moment that nothing more will come */

	atomic_int idle;    /* workers that poll or are parked */
	atomic_int pollers; /* that wait in the epoll set */
	atomic_int parked_count;
	atomic_int line_length;
	atomic_bool resting; /* the receptionist, as long as a worker is idle */

	pthread_mutex_t lock;
	pthread_cond_t busy; /* no worker is idle, or it is over */

	struct parked *parked; /* who parked last comes first */
	struct listener listener;
	struct connection *connections;
	struct connection *first, *last; /* of the line */
	atomic_bool draining;
	bool over;
};

int intake_fd(const struct connection *connection)
{
	return connection->fd;
}

/* Arms a descriptor for one event, which will carry the tag. */
static int arm(const struct intake *intake, int fd, void *tag, int op)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT,
		.data.ptr = tag,
	};
	return epoll_ctl(intake->epoll, op, fd, &event);
}

int intake_open(const struct config *config, struct intake **ret, struct err *err)
{
	struct intake *intake = calloc(1, sizeof *intake);
	if (!intake)
		return err_memory(err);
	*intake = (struct intake){ .config = config, .listener.fd = -1 };
	(void)pthread_mutex_init(&intake->lock, NULL);
	cond_init_monotonic(&intake->busy);

	intake->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	intake->epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event wake = { .events = EPOLLIN, .data.ptr = &intake->wake };
	if (epoll_ctl(intake->epoll, EPOLL_CTL_ADD, intake->wake, &wake) < 0)
		(void)err_set(err, ERR_INTERNAL, "cannot set up: %s", strerror(errno));
	else if (!listener_open(config, &intake->listener, err)) {
		if (!arm(intake, intake->listener.fd, &intake->listener, EPOLL_CTL_ADD)) {
			*ret = intake;
			return 0;
		}
		(void)err_set(err, ERR_INTERNAL, "cannot set up: %s", strerror(errno));
	}
	intake_free(intake);
	return -1;
}

void intake_free(struct intake *intake)
{
	listener_close(&intake->listener);
	while (intake->connections) {
		struct connection *connection = intake->connections;
		intake->connections = connection->next;
		(void)close(connection->fd);
		free(connection);
	}
	if (intake->epoll >= 0)
		(void)close(intake->epoll);
	if (intake->wake >= 0)
		(void)close(intake->wake);
	(void)pthread_cond_destroy(&intake->busy);

	(void)pthread_mutex_destroy(&intake->lock);
	free(intake);
}

/* Connections; the lock is held for these. */

static void call_parked(struct intake *intake)
{
	struct parked *parked = intake->parked;
	if (!parked)
		return;
	intake->parked = parked->next;
	parked->goes = true;
	(void)pthread_cond_signal(&parked->called);
}

/* The last one to go, in draining, lets all who wait end. */
static void end_if_over(struct intake *intake)
{
	if (!atomic_load(&intake->draining) || intake->connections)
		return;
	intake->over = true;
	(void)eventfd_write(intake->wake, 1);
	(void)pthread_cond_broadcast(&intake->busy);
	while (intake->parked)
		call_parked(intake);
}

/* Its descriptor is closed already. */
static void remove_connection(struct intake *intake, struct connection *connection)
{
	if (connection->next)
		connection->next->previous = connection->previous;
	if (connection->previous)
		connection->previous->next = connection->next;
	else
		intake->connections = connection->next;
	free(connection);
	end_if_over(intake);
}

/* Armed last: from then on it is theirs who get its event. */
static void add_connection(struct intake *intake, int fd)
{
	const struct timeval timeout = { .tv_sec = IO_TIMEOUT_SECONDS };
	struct connection *connection = calloc(1, sizeof *connection);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
	if (!connection) {
		(void)close(fd);
		return;
	}
	connection->fd = fd;
	connection->next = intake->connections;
	if (connection->next)
		connection->next->previous = connection;
	intake->connections = connection;
	if (!arm(intake, fd, connection, EPOLL_CTL_ADD))
		return;
	(void)close(fd);
	remove_connection(intake, connection);
}

/*
 * In draining: closes a connection that has nothing more to say, by letting a worker read its end.
 * One whose next request is there already is answered first; one that nginx would send it later
 * is refused by the kernel, whole, so that nginx can send it elsewhere.
 */
static void end_if_silent(const struct connection *connection)
{
	struct pollfd pending = { .fd = connection->fd, .events = POLLIN };
	if (!poll(&pending, 1, 0))
		(void)shutdown(connection->fd, SHUT_RD);
}

/* Draining is told first and looks at what is taken then: one of the two sees the other. */
void intake_give(struct intake *intake, struct connection *connection, enum intake_end end)
{
	if (end == INTAKE_KEPT) {
		atomic_store(&connection->taken, false);
		if (atomic_load(&intake->draining))
			end_if_silent(connection);
		if (!arm(intake, connection->fd, connection, EPOLL_CTL_MOD))
			return;
	}
	LOCK(&intake->lock);
	if (end != INTAKE_CLOSED)
		(void)close(connection->fd);
	remove_connection(intake, connection);
}

int intake_taken(struct intake *intake)
{
	LOCK(&intake->lock);
	int taken = 0;
	for (const struct connection *c = intake->connections; c; c = c->next)
		taken += atomic_load(&c->taken);
	return taken;
}

/* Accepts one connection; false: there is none, and errno tells why. */
static bool accept_one(struct intake *intake)
{
	int fd = accept4(intake->listener.fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		add_connection(intake, fd);
	return fd >= 0;
}

static void accept_connection(struct intake *intake)
{
	enum { PAUSE_MICROSECONDS = 10000 };
	int error = 0;
	{
		LOCK(&intake->lock);
		if (intake->listener.fd >= 0 && !accept_one(intake))
			error = errno;
	}
	/* Out of descriptors or memory the listener stays ready: without a pause this would spin.
	 */
	if (error && error != EAGAIN && error != ECONNABORTED)
		(void)usleep(PAUSE_MICROSECONDS);
	LOCK(&intake->lock);
	if (intake->listener.fd >= 0)
		(void)arm(intake, intake->listener.fd, &intake->listener, EPOLL_CTL_MOD);
}

/* The line */

static void mark_taken(struct connection *connection)
{
	atomic_store(&connection->taken, true);
	atomic_store(&connection->used, true);
}

static void line_up(struct intake *intake, struct connection *connection)
{
	LOCK(&intake->lock);
	mark_taken(connection);
	connection->lined_up_at = clock_ms();
	connection->behind = NULL;
	if (intake->last)
		intake->last->behind = connection;
	else
		intake->first = connection;
	intake->last = connection;
	atomic_fetch_add(&intake->line_length, 1);
}

/* The first in line, if it has been there for so long, or the line is too long. Else NULL. */
static struct connection *leave_line(struct intake *intake, int ms)
{
	if (!atomic_load(&intake->line_length))
		return NULL;
	LOCK(&intake->lock);
	struct connection *first = intake->first;
	if (!first ||
		(clock_ms() - first->lined_up_at < ms &&
			atomic_load(&intake->line_length) <=
				intake->config->workers * LINE_PER_WORKER))
		return NULL;
	intake->first = first->behind;
	if (!intake->first)
		intake->last = NULL;
	atomic_fetch_sub(&intake->line_length, 1);
	return first;
}

/* How long until leave_line() has one for the receptionist, if none comes meanwhile. */
static int line_patience(struct intake *intake)
{
	LOCK(&intake->lock);
	int64_t waited = intake->first ? clock_ms() - intake->first->lined_up_at : 0;
	return waited < INTAKE_PATIENCE_MS ? INTAKE_PATIENCE_MS - (int)waited : 0;
}

/* Workers */

static void call_receptionist(struct intake *intake)
{
	if (!atomic_load(&intake->resting))
		return;
	LOCK(&intake->lock);
	(void)pthread_cond_signal(&intake->busy);
}

void intake_leave(struct intake *intake)
{
	if (atomic_load(&intake->pollers) || !atomic_load(&intake->parked_count))
		return;
	LOCK(&intake->lock);
	call_parked(intake);
}

/* Counts itself first and looks for pollers then: whoever leaves looks the other way round. */
static void park(struct intake *intake)
{
	if (atomic_load(&intake->pollers) < POLLERS_MAX)
		return;
	struct parked self = { .called = PTHREAD_COND_INITIALIZER };
	LOCK(&intake->lock);
	atomic_fetch_add(&intake->parked_count, 1);
	if (!intake->over && atomic_load(&intake->pollers) >= POLLERS_MAX) {
		self.next = intake->parked;
		/* cppcheck-suppress autoVariables; it is called before its scope ends */
		intake->parked = &self;
		while (!self.goes)
			(void)pthread_cond_wait(&self.called, &intake->lock);
	}
	atomic_fetch_sub(&intake->parked_count, 1);
}

/*
 * The last to leave makes the receptionist attentive, in case that it comes to wait without saying
 * so: for the rest of a request.
 */
static int poll_event(struct intake *intake, struct epoll_event *ret)
{
	park(intake);
	atomic_fetch_add(&intake->pollers, 1);
	int n = epoll_wait(intake->epoll, ret, 1, -1);
	if (atomic_fetch_sub(&intake->pollers, 1) == 1)
		call_receptionist(intake);
	return n;
}

/*
 * false: there is no event, but perhaps somebody in line. Whoever lines somebody up looks for idle
 * workers afterwards, and an idle worker at the line: one of them sees the other.
 */
static bool await_event(struct intake *intake, struct epoll_event *ret)
{
	atomic_fetch_add(&intake->idle, 1);
	int n = atomic_load(&intake->line_length) ? 0 : poll_event(intake, ret);
	if (atomic_fetch_sub(&intake->idle, 1) == 1)
		call_receptionist(intake);
	return n == 1;
}

struct connection *intake_take(struct intake *intake)
{
	for (;;) {
		struct epoll_event event;
		struct connection *connection = leave_line(intake, 0);
		if (connection)
			return connection;
		if (!await_event(intake, &event))
			continue;
		if (event.data.ptr == &intake->wake)
			return NULL;
		if (event.data.ptr == &intake->listener) {
			accept_connection(intake);
			continue;
		}
		connection = event.data.ptr;
		mark_taken(connection);
		return connection;
	}
}

/* The receptionist */

/* Until a last poller leaves, who looks at `resting` afterwards as this does at the pollers. */
static void await_call(struct intake *intake)
{
	atomic_store(&intake->resting, true);
	if (!intake->over && atomic_load(&intake->pollers))
		(void)pthread_cond_wait(&intake->busy, &intake->lock);
	atomic_store(&intake->resting, false);
}

/*
 * Until no worker is idle; false: it is over. While nobody polls, one that is parked is called
 * after a moment, if nobody else has done so: under load this thread looks from time to time,
 * instead of being woken for each request.
 */
static bool rest(struct intake *intake)
{
	LOCK(&intake->lock);
	for (int quiet = 0; !intake->over && atomic_load(&intake->idle);) {
		struct timespec look = clock_after_ms(LOOK_MS);
		quiet = atomic_load(&intake->pollers) ? quiet + 1 : 0;
		if (quiet == LOOKS) {
			await_call(intake);
			quiet = 0;
			continue;
		}
		(void)pthread_cond_timedwait(&intake->busy, &intake->lock, &look);
		if (!atomic_load(&intake->pollers))
			call_parked(intake);
	}
	return !intake->over;
}

/* A worker that has come free waits in the epoll set, where it does not see the line. */
static void pass_on(struct intake *intake)
{
	struct connection *connection = NULL;
	while (atomic_load(&intake->idle) && (connection = leave_line(intake, 0)))
		intake_give(intake, connection, INTAKE_KEPT);
}

struct connection *intake_take_late(struct intake *intake)
{
	while (rest(intake)) {
		struct connection *late = leave_line(intake, INTAKE_PATIENCE_MS);
		if (late)
			return late;
		struct epoll_event event;
		if (epoll_wait(intake->epoll, &event, 1, line_patience(intake)) == 1 &&
			event.data.ptr != &intake->wake) {
			if (event.data.ptr == &intake->listener)
				accept_connection(intake);
			else
				line_up(intake, event.data.ptr);
		}
		pass_on(intake);
	}
	return NULL;
}

/* Stopping */

/*
 * The path goes first: after that nobody can come whom the last accept would miss, and who could
 * then send a request to nobody.
 */
static void stop_listening(struct intake *intake)
{
	(void)epoll_ctl(intake->epoll, EPOLL_CTL_DEL, intake->listener.fd, NULL);
	listener_unlink(&intake->listener);
	while (!intake->listener.inherited && accept_one(intake))
		;
	listener_close(&intake->listener);
}

bool intake_is_handed_over(const struct intake *intake)
{
	return intake->listener.inherited;
}

void intake_drain(struct intake *intake)
{
	LOCK(&intake->lock);
	bool again = atomic_exchange(&intake->draining, true);
	if (!again)
		stop_listening(intake);
	for (const struct connection *c = intake->connections; c; c = c->next)
		if (!atomic_load(&c->taken) && (atomic_load(&c->used) || again))
			end_if_silent(c);
	end_if_over(intake);
}
