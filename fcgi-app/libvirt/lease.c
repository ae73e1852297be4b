/* SPDX-License-Identifier: MIT */
#include "libvirt/lease.h"

#include "libvirt/gate.h"

#include <errno.h>
#include <string.h>

/* A daemon that hangs longer than its keepalive allows may have been replaced. */
enum { OPEN_GIVE_UP_MS = 30000 };

/* What waits for a lease. */
enum { FOR_GOOD = LEASE_CLASS_COUNT }; /* beside the classes: the connection is not given back */

struct connection {
	virConnectPtr conn;
	unsigned epoch; /* it has answered in this one */
};

struct waiter {
	struct waiter *next;
	pthread_cond_t changed;
	int class;   /* enum lease_class, or FOR_GOOD */
	bool served; /* got and place are its own */
	bool refused;
	struct connection got;
	int place;
};

struct pool {
	struct opener *opener;

	pthread_mutex_t lock; /* of what follows; may be held when the opener's is taken */
	struct waiter *waiters;
	struct connection idle[PLACES_MAX + 1]; /* one that is for good was open beside */
	int idle_count;
	int open_count;       /* idle and leased */
	struct places places; /* of the leases that are out */
	uint64_t refused;
	unsigned epoch; /* ends with each connection that is lost: the others may be, too */
};

/* Waiting */

static bool has_place(const struct pool *pool, int class)
{
	return class == FOR_GOOD || places_has(&pool->places, (enum lease_class) class);
}

/* Is another connection what somebody waits for? */
static bool wants_another(const struct pool *pool)
{
	for (const struct waiter *w = pool->waiters; w; w = w->next)
		if (has_place(pool, w->class))
			return true;
	return false;
}

/* Hands out what is idle; the rest is asked of the opener. The lock is held, as below. */
static void serve(struct pool *pool)
{
	for (struct waiter **at = &pool->waiters; *at && pool->idle_count;) {
		struct waiter *w = *at;
		if (!has_place(pool, w->class)) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->got = pool->idle[--pool->idle_count];
		if (w->class == FOR_GOOD)
			pool->open_count--;
		else
			w->place = places_take(&pool->places, (enum lease_class)w->class);
		w->served = true;
		(void)pthread_cond_signal(&w->changed);
	}
	opener_want(pool->opener, wants_another(pool));
}

static void enqueue(struct pool *pool, struct waiter *waiter)
{
	struct waiter **at = &pool->waiters;
	while (*at)
		at = &(*at)->next;
	*at = waiter;
}

static void dequeue(struct pool *pool, const struct waiter *waiter)
{
	for (struct waiter **at = &pool->waiters; *at; at = &(*at)->next)
		if (*at == waiter) {
			*at = waiter->next;
			return;
		}
}

/* The opener's answer. Whoever waits for a place still may get one. */
static void on_opened(void *data, virConnectPtr conn)
{
	struct pool *pool = data;
	LOCK(&pool->lock);
	if (conn) {
		pool->idle[pool->idle_count++] = (struct connection){ conn, pool->epoch };
		pool->open_count++;
		serve(pool);
		return;
	}
	for (struct waiter *w = pool->waiters; w; w = w->next) {
		w->refused = w->class != FOR_GOOD && has_place(pool, w->class);
		if (w->refused)
			(void)pthread_cond_signal(&w->changed);
	}
}

static int refuse_busy(const struct host *host, struct err *err)
{
	return err_set(err, ERR_HOST_BUSY,
		"all connections to host '%s' that this may have are busy", host->name);
}

/* Can a lease be expected, by one who stands in the queue? */
static int check_prospect(struct host *host, const struct waiter *waiter, struct err *err)
{
	const struct pool *pool = host->pool;
	enum lease_class class = (enum lease_class)waiter->class;
	if (places_has(&pool->places, class))
		return opener_check(pool->opener, LEASE_WAIT_MS, err);
	int ahead = 0;
	for (const struct waiter *w = pool->waiters; w != waiter; w = w->next)
		ahead += w->class == waiter->class;
	if (places_has_prospect(&pool->places, class, ahead, LEASE_WAIT_MS))
		return 0;
	return refuse_busy(host, err);
}

static int refuse_late(struct host *host, const struct waiter *waiter, struct err *err)
{
	if (!has_place(host->pool, waiter->class))
		return refuse_busy(host, err);
	return err_set(err, ERR_HYPERVISOR_UNAVAILABLE, "host '%s' does not answer", host->name);
}

/* The attempt that has just failed says why. */
static int refuse_failed(struct host *host, struct err *err)
{
	if (!opener_check(host->pool->opener, LEASE_WAIT_MS, err))
		return err_set(
			err, ERR_HYPERVISOR_UNAVAILABLE, "host '%s' cannot be reached", host->name);
	return -1;
}

static int await(
	struct host *host, struct waiter *waiter, const struct timespec *deadline, struct err *err)
{
	bool late = false;
	enqueue(host->pool, waiter);
	serve(host->pool);
	if (!waiter->served && check_prospect(host, waiter, err) < 0)
		return -1;
	while (!waiter->served && !waiter->refused && !late)
		late = pthread_cond_timedwait(&waiter->changed, &host->pool->lock, deadline) ==
			ETIMEDOUT;
	if (waiter->served)
		return 0;
	return waiter->refused ? refuse_failed(host, err) : refuse_late(host, waiter, err);
}

static int await_connection(
	struct host *host, struct waiter *waiter, const struct timespec *deadline, struct err *err)
{
	struct pool *pool = host->pool;
	LOCK(&pool->lock);
	if (!await(host, waiter, deadline, err))
		return 0;
	dequeue(pool, waiter);
	pool->refused++;
	serve(pool); /* nobody may wait any more for what is being opened */
	return -1;
}

/* Leases */

/* Closes a connection that is lost; what is idle may be, too. */
static void drop(struct pool *pool, virConnectPtr conn, int place)
{
	(void)virConnectClose(conn);
	LOCK(&pool->lock);
	pool->open_count--;
	pool->epoch++;
	if (place >= 0)
		places_leave(&pool->places, place);
	serve(pool);
}

static unsigned read_epoch(struct pool *pool)
{
	LOCK(&pool->lock);
	return pool->epoch;
}

/* libvirt's loop may not have noticed yet that it is lost: it must answer, then. */
static bool is_alive(struct pool *pool, struct connection *connection, bool sure)
{
	unsigned long version = 0;
	unsigned epoch = read_epoch(pool);
	if (virConnectIsAlive(connection->conn) != 1)
		return false;
	if (connection->epoch == epoch && !sure)
		return true;
	connection->epoch = epoch;
	return !virConnectGetLibVersion(connection->conn, &version) ||
		virConnectIsAlive(connection->conn) == 1;
}

static int take(
	struct host *host, enum lease_class class, bool sure, struct lease *ret, struct err *err)
{
	struct timespec deadline = clock_after_ms(LEASE_WAIT_MS);
	struct pool *pool = host->pool;
	/* As many may be lost as are idle, and the one that was opened then. */
	for (int i = 0; i < pool->places.max + 2; i++) {
		struct waiter waiter = { .class = class };
		cond_init_monotonic(&waiter.changed);
		int rc = await_connection(host, &waiter, &deadline, err);
		(void)pthread_cond_destroy(&waiter.changed);
		if (rc < 0)
			return -1;
		if (is_alive(pool, &waiter.got, sure)) {
			*ret = (struct lease){ host, waiter.got.conn, false, waiter.place,
				waiter.got.epoch };
			return 0;
		}
		drop(pool, waiter.got.conn, waiter.place);
	}
	return err_set(err, ERR_HYPERVISOR_UNAVAILABLE,
		"connections to host '%s' are lost as soon as they are there", host->name);
}

int lease_take(struct host *host, enum lease_class class, struct lease *ret, struct err *err)
{
	return take(host, class, false, ret, err);
}

int lease_take_sure(struct host *host, enum lease_class class, struct lease *ret, struct err *err)
{
	return take(host, class, true, ret, err);
}

void lease_give(struct lease *lease)
{
	if (!lease->conn)
		return;
	struct pool *pool = lease->host->pool;
	if (lease->broken) {
		drop(pool, lease->conn, lease->place);
	} else {
		LOCK(&pool->lock);
		places_leave(&pool->places, lease->place);
		pool->idle[pool->idle_count++] = (struct connection){ lease->conn, lease->epoch };
		serve(pool);
	}
	*lease = (struct lease){ 0 };
}

static bool has_waiter(const struct pool *pool, enum lease_class class)
{
	for (const struct waiter *w = pool->waiters; w; w = w->next)
		if (w->class == (int)class)
			return true;
	return false;
}

bool lease_turn(struct lease *lease, enum lease_class class)
{
	struct pool *pool = lease->host->pool;
	LOCK(&pool->lock);
	if (has_waiter(pool, class) || !places_turn(&pool->places, lease->place, class))
		return false;
	serve(pool);
	return true;
}

int virt_read_as(
	struct host *host, enum lease_class class, virt_read_fn *read, void *data, struct err *err)
{
	for (int attempt = 1;; attempt++) {
		AUTO_LEASE struct lease lease = { 0 };
		if (lease_take(host, class, &lease, err) < 0)
			return -1;
		if (!read(&lease, data, err))
			return 0;
		if (!lease.broken || attempt == 2)
			return -1;
	}
}

int virt_read(struct host *host, virt_read_fn *read, void *data, struct err *err)
{
	return virt_read_as(host, LEASE_READ, read, data, err);
}

/* For good */

/* An attempt that hangs is given up by whoever looks. */
static virConnectPtr await_for_good(
	struct pool *pool, struct waiter *waiter, const atomic_bool *stop)
{
	LOCK(&pool->lock);
	enqueue(pool, waiter);
	while (!waiter->served && !atomic_load(stop)) {
		struct timespec until = clock_after_ms(OPEN_GIVE_UP_MS);
		serve(pool);
		if (!waiter->served)
			(void)pthread_cond_timedwait(&waiter->changed, &pool->lock, &until);
	}
	dequeue(pool, waiter);
	return waiter->got.conn;
}

virConnectPtr virt_connect(struct host *host, const atomic_bool *stop)
{
	for (;;) {
		struct waiter waiter = { .class = FOR_GOOD };
		cond_init_monotonic(&waiter.changed);
		virConnectPtr conn = await_for_good(host->pool, &waiter, stop);
		(void)pthread_cond_destroy(&waiter.changed);
		if (!conn || is_alive(host->pool, &waiter.got, true))
			return conn;
		(void)virConnectClose(conn);
	}
}

void virt_wake(struct host *host)
{
	LOCK(&host->pool->lock);
	for (struct waiter *w = host->pool->waiters; w; w = w->next)
		(void)pthread_cond_signal(&w->changed);
}

/* Hosts */

static void pool_free(struct pool *pool)
{
	if (pool->opener)
		opener_free(pool->opener);
	for (int i = 0; i < pool->idle_count; i++)
		(void)virConnectClose(pool->idle[i].conn);
	(void)pthread_mutex_destroy(&pool->lock);
	free(pool);
}

static struct pool *pool_new(const char *uri, int max)
{
	struct pool *pool = calloc(1, sizeof *pool);
	if (!pool)
		return NULL;
	pool->places.max = max < PLACES_MAX ? max : PLACES_MAX;
	(void)pthread_mutex_init(&pool->lock, NULL);
	pool->opener = opener_new(uri, OPEN_GIVE_UP_MS, on_opened, pool);
	if (pool->opener)
		return pool;
	pool_free(pool);
	return NULL;
}

struct host *virt_host_new(const char *name, const char *uri, int max_connections, int max_long)
{
	struct host *host = calloc(1, sizeof *host);
	if (!host)
		return NULL;
	host->name = strdup(name);
	host->pool = pool_new(uri, max_connections);
	host->gates = host->pool ? gates_new(max_long, host->pool->places.max / 2) : NULL;
	if (host->name && host->gates)
		return host;
	virt_host_free(host);
	return NULL;
}

void virt_host_free(struct host *host)
{
	if (host->pool)
		pool_free(host->pool);
	if (host->gates)
		gates_free(host->gates);
	free(host->name);
	free(host);
}

const char *virt_host_name(const struct host *host)
{
	return host->name;
}

struct host_load virt_host_load(struct host *host)
{
	struct gates_load gates = gates_load(host->gates);
	struct pool *pool = host->pool;
	LOCK(&pool->lock);
	struct host_load load = {
		.opener = opener_load(pool->opener),
		.idle = pool->idle_count,
		.max = pool->places.max,
		.refused = pool->refused,
		.long_works = gates.long_works,
		.max_long = gates.max_long,
		.gates = gates.gates,
		.gates_waiting = gates.waiting,
	};
	load.open = pool->open_count + (load.opener.opening_ms > 0);
	for (int class = 0; class < LEASE_CLASS_COUNT; class ++)
		load.leased[class] = places_count(&pool->places, (enum lease_class) class);
	for (const struct waiter *w = pool->waiters; w; w = w->next)
		load.waiting += w->class != FOR_GOOD;
	return load;
}
