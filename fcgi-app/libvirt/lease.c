/* SPDX-License-Identifier: MIT */
#include "libvirt/lease.h"

#include "base/clock.h"
#include "base/thread.h"

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
	bool served; /* got and slot are its own */
	bool refused;
	struct connection got;
	int slot;
};

struct leases {
	struct opener *opener;

	pthread_mutex_t lock; /* of what follows; may be held when the opener's is taken */
	struct waiter *waiters;
	struct connection idle[LEASE_SLOTS_MAX + 1]; /* one that is for good was open beside */
	int idle_count;
	int open_count;           /* idle and leased */
	struct lease_slots slots; /* of the leases that are out */
	uint64_t refused;
	unsigned epoch; /* ends with each connection that is lost: the others may be, too */
};

/* Waiting */

static bool has_slot(const struct leases *leases, int class)
{
	return class == FOR_GOOD || lease_slots_has(&leases->slots, (enum lease_class) class);
}

/* Is another connection what somebody waits for? */
static bool wants_another(const struct leases *leases)
{
	for (const struct waiter *w = leases->waiters; w; w = w->next)
		if (has_slot(leases, w->class))
			return true;
	return false;
}

/* Hands out what is idle; the rest is asked of the opener. The lock is held, as below. */
static void serve(struct leases *leases)
{
	for (struct waiter **at = &leases->waiters; *at && leases->idle_count;) {
		struct waiter *w = *at;
		if (!has_slot(leases, w->class)) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->got = leases->idle[--leases->idle_count];
		if (w->class == FOR_GOOD)
			leases->open_count--;
		else
			w->slot = lease_slots_take(&leases->slots, (enum lease_class)w->class);
		w->served = true;
		(void)pthread_cond_signal(&w->changed);
	}
	opener_want(leases->opener, wants_another(leases));
}

static void enqueue(struct leases *leases, struct waiter *waiter)
{
	struct waiter **at = &leases->waiters;
	while (*at)
		at = &(*at)->next;
	*at = waiter;
}

static void dequeue(struct leases *leases, const struct waiter *waiter)
{
	for (struct waiter **at = &leases->waiters; *at; at = &(*at)->next)
		if (*at == waiter) {
			*at = waiter->next;
			return;
		}
}

/* The opener's answer. Whoever waits for a slot still may get one. */
static void on_opened(void *data, virConnectPtr conn)
{
	struct leases *leases = data;
	LOCK(&leases->lock);
	if (conn) {
		leases->idle[leases->idle_count++] = (struct connection){ conn, leases->epoch };
		leases->open_count++;
		serve(leases);
		return;
	}
	for (struct waiter *w = leases->waiters; w; w = w->next) {
		w->refused = w->class != FOR_GOOD && has_slot(leases, w->class);
		if (w->refused)
			(void)pthread_cond_signal(&w->changed);
	}
}

static int refuse_busy(const struct hypervisor *hypervisor, struct err *err)
{
	return err_set(err, ERR_HOST_BUSY,
		"all connections to host '%s' that this may have are busy", hypervisor->name);
}

/* Can a lease be expected, by one who stands in the queue? */
static int check_prospect(
	struct hypervisor *hypervisor, const struct waiter *waiter, struct err *err)
{
	const struct leases *leases = hypervisor->leases;
	enum lease_class class = (enum lease_class)waiter->class;
	if (lease_slots_has(&leases->slots, class))
		return opener_check(leases->opener, LEASE_WAIT_MS, err);
	int ahead = 0;
	for (const struct waiter *w = leases->waiters; w != waiter; w = w->next)
		ahead += w->class == waiter->class;
	if (lease_slots_has_prospect(&leases->slots, class, ahead, LEASE_WAIT_MS))
		return 0;
	return refuse_busy(hypervisor, err);
}

static int refuse_late(struct hypervisor *hypervisor, const struct waiter *waiter, struct err *err)
{
	if (!has_slot(hypervisor->leases, waiter->class))
		return refuse_busy(hypervisor, err);
	return err_set(
		err, ERR_HYPERVISOR_UNAVAILABLE, "host '%s' does not answer", hypervisor->name);
}

/* The attempt that has just failed says why. */
static int refuse_failed(struct hypervisor *hypervisor, struct err *err)
{
	if (!opener_check(hypervisor->leases->opener, LEASE_WAIT_MS, err))
		return err_set(err, ERR_HYPERVISOR_UNAVAILABLE, "host '%s' cannot be reached",
			hypervisor->name);
	return -1;
}

static int await(struct hypervisor *hypervisor, struct waiter *waiter,
	const struct timespec *deadline, struct err *err)
{
	bool late = false;
	enqueue(hypervisor->leases, waiter);
	serve(hypervisor->leases);
	if (!waiter->served && check_prospect(hypervisor, waiter, err) < 0)
		return -1;
	while (!waiter->served && !waiter->refused && !late)
		late = pthread_cond_timedwait(
			       &waiter->changed, &hypervisor->leases->lock, deadline) == ETIMEDOUT;
	if (waiter->served)
		return 0;
	return waiter->refused ? refuse_failed(hypervisor, err)
			       : refuse_late(hypervisor, waiter, err);
}

static int await_connection(struct hypervisor *hypervisor, struct waiter *waiter,
	const struct timespec *deadline, struct err *err)
{
	struct leases *leases = hypervisor->leases;
	LOCK(&leases->lock);
	if (!await(hypervisor, waiter, deadline, err))
		return 0;
	dequeue(leases, waiter);
	leases->refused++;
	serve(leases); /* nobody may wait any more for what is being opened */
	return -1;
}

/* Leases */

/* Closes a connection that is lost; what is idle may be, too. */
static void drop(struct leases *leases, virConnectPtr conn, int slot)
{
	(void)virConnectClose(conn);
	LOCK(&leases->lock);
	leases->open_count--;
	leases->epoch++;
	if (slot >= 0)
		lease_slots_leave(&leases->slots, slot);
	serve(leases);
}

static unsigned read_epoch(struct leases *leases)
{
	LOCK(&leases->lock);
	return leases->epoch;
}

/* libvirt's loop may not have noticed yet that it is lost: it must answer, then. */
static bool is_alive(struct leases *leases, struct connection *connection, bool sure)
{
	unsigned long version = 0;
	unsigned epoch = read_epoch(leases);
	if (virConnectIsAlive(connection->conn) != 1)
		return false;
	if (connection->epoch == epoch && !sure)
		return true;
	connection->epoch = epoch;
	return !virConnectGetLibVersion(connection->conn, &version) ||
		virConnectIsAlive(connection->conn) == 1;
}

static int take(struct hypervisor *hypervisor, enum lease_class class, bool sure, struct lease *ret,
	struct err *err)
{
	struct timespec deadline = clock_after_ms(LEASE_WAIT_MS);
	struct leases *leases = hypervisor->leases;
	/* As many may be lost as are idle, and the one that was opened then. */
	for (int i = 0; i < leases->slots.max + 2; i++) {
		struct waiter waiter = { .class = class };
		cond_init_monotonic(&waiter.changed);
		int rc = await_connection(hypervisor, &waiter, &deadline, err);
		(void)pthread_cond_destroy(&waiter.changed);
		if (rc < 0)
			return -1;
		if (is_alive(leases, &waiter.got, sure)) {
			*ret = (struct lease){ hypervisor, waiter.got.conn, false, waiter.slot,
				waiter.got.epoch };
			return 0;
		}
		drop(leases, waiter.got.conn, waiter.slot);
	}
	return err_set(err, ERR_HYPERVISOR_UNAVAILABLE,
		"connections to host '%s' are lost as soon as they are there", hypervisor->name);
}

int lease_take(
	struct hypervisor *hypervisor, enum lease_class class, struct lease *ret, struct err *err)
{
	return take(hypervisor, class, false, ret, err);
}

int lease_take_sure(
	struct hypervisor *hypervisor, enum lease_class class, struct lease *ret, struct err *err)
{
	return take(hypervisor, class, true, ret, err);
}

void lease_give(struct lease *lease)
{
	if (!lease->conn)
		return;
	struct leases *leases = lease->hypervisor->leases;
	if (lease->broken) {
		drop(leases, lease->conn, lease->slot);
	} else {
		LOCK(&leases->lock);
		lease_slots_leave(&leases->slots, lease->slot);
		leases->idle[leases->idle_count++] =
			(struct connection){ lease->conn, lease->epoch };
		serve(leases);
	}
	*lease = (struct lease){ 0 };
}

static bool has_waiter(const struct leases *leases, enum lease_class class)
{
	for (const struct waiter *w = leases->waiters; w; w = w->next)
		if (w->class == (int)class)
			return true;
	return false;
}

bool lease_turn(struct lease *lease, enum lease_class class)
{
	struct leases *leases = lease->hypervisor->leases;
	LOCK(&leases->lock);
	if (has_waiter(leases, class) || !lease_slots_turn(&leases->slots, lease->slot, class))
		return false;
	serve(leases);
	return true;
}

int lease_read_as(struct hypervisor *hypervisor, enum lease_class class, lease_read_fn *read,
	void *data, struct err *err)
{
	for (int attempt = 1;; attempt++) {
		AUTO_LEASE struct lease lease = { 0 };
		if (lease_take(hypervisor, class, &lease, err) < 0)
			return -1;
		if (!read(&lease, data, err))
			return 0;
		if (!lease.broken || attempt == 2)
			return -1;
	}
}

int lease_read(struct hypervisor *hypervisor, lease_read_fn *read, void *data, struct err *err)
{
	return lease_read_as(hypervisor, LEASE_READ, read, data, err);
}

/* For good */

/* An attempt that hangs is given up by whoever looks. */
static virConnectPtr await_for_good(
	struct leases *leases, struct waiter *waiter, const atomic_bool *stop)
{
	LOCK(&leases->lock);
	enqueue(leases, waiter);
	while (!waiter->served && !atomic_load(stop)) {
		struct timespec until = clock_after_ms(OPEN_GIVE_UP_MS);
		serve(leases);
		if (!waiter->served)
			(void)pthread_cond_timedwait(&waiter->changed, &leases->lock, &until);
	}
	dequeue(leases, waiter);
	return waiter->got.conn;
}

virConnectPtr lease_connect(struct hypervisor *hypervisor, const atomic_bool *stop)
{
	for (;;) {
		struct waiter waiter = { .class = FOR_GOOD };
		cond_init_monotonic(&waiter.changed);
		virConnectPtr conn = await_for_good(hypervisor->leases, &waiter, stop);
		(void)pthread_cond_destroy(&waiter.changed);
		if (!conn || is_alive(hypervisor->leases, &waiter.got, true))
			return conn;
		(void)virConnectClose(conn);
	}
}

void lease_wake(struct hypervisor *hypervisor)
{
	LOCK(&hypervisor->leases->lock);
	for (struct waiter *w = hypervisor->leases->waiters; w; w = w->next)
		(void)pthread_cond_signal(&w->changed);
}

/* All of a hypervisor */

void leases_free(struct leases *leases)
{
	if (leases->opener)
		opener_free(leases->opener);
	for (int i = 0; i < leases->idle_count; i++)
		(void)virConnectClose(leases->idle[i].conn);
	(void)pthread_mutex_destroy(&leases->lock);
	free(leases);
}

struct leases *leases_new(const char *uri, int max)
{
	struct leases *leases = calloc(1, sizeof *leases);
	if (!leases)
		return NULL;
	leases->slots.max = max < LEASE_SLOTS_MAX ? max : LEASE_SLOTS_MAX;
	(void)pthread_mutex_init(&leases->lock, NULL);
	leases->opener = opener_new(uri, OPEN_GIVE_UP_MS, on_opened, leases);
	if (leases->opener)
		return leases;
	leases_free(leases);
	return NULL;
}

int leases_max(const struct leases *leases)
{
	return leases->slots.max;
}

struct leases_load leases_load(struct leases *leases)
{
	LOCK(&leases->lock);
	struct leases_load load = {
		.opener = opener_load(leases->opener),
		.idle = leases->idle_count,
		.max = leases->slots.max,
		.refused = leases->refused,
	};
	load.open = leases->open_count + (load.opener.opening_ms > 0);
	for (int class = 0; class < LEASE_CLASS_COUNT; class ++)
		load.leased[class] = lease_slots_count(&leases->slots, (enum lease_class) class);
	for (const struct waiter *w = leases->waiters; w; w = w->next)
		load.waiting += w->class != FOR_GOOD;
	return load;
}
