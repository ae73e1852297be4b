/* SPDX-License-Identifier: MIT */
#include "pool.h"

#include "gate.h"

#include <errno.h>
#include <string.h>

/* A silent daemon is given up after KEEPALIVE_SECONDS * (KEEPALIVE_COUNT + 1). */
enum { KEEPALIVE_SECONDS = 5, KEEPALIVE_COUNT = 3 };

enum { CONNECTIONS_MAX = 16 };

struct pool {
	int max;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	virConnectPtr idle[CONNECTIONS_MAX];
	int idle_count;
	int open_count; /* idle, leased, and the one being opened */
	bool opening;   /* opening has no timeout of its own, so one at a time tries */
};

/* Hosts */

static struct pool *pool_new(int max)
{
	struct pool *pool = calloc(1, sizeof *pool);
	if (!pool)
		return NULL;
	pool->max = max < CONNECTIONS_MAX ? max : CONNECTIONS_MAX;
	(void)pthread_mutex_init(&pool->lock, NULL);
	cond_init_monotonic(&pool->changed);
	return pool;
}

static void pool_free(struct pool *pool)
{
	for (int i = 0; i < pool->idle_count; i++)
		(void)virConnectClose(pool->idle[i]);
	(void)pthread_cond_destroy(&pool->changed);
	(void)pthread_mutex_destroy(&pool->lock);
	free(pool);
}

struct host *virt_host_new(const char *name, const char *uri, int max_connections, int max_long)
{
	struct host *host = calloc(1, sizeof *host);
	if (!host)
		return NULL;
	host->name = strdup(name);
	host->uri = strdup(uri);
	host->pool = pool_new(max_connections);
	host->gates = host->pool ? gates_new(max_long, host->pool->max / 2) : NULL;
	if (host->name && host->uri && host->gates)
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
	free(host->uri);
	free(host);
}

const char *virt_host_name(const struct host *host)
{
	return host->name;
}

/* Leases */

static void forget_connection(struct pool *pool)
{
	LOCK(&pool->lock);
	pool->open_count--;
	(void)pthread_cond_signal(&pool->changed);
}

static void finish_opening(struct pool *pool)
{
	LOCK(&pool->lock);
	pool->opening = false;
	(void)pthread_cond_broadcast(&pool->changed);
}

virConnectPtr virt_connect(const struct host *host)
{
	virConnectPtr conn = virConnectOpen(host->uri[0] ? host->uri : NULL);
	if (conn)
		/* In-process drivers have none; the answer does not matter. */
		(void)virConnectSetKeepAlive(conn, KEEPALIVE_SECONDS, KEEPALIVE_COUNT);
	return conn;
}

/* A slot is reserved and the opener's place is ours; the lock is not held. */
static int open_connection(struct host *host, struct lease *ret, struct err *err)
{
	virConnectPtr conn = virt_connect(host);
	struct lease lease = { .host = host, .conn = conn };
	if (!conn)
		(void)virt_fail(&lease, VIRT_READ, err);
	finish_opening(host->pool);
	if (!conn) {
		forget_connection(host->pool);
		return -1;
	}
	*ret = lease;
	return 0;
}

enum turn { TURN_IDLE, TURN_OPEN, TURN_LATE };

/* Waits for an idle connection or for leave to open one. */
static enum turn await_turn(struct pool *pool, const struct timespec *deadline,
	virConnectPtr *ret_conn, bool *ret_opening)
{
	LOCK(&pool->lock);
	for (bool late = false;;) {
		if (pool->idle_count) {
			*ret_conn = pool->idle[--pool->idle_count];
			return TURN_IDLE;
		}
		if (pool->open_count < pool->max && !pool->opening) {
			pool->open_count++;
			pool->opening = true;
			return TURN_OPEN;
		}
		*ret_opening = pool->opening;
		if (late)
			return TURN_LATE;
		late = pthread_cond_timedwait(&pool->changed, &pool->lock, deadline) == ETIMEDOUT;
	}
}

int lease_take(struct host *host, struct lease *ret, struct err *err)
{
	struct timespec deadline = clock_after_ms(LEASE_WAIT_MS);
	struct pool *pool = host->pool;
	for (;;) {
		virConnectPtr conn = NULL;
		bool opening = false;
		switch (await_turn(pool, &deadline, &conn, &opening)) {
		case TURN_IDLE:
			if (virConnectIsAlive(conn) == 1) {
				*ret = (struct lease){ .host = host, .conn = conn };
				return 0;
			}
			(void)virConnectClose(conn);
			forget_connection(pool);
			break;
		case TURN_OPEN:
			return open_connection(host, ret, err);
		case TURN_LATE:
			if (opening)
				return err_set(err, ERR_HYPERVISOR_UNAVAILABLE,
					"host '%s' does not answer", host->name);
			return err_set(err, ERR_HOST_BUSY,
				"all %d connections to host '%s' are busy", pool->max, host->name);
		}
	}
}

void lease_give(struct lease *lease)
{
	if (!lease->conn)
		return;
	struct pool *pool = lease->host->pool;
	if (lease->broken) {
		(void)virConnectClose(lease->conn);
		forget_connection(pool);
	} else {
		LOCK(&pool->lock);
		pool->idle[pool->idle_count++] = lease->conn;
		(void)pthread_cond_signal(&pool->changed);
	}
	*lease = (struct lease){ 0 };
}

int virt_read(struct host *host, virt_read_fn *read, void *data, struct err *err)
{
	for (int attempt = 1;; attempt++) {
		AUTO_LEASE struct lease lease = { 0 };
		if (lease_take(host, &lease, err) < 0)
			return -1;
		if (!read(&lease, data, err))
			return 0;
		if (!lease.broken || attempt == 2)
			return -1;
	}
}

struct host_load virt_host_load(struct host *host)
{
	struct gates_load gates = gates_load(host->gates);
	struct pool *pool = host->pool;
	LOCK(&pool->lock);
	return (struct host_load){
		.open = pool->open_count,
		.idle = pool->idle_count,
		.max = pool->max,
		.long_works = gates.long_works,
		.max_long = gates.max_long,
		.gates = gates.gates,
	};
}
