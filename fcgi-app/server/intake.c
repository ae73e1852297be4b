/* SPDX-License-Identifier: MIT */
#include "server/intake.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "server/listener.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>

/*
 * What the threads do here:
 *
 *	worker     becomes    when
 *	serving    serving    a connection is queued
 *	           polling    fewer than POLLERS_MAX poll the epoll set
 *	           parked     otherwise
 *	polling    serving    the set has an event
 *	parked     polling    a worker that blocks finds nobody polling, or the overload thread does
 *
 *	overload   becomes    when
 *	asleep     watching   the last poller leaves the set
 *	watching   asleep     a poller was there in LOOKS looks, LOOK_MS apart
 *	           accepting  no worker is idle
 *	accepting  watching   a worker is idle
 *
 * "Idle" is polling, parked, or in between. Under load the overload thread stays watching: to look
 * from time to time costs less than to be woken for each request.
 *
 * Nobody takes a lock on the path of a request that finds a poller. Instead, two threads that have
 * to notice each other each write one atomic and then read the other's. All of these are
 * sequentially consistent, so at least one of the two sees what the other has written:
 *
 *	writes, then reads                          writes, then reads
 *	worker: idle, queue_length                  overload: queue_length, idle
 *		A queued connection never waits while a worker goes to sleep.
 *	worker that parks: parked_count, pollers    worker that left the set: pollers, parked_count
 *		The set is not left to parked workers by one that blocks.
 *	overload that sleeps: asleep, pollers       last poller: pollers, asleep
 *		The overload thread does not sleep while nobody polls.
 *	thread that gives back: state, draining     drain: draining, state
 *		No idle connection keeps a process that drains.
 */
enum {
	/* nginx reads a reply at once; a peer that does not is dropped. */
	SEND_TIMEOUT_SECONDS = 30,
	/* A longer queue than this is answered by the overload thread without waiting. */
	QUEUED_PER_WORKER = 4,
	/* Measured: more pollers only wake each other. */
	POLLERS_MAX = 2,
	LOOK_MS = 5,
	LOOKS = 20,
};

enum connection_state {
	CONNECTION_NEW,     /* armed in the epoll set, never used */
	CONNECTION_IDLE,    /* armed in the epoll set, used before */
	CONNECTION_PARTIAL, /* armed in the epoll set, has a part of a request */
	CONNECTION_TAKEN,   /* owned by a thread, or queued */
};

struct connection {
	int fd;
	_Atomic enum connection_state state; /* written by the one thread that has it */
	int64_t queued_at;                   /* clock_ms() */
	struct fastcgi *partial;             /* of the request that arrives; or NULL */
	_Atomic int64_t partial_since;       /* clock_ms() */
	struct later *later;                 /* of intake_resume(); or NULL */
	LIST_ENTRY(connection) all;
	STAILQ_ENTRY(connection) queued;
};

/* A worker that sleeps until another wakes it. */
struct parked {
	pthread_cond_t woken;
	bool goes;
	SLIST_ENTRY(parked) link;
};

struct intake {
	const struct config *config;
	int epoll;
	int over_fd; /* an eventfd in the set, readable once it is over */

	atomic_int idle;         /* workers inside await_event() */
	atomic_int pollers;      /* of these, inside epoll_wait() */
	atomic_int parked_count; /* of these, in the list `parked`, or about to be */
	atomic_int queue_length;
	atomic_bool overload_asleep; /* until `overload_woken` */
	atomic_bool draining;        /* never unset */

	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t overload_woken;
	SLIST_HEAD(parked_list, parked) parked; /* the last one first: its memory is still warm */
	struct listener listener;
	LIST_HEAD(connection_list, connection) connections;
	STAILQ_HEAD(connection_queue, connection) queue;
	bool over;          /* draining, and no connection is left */
	int64_t refused_at; /* clock_ms() of the last peer that was refused and logged */
};

int intake_fd(const struct connection *connection)
{
	return connection->fd;
}

struct fastcgi **intake_partial(struct connection *connection)
{
	return &connection->partial;
}

static int epoll_arm_for(const struct intake *intake, int fd, unsigned events, void *tag, int op)
{
	struct epoll_event event = { .events = events | EPOLLONESHOT, .data.ptr = tag };
	return epoll_ctl(intake->epoll, op, fd, &event);
}

/* Arms a descriptor for one event, which will carry the tag. */
static int epoll_arm(const struct intake *intake, int fd, void *tag, int op)
{
	return epoll_arm_for(intake, fd, EPOLLIN | EPOLLRDHUP, tag, op);
}

/* nginx may keep more connections than the usual limit of 1024 descriptors. */
static void allow_many_files(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

int intake_new(const struct config *config, struct intake **ret, struct err *err)
{
	struct intake *intake = calloc(1, sizeof *intake);
	if (!intake)
		return err_memory(err);
	*intake = (struct intake){ .config = config, .listener.fd = -1 };
	STAILQ_INIT(&intake->queue);
	allow_many_files();
	(void)pthread_mutex_init(&intake->lock, NULL);
	cond_init_monotonic(&intake->overload_woken);

	intake->over_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	intake->epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event over = { .events = EPOLLIN, .data.ptr = &intake->over_fd };
	if (epoll_ctl(intake->epoll, EPOLL_CTL_ADD, intake->over_fd, &over) < 0)
		(void)err_set(err, ERR_INTERNAL, "cannot use epoll: %s", strerror(errno));
	else if (!listener_init(config, &intake->listener, err)) {
		if (!epoll_arm(intake, intake->listener.fd, &intake->listener, EPOLL_CTL_ADD)) {
			*ret = intake;
			return 0;
		}
		(void)err_set(err, ERR_INTERNAL, "cannot poll the socket: %s", strerror(errno));
	}
	intake_free(intake);
	return -1;
}

static void connection_destroy(struct connection *connection)
{
	LIST_REMOVE(connection, all);
	(void)close(connection->fd);
	if (connection->partial)
		fastcgi_free(connection->partial);
	free(connection);
}

void intake_free(struct intake *intake)
{
	listener_done(&intake->listener);
	while (!LIST_EMPTY(&intake->connections))
		connection_destroy(LIST_FIRST(&intake->connections));
	if (intake->epoll >= 0)
		(void)close(intake->epoll);
	if (intake->over_fd >= 0)
		(void)close(intake->over_fd);
	(void)pthread_cond_destroy(&intake->overload_woken);
	(void)pthread_mutex_destroy(&intake->lock);
	free(intake);
}

/* Connections; the caller of these holds the lock. */

static void wake_parked(struct intake *intake)
{
	struct parked *parked = SLIST_FIRST(&intake->parked);
	if (!parked)
		return;
	SLIST_REMOVE_HEAD(&intake->parked, link);
	parked->goes = true;
	(void)pthread_cond_signal(&parked->woken);
}

static void end_if_over(struct intake *intake)
{
	if (!atomic_load(&intake->draining) || !LIST_EMPTY(&intake->connections))
		return;
	intake->over = true;
	(void)eventfd_write(intake->over_fd, 1);
	(void)pthread_cond_broadcast(&intake->overload_woken);
	while (!SLIST_EMPTY(&intake->parked))
		wake_parked(intake);
}

static void connection_free(struct intake *intake, struct connection *connection)
{
	connection_destroy(connection);
	end_if_over(intake);
}

/* Arms it last: from then on it belongs to whoever gets its event. */
static void connection_new(struct intake *intake, int fd)
{
	const struct timeval timeout = { .tv_sec = SEND_TIMEOUT_SECONDS };
	struct connection *connection = calloc(1, sizeof *connection);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
	if (!connection) {
		(void)close(fd);
		return;
	}
	connection->fd = fd;
	atomic_store(&connection->state, CONNECTION_NEW);
	LIST_INSERT_HEAD(&intake->connections, connection, all);
	if (epoll_arm(intake, fd, connection, EPOLL_CTL_ADD) < 0)
		connection_free(intake, connection);
}

/*
 * In draining: has a connection without a request closed, by letting a worker read its end. If its
 * next request is there already, that is answered first. One that nginx sends later is refused by
 * the kernel, whole, so that nginx can send it to another backend.
 */
static void end_if_silent(const struct connection *connection)
{
	struct pollfd pending = { .fd = connection->fd, .events = POLLIN };
	if (!poll(&pending, 1, 0))
		(void)shutdown(connection->fd, SHUT_RD);
}

static void note_partial(struct connection *connection)
{
	if (!atomic_load(&connection->partial_since))
		atomic_store(&connection->partial_since, clock_ms());
	atomic_store(&connection->state, CONNECTION_PARTIAL);
}

static void note_idle(const struct intake *intake, struct connection *connection)
{
	atomic_store(&connection->partial_since, 0);
	atomic_store(&connection->state, CONNECTION_IDLE);
	if (atomic_load(&intake->draining))
		end_if_silent(connection);
}

/* From epoll_arm() on, another thread may have taken the connection and freed it. */
void intake_give(struct intake *intake, struct connection *connection, enum intake_end end)
{
	if (end != INTAKE_CLOSE) {
		if (end == INTAKE_PARTIAL)
			note_partial(connection);
		else
			note_idle(intake, connection);
		if (!epoll_arm(intake, connection->fd, connection, EPOLL_CTL_MOD))
			return;
	}
	LOCK(&intake->lock);
	connection_free(intake, connection);
}

void intake_end_stalled(struct intake *intake, int stall_ms)
{
	LOCK(&intake->lock);
	int64_t since = clock_ms() - stall_ms;
	const struct connection *connection = NULL;
	LIST_FOREACH(connection, &intake->connections, all)
		if (atomic_load(&connection->state) == CONNECTION_PARTIAL &&
			atomic_load(&connection->partial_since) <= since)
			(void)shutdown(connection->fd, SHUT_RDWR);
}

int intake_taken_count(struct intake *intake)
{
	LOCK(&intake->lock);
	int taken = 0;
	struct connection *connection = NULL;
	LIST_FOREACH(connection, &intake->connections, all)
		taken += atomic_load(&connection->state) == CONNECTION_TAKEN;
	return taken;
}

/* Does not log each refusal, since a refused peer may try again at once. The lock is held. */
static void log_refused(struct intake *intake, uid_t user)
{
	enum { PAUSE_MS = 1000 };
	int64_t now = clock_ms();
	if (now - intake->refused_at < PAUSE_MS)
		return;
	intake->refused_at = now;
	log_error("refused a connection of the user %u: VIRTGATE_SOCKET_USERS does not name it",
		(unsigned)user);
}

/* The lock is held. false: nothing was accepted, and errno says why. */
static bool accept_one(struct intake *intake)
{
	uid_t user = 0;
	int fd = accept4(intake->listener.fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0 && listener_admits(&intake->listener, fd, &user)) {
		connection_new(intake, fd);
	} else if (fd >= 0) {
		(void)close(fd);
		log_refused(intake, user);
	}
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
		(void)epoll_arm(intake, intake->listener.fd, &intake->listener, EPOLL_CTL_MOD);
}

/* Takes the connection that the event is of; NULL: it is not of one. */
static struct connection *take_ready(struct intake *intake, const struct epoll_event *event)
{
	if (event->data.ptr == &intake->over_fd)
		return NULL;
	if (event->data.ptr == &intake->listener) {
		accept_connection(intake);
		return NULL;
	}
	struct connection *connection = event->data.ptr;
	/* A read as well as a write: it makes visible what the thread wrote that had it before. */
	(void)atomic_exchange(&connection->state, CONNECTION_TAKEN);
	return connection;
}

/* The queue */

static void queue_add(struct intake *intake, struct connection *connection)
{
	LOCK(&intake->lock);
	connection->queued_at = clock_ms();
	STAILQ_INSERT_TAIL(&intake->queue, connection, queued);
	atomic_fetch_add(&intake->queue_length, 1);
}

/* The first, if it has been queued for so long or the queue is too long. NULL: there is none. */
static struct connection *queue_take(struct intake *intake, int ms)
{
	if (!atomic_load(&intake->queue_length))
		return NULL;
	LOCK(&intake->lock);
	struct connection *first = STAILQ_FIRST(&intake->queue);
	int length_max = intake->config->workers * QUEUED_PER_WORKER;
	if (!first ||
		(clock_ms() - first->queued_at < ms &&
			atomic_load(&intake->queue_length) <= length_max))
		return NULL;
	STAILQ_REMOVE_HEAD(&intake->queue, queued);
	atomic_fetch_sub(&intake->queue_length, 1);
	return first;
}

/* A socket is nearly always ready to be written to: the event comes at once. */
void intake_resume(struct intake *intake, struct connection *connection, struct later *later)
{
	connection->later = later;
	/* Not for the state, but to make `later` visible to whoever gets the event. */
	atomic_store(&connection->state, CONNECTION_TAKEN);
	if (epoll_arm_for(intake, connection->fd, EPOLLOUT, connection, EPOLL_CTL_MOD) < 0)
		queue_add(intake, connection);
}

struct later *intake_later(struct connection *connection)
{
	return TAKE(connection->later);
}

/* Milliseconds until the first request is overdue; if the queue is empty, until one that arrives
 * now is. */
static int queue_patience(struct intake *intake)
{
	LOCK(&intake->lock);
	const struct connection *first = STAILQ_FIRST(&intake->queue);
	int64_t waited = first ? clock_ms() - first->queued_at : 0;
	return waited < INTAKE_PATIENCE_MS ? INTAKE_PATIENCE_MS - (int)waited : 0;
}

/* Workers */

static void wake_overload(struct intake *intake)
{
	if (!atomic_load(&intake->overload_asleep))
		return;
	LOCK(&intake->lock);
	(void)pthread_cond_signal(&intake->overload_woken);
}

void intake_block(struct intake *intake)
{
	if (atomic_load(&intake->pollers) || !atomic_load(&intake->parked_count))
		return;
	LOCK(&intake->lock);
	wake_parked(intake);
}

/* Sleeps while enough others poll, until it is woken. */
static void park(struct intake *intake)
{
	if (atomic_load(&intake->pollers) < POLLERS_MAX)
		return;
	struct parked self = { .woken = PTHREAD_COND_INITIALIZER };
	LOCK(&intake->lock);
	atomic_fetch_add(&intake->parked_count, 1);
	if (!intake->over && atomic_load(&intake->pollers) >= POLLERS_MAX) {
		/* cppcheck-suppress autoVariables; it is woken before its scope ends */
		SLIST_INSERT_HEAD(&intake->parked, &self, link);
		while (!self.goes)
			(void)pthread_cond_wait(&self.woken, &intake->lock);
	}
	atomic_fetch_sub(&intake->parked_count, 1);
}

/*
 * Waits as an idle worker; false: there is no event, but perhaps a queued connection. The last that
 * leaves the set wakes the overload thread: it may come to wait without calling intake_block(), for
 * the rest of a request.
 */
static bool await_event(struct intake *intake, struct epoll_event *ret)
{
	int n = 0;
	atomic_fetch_add(&intake->idle, 1);
	if (!atomic_load(&intake->queue_length)) {
		park(intake);
		atomic_fetch_add(&intake->pollers, 1);
		n = epoll_wait(intake->epoll, ret, 1, -1);
		if (atomic_fetch_sub(&intake->pollers, 1) == 1)
			wake_overload(intake);
	}
	if (atomic_fetch_sub(&intake->idle, 1) == 1)
		wake_overload(intake);
	return n == 1;
}

struct connection *intake_take(struct intake *intake)
{
	for (;;) {
		struct epoll_event event;
		struct connection *connection = queue_take(intake, 0);
		if (!connection && await_event(intake, &event)) {
			if (event.data.ptr == &intake->over_fd)
				return NULL;
			connection = take_ready(intake, &event);
		}
		if (connection)
			return connection;
	}
}

/* The overload thread */

/* Sleeps until the last poller leaves the set. The lock is held. */
static void overload_sleep(struct intake *intake)
{
	atomic_store(&intake->overload_asleep, true);
	if (!intake->over && atomic_load(&intake->pollers))
		(void)pthread_cond_wait(&intake->overload_woken, &intake->lock);
	atomic_store(&intake->overload_asleep, false);
}

/*
 * Waits until no worker is idle; false: it is over. Wakes a parked worker if nobody polls after
 * LOOK_MS: by then the pollers have left for longer than a short request takes.
 */
static bool overload_watch(struct intake *intake)
{
	LOCK(&intake->lock);
	for (int quiet = 0; !intake->over && atomic_load(&intake->idle);) {
		struct timespec look = clock_after_ms(LOOK_MS);
		quiet = atomic_load(&intake->pollers) ? quiet + 1 : 0;
		if (quiet == LOOKS) {
			overload_sleep(intake);
			quiet = 0;
			continue;
		}
		(void)pthread_cond_timedwait(&intake->overload_woken, &intake->lock, &look);
		if (!atomic_load(&intake->pollers))
			wake_parked(intake);
	}
	return !intake->over;
}

/* Puts a queued connection back into the set. */
static void queue_undo(struct intake *intake, struct connection *connection)
{
	if (connection->later)
		intake_resume(intake, connection, connection->later);
	else
		intake_give(intake, connection, connection->partial ? INTAKE_PARTIAL : INTAKE_KEPT);
}

/* Puts queued connections back into the set while a worker is idle there: it does not see them. */
static void overload_hand_on(struct intake *intake)
{
	struct connection *connection = NULL;
	while (atomic_load(&intake->idle) && (connection = queue_take(intake, 0)))
		queue_undo(intake, connection);
}

struct connection *intake_take_overdue(struct intake *intake)
{
	while (overload_watch(intake)) {
		struct connection *overdue = queue_take(intake, INTAKE_PATIENCE_MS);
		if (overdue && !overdue->later)
			return overdue;
		if (overdue) /* it was acted upon, and only a worker can finish it */
			queue_undo(intake, overdue);
		struct epoll_event event;
		struct connection *ready = NULL;
		if (epoll_wait(intake->epoll, &event, 1, queue_patience(intake)) == 1)
			ready = take_ready(intake, &event);
		if (ready)
			queue_add(intake, ready);
		overload_hand_on(intake);
	}
	return NULL;
}

/* Draining */

bool intake_is_inherited(const struct intake *intake)
{
	return intake->listener.inherited;
}

/*
 * Unlinks the path before the last accept: nobody can connect after that and send a request that no
 * process reads. The lock is held.
 */
static void stop_listening(struct intake *intake)
{
	(void)epoll_ctl(intake->epoll, EPOLL_CTL_DEL, intake->listener.fd, NULL);
	listener_unlink(&intake->listener);
	while (!intake->listener.inherited && accept_one(intake))
		;
	listener_done(&intake->listener);
}

void intake_drain(struct intake *intake)
{
	LOCK(&intake->lock);
	bool again = atomic_exchange(&intake->draining, true);
	if (!again)
		stop_listening(intake);
	struct connection *connection = NULL;
	LIST_FOREACH(connection, &intake->connections, all) {
		enum connection_state state = atomic_load(&connection->state);
		if (state == CONNECTION_IDLE || (state != CONNECTION_TAKEN && again))
			end_if_silent(connection);
	}
	end_if_over(intake);
}
