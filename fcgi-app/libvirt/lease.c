/* SPDX-License-Identifier: MIT */
#include "libvirt/lease.h"

#include "base/clock.h"
#include "base/thread.h"
#include "base/wait.h"

#include <string.h>
#include <sys/queue.h>

/* A daemon that hangs for longer than its keepalive allows may have been replaced. */
enum { OPEN_GIVE_UP_MS = 30000 };

enum { FOR_GOOD = LEASE_CLASS_COUNT }; /* beside the classes: lease_connect() */

struct connection {
	virConnectPtr conn;
	unsigned epoch; /* of leases: it has answered in this one */
};

struct waiter {
	TAILQ_ENTRY(waiter) entry;
	pthread_cond_t changed;
	int class;   /* enum lease_class, or FOR_GOOD */
	bool served; /* it has left the queue; what follows `refused` is set */
	bool refused;
	struct connection got;
	int slot;
	unsigned epoch; /* when it was served */
};

struct leases {
	struct opener *opener;

	pthread_mutex_t lock; /* of what follows; the opener's lock may be taken inside it */
	TAILQ_HEAD(waiter_queue, waiter) waiters;
	struct connection idle[LEASE_SLOTS_MAX + 1]; /* one for good may have been open beside */
	int idle_count;
	int open_count;  /* idle and leased */
	bool wants_more; /* as the opener was last told */
	struct lease_slots slots;
	uint64_t refused;
	unsigned epoch; /* ends with each connection that is lost: the others may be lost, too */
};

/* The queue */

static bool has_slot(const struct leases *leases, const struct waiter *waiter)
{
	return waiter->class == FOR_GOOD ||
		lease_slots_has(&leases->slots, (enum lease_class)waiter->class);
}

/*
 * Gives idle connections to those who wait, in their order, and asks the opener for another one if
 * that is all that somebody lacks. The lock is held.
 */
static void serve_waiters(struct leases *leases)
{
	bool wants_more = false;
	struct waiter *next;
	for (struct waiter *w = TAILQ_FIRST(&leases->waiters); w; w = next) {
		next = TAILQ_NEXT(w, entry);
		if (!has_slot(leases, w))
			continue;
		wants_more = !leases->idle_count;
		if (wants_more)
			break;
		TAILQ_REMOVE(&leases->waiters, w, entry);
		w->got = leases->idle[--leases->idle_count];
		w->epoch = leases->epoch;
		if (w->class == FOR_GOOD)
			leases->open_count--;
		else
			w->slot = lease_slots_take(&leases->slots, (enum lease_class)w->class);
		w->served = true;
		(void)pthread_cond_signal(&w->changed);
	}
	if (wants_more || leases->wants_more)
		opener_want(leases->opener, wants_more);
	leases->wants_more = wants_more;
}

/* The opener's answer. Those who wait for a slot still may get one, and go on waiting. */
static void on_opened(void *data, virConnectPtr conn)
{
	struct leases *leases = data;
	struct waiter *w;
	LOCK(&leases->lock);
	if (conn) {
		leases->idle[leases->idle_count++] = (struct connection){ conn, leases->epoch };
		leases->open_count++;
		serve_waiters(leases);
		return;
	}
	TAILQ_FOREACH(w, &leases->waiters, entry) {
		w->refused = w->class != FOR_GOOD && has_slot(leases, w);
		if (w->refused)
			(void)pthread_cond_signal(&w->changed);
	}
}

static int fail_busy(const struct hypervisor *hypervisor, struct err *err)
{
	return err_set(err, ERR_HOST_BUSY,
		"all connections to host '%s' for this kind of request are busy", hypervisor->name);
}

/* Can a lease be expected in time, by one who stands in the queue? */
static int check_prospect(
	const struct hypervisor *hypervisor, const struct waiter *waiter, struct err *err)
{
	const struct leases *leases = hypervisor->leases;
	const struct waiter *w;
	int ahead = 0;
	if (has_slot(leases, waiter))
		return opener_check(leases->opener, LEASE_WAIT_MS, err);
	TAILQ_FOREACH(w, &leases->waiters, entry) {
		if (w == waiter)
			break;
		ahead += w->class == waiter->class;
	}
	if (lease_slots_has_prospect(
		    &leases->slots, (enum lease_class)waiter->class, ahead, LEASE_WAIT_MS))
		return 0;
	return fail_busy(hypervisor, err);
}

/* Why a request that has waited gets no lease. */
static int fail_waiter(
	const struct hypervisor *hypervisor, const struct waiter *waiter, struct err *err)
{
	if (waiter->refused) {
		/* The attempt that has just failed has the reason, unless another has begun. */
		if (opener_check(hypervisor->leases->opener, LEASE_WAIT_MS, err) < 0)
			return -1;
		return err_set(err, ERR_HYPERVISOR_UNAVAILABLE, "host '%s' cannot be reached",
			hypervisor->name);
	}
	if (!has_slot(hypervisor->leases, waiter))
		return fail_busy(hypervisor, err);
	return err_set(
		err, ERR_HYPERVISOR_UNAVAILABLE, "host '%s' does not answer", hypervisor->name);
}

static int await_connection(
	struct hypervisor *hypervisor, struct waiter *waiter, int64_t until, struct err *err)
{
	static const char *const classes[] = {
		[LEASE_READ] = "read", [LEASE_CALL] = "call", [LEASE_KILL] = "kill"
	};
	struct leases *leases = hypervisor->leases;
	AUTO_WAIT struct wait wait = wait_begin("connection", classes[waiter->class]);
	LOCK(&leases->lock);
	TAILQ_INSERT_TAIL(&leases->waiters, waiter, entry);
	serve_waiters(leases);
	int rc = waiter->served ? 0 : check_prospect(hypervisor, waiter, err);
	while (!rc && !waiter->served && !waiter->refused &&
		wait_on(&wait, &waiter->changed, &leases->lock, until))
		;
	if (waiter->served)
		return 0;
	if (!rc)
		(void)fail_waiter(hypervisor, waiter, err);
	TAILQ_REMOVE(&leases->waiters, waiter, entry);
	leases->refused++;
	serve_waiters(leases); /* perhaps nobody waits any more for what is being opened */
	return -1;
}

/* Leases */

/*
 * libvirt may not have noticed yet that the connection is lost. So it must answer a call, if it has
 * not done so since another connection was lost, or if the caller wants to be sure.
 */
static bool is_alive(struct connection *connection, unsigned epoch, bool checked)
{
	unsigned long version = 0;
	if (virConnectIsAlive(connection->conn) != 1)
		return false;
	if (connection->epoch == epoch && !checked)
		return true;
	connection->epoch = epoch;
	return !virConnectGetLibVersion(connection->conn, &version) ||
		virConnectIsAlive(connection->conn) == 1;
}

static int take_lease(struct hypervisor *hypervisor, enum lease_class class, bool checked,
	struct lease *ret, struct err *err)
{
	int64_t until = clock_ms() + LEASE_WAIT_MS;
	/* All that were idle may be lost, and the one that is opened then. */
	for (int i = 0; i < hypervisor->leases->slots.max + 2; i++) {
		struct waiter waiter = { .class = class };
		cond_init_monotonic(&waiter.changed);
		int rc = await_connection(hypervisor, &waiter, until, err);
		(void)pthread_cond_destroy(&waiter.changed);
		if (rc < 0)
			return -1;
		bool alive = is_alive(&waiter.got, waiter.epoch, checked);
		*ret = (struct lease){ hypervisor, waiter.got.conn, !alive, waiter.slot,
			waiter.got.epoch };
		if (alive)
			return 0;
		lease_give(ret);
	}
	return err_set(err, ERR_HYPERVISOR_UNAVAILABLE,
		"connections to host '%s' are lost as soon as they are opened", hypervisor->name);
}

int lease_take(
	struct hypervisor *hypervisor, enum lease_class class, struct lease *ret, struct err *err)
{
	return take_lease(hypervisor, class, false, ret, err);
}

int lease_take_checked(
	struct hypervisor *hypervisor, enum lease_class class, struct lease *ret, struct err *err)
{
	return take_lease(hypervisor, class, true, ret, err);
}

void lease_give(struct lease *lease)
{
	if (!lease->conn)
		return;
	struct leases *leases = lease->hypervisor->leases;
	if (lease->broken)
		(void)virConnectClose(lease->conn);
	LOCK(&leases->lock);
	lease_slots_leave(&leases->slots, lease->slot);
	if (lease->broken) {
		leases->open_count--;
		leases->epoch++;
	} else {
		leases->idle[leases->idle_count++] =
			(struct connection){ lease->conn, lease->epoch };
	}
	serve_waiters(leases);
	*lease = (struct lease){ 0 };
}

bool lease_change_class(struct lease *lease, enum lease_class class)
{
	struct leases *leases = lease->hypervisor->leases;
	const struct waiter *w;
	LOCK(&leases->lock);
	TAILQ_FOREACH(w, &leases->waiters, entry)
		if (w->class == (int)class)
			return false; /* it came first */
	if (!lease_slots_change_class(&leases->slots, lease->slot, class))
		return false;
	serve_waiters(leases);
	return true;
}

int lease_retry(struct hypervisor *hypervisor, enum lease_class class, lease_read_fn *read,
	void *data, struct lease *lease, struct err *err)
{
	for (int attempt = 1;; attempt++) {
		if (!lease->conn && lease_take(hypervisor, class, lease, err) < 0)
			return -1;
		if (!read(lease, data, err))
			return 0;
		if (!lease->broken || attempt == 2)
			return -1;
		lease_give(lease);
	}
}

int lease_read_as(struct hypervisor *hypervisor, enum lease_class class, lease_read_fn *read,
	void *data, struct err *err)
{
	AUTO_LEASE struct lease lease = { 0 };
	return lease_retry(hypervisor, class, read, data, &lease, err);
}

int lease_read(struct hypervisor *hypervisor, lease_read_fn *read, void *data, struct err *err)
{
	return lease_read_as(hypervisor, LEASE_READ, read, data, err);
}

/* Connections for good */

/* Looks again now and then: the opener gives up a hung attempt only when it is asked. */
static virConnectPtr await_own_connection(
	struct leases *leases, struct waiter *waiter, const atomic_bool *stop)
{
	LOCK(&leases->lock);
	TAILQ_INSERT_TAIL(&leases->waiters, waiter, entry);
	while (!waiter->served && !atomic_load(stop)) {
		struct timespec until = clock_after_ms(OPEN_GIVE_UP_MS);
		serve_waiters(leases);
		if (!waiter->served)
			(void)pthread_cond_timedwait(&waiter->changed, &leases->lock, &until);
	}
	if (!waiter->served)
		TAILQ_REMOVE(&leases->waiters, waiter, entry);
	return waiter->got.conn;
}

virConnectPtr lease_connect(struct hypervisor *hypervisor, const atomic_bool *stop)
{
	for (;;) {
		struct waiter waiter = { .class = FOR_GOOD };
		cond_init_monotonic(&waiter.changed);
		virConnectPtr conn = await_own_connection(hypervisor->leases, &waiter, stop);
		(void)pthread_cond_destroy(&waiter.changed);
		if (!conn || is_alive(&waiter.got, waiter.epoch, true))
			return conn;
		(void)virConnectClose(conn);
	}
}

void lease_wake(struct hypervisor *hypervisor)
{
	struct waiter *w;
	LOCK(&hypervisor->leases->lock);
	TAILQ_FOREACH(w, &hypervisor->leases->waiters, entry)
		(void)pthread_cond_signal(&w->changed);
}

/* All leases of a hypervisor */

struct leases *leases_new(const char *uri, int max)
{
	struct leases *leases = calloc(1, sizeof *leases);
	if (!leases)
		return NULL;
	leases->slots.max = max < LEASE_SLOTS_MAX ? max : LEASE_SLOTS_MAX;
	TAILQ_INIT(&leases->waiters);
	(void)pthread_mutex_init(&leases->lock, NULL);
	leases->opener = opener_new(uri, OPEN_GIVE_UP_MS, on_opened, leases);
	if (leases->opener)
		return leases;
	leases_free(leases);
	return NULL;
}

void leases_free(struct leases *leases)
{
	if (leases->opener)
		opener_free(leases->opener);
	for (int i = 0; i < leases->idle_count; i++)
		(void)virConnectClose(leases->idle[i].conn);
	(void)pthread_mutex_destroy(&leases->lock);
	free(leases);
}

int leases_max(const struct leases *leases)
{
	return leases->slots.max;
}

unsigned long lease_libvirt_version(const struct lease *lease)
{
	return opener_libvirt_version(lease->hypervisor->leases->opener);
}

struct leases_load leases_load(struct leases *leases)
{
	const struct waiter *w;
	LOCK(&leases->lock);
	struct leases_load load = {
		.opener = opener_load(leases->opener),
		.idle = leases->idle_count,
		.max = leases->slots.max,
		.refused = leases->refused,
	};
	load.open = leases->open_count + (load.opener.opening_ms > 0);
	memcpy(load.leased, leases->slots.counts, sizeof load.leased);
	TAILQ_FOREACH(w, &leases->waiters, entry) {
		load.waiting += w->class != FOR_GOOD;
	}
	return load;
}
