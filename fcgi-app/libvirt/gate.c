/* SPDX-License-Identifier: MIT */
#include "libvirt/gate.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct gates {
	int file; /* that other processes lock, too; -1: there is none */
	int max_long;
	int max_calls;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	struct gate *held;
	struct gate *waiting;

	pthread_cond_t long_changed;
	int long_count;
	int long_calls; /* of them */
};

struct gates *gates_new(int max_long, int max_calls)
{
	struct gates *gates = calloc(1, sizeof *gates);
	if (!gates)
		return NULL;
	gates->file = -1;
	gates->max_long = max_long > 1 ? max_long : 1;
	gates->max_calls = max_calls > 1 ? max_calls : 1;
	(void)pthread_mutex_init(&gates->lock, NULL);
	cond_init_monotonic(&gates->changed);
	cond_init_monotonic(&gates->long_changed);
	return gates;
}

void gates_free(struct gates *gates)
{
	if (gates->file >= 0)
		(void)close(gates->file);
	(void)pthread_cond_destroy(&gates->changed);
	(void)pthread_cond_destroy(&gates->long_changed);
	(void)pthread_mutex_destroy(&gates->lock);
	free(gates);
}

/* The gate */

int gate_share(struct hypervisor *hypervisor, const char *path, struct err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(
			err, ERR_INTERNAL, "'%s' cannot be opened: %s", path, strerror(errno));
	hypervisor->gates->file = fd;
	return 0;
}

/*
 * A key is a byte of the file, which the kernel lets go when the process ends. The locks are of the
 * open file and not of the thread, so they keep only other processes off. false: one has it.
 */
static bool lock_key(const struct gates *gates, const char *key, short type)
{
	char hash[HASH_SIZE];
	enum { DIGITS = 15 }; /* 60 bits: what an off_t holds */
	if (gates->file < 0)
		return true;
	hash_text(key, strlen(key), hash);
	hash[DIGITS] = '\0';
	struct flock lock = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)strtoull(hash, NULL, 16),
		.l_len = 1,
	};
	return !fcntl(gates->file, F_OFD_SETLK, &lock) || (errno != EAGAIN && errno != EACCES);
}

/* Nobody tells when another process lets go. */
static bool await_key(const struct gates *gates, const char *key, const struct timespec *deadline)
{
	static const struct timespec pause = { .tv_nsec = 5000000 };
	while (!lock_key(gates, key, F_WRLCK)) {
		struct timespec now = clock_after_ms(0);
		if (now.tv_sec > deadline->tv_sec ||
			(now.tv_sec == deadline->tv_sec && now.tv_nsec >= deadline->tv_nsec))
			return false;
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	}
	return true;
}

static struct gate *find_holder(const struct gates *gates, const char *key)
{
	struct gate *g = gates->held;
	while (g && strcmp(g->key, key) != 0)
		g = g->next;
	return g;
}

static void push(struct gate **list, struct gate *gate)
{
	gate->next = *list;
	*list = gate;
}

static void pull(struct gate **list, struct gate *gate)
{
	while (*list != gate)
		list = &(*list)->next;
	*list = gate->next;
}

/* Is it worth waiting for? Who has it for so long already will hardly leave it sooner. */
static bool has_prospect(const struct gates *gates, const struct gate *holder, int ms)
{
	int waiting = 0;
	for (const struct gate *g = gates->waiting; g; g = g->next)
		waiting += !strcmp(g->key, holder->key);
	return clock_ms() - holder->since < ms && waiting < GATE_WAITERS_MAX;
}

/* Until nobody has it here. */
static bool await_here(
	struct gates *gates, struct gate *gate, int ms, const struct timespec *deadline)
{
	const struct gate *holder = find_holder(gates, gate->key);
	if (!holder)
		return true;
	if (!has_prospect(gates, holder, ms))
		return false;
	bool late = false;
	push(&gates->waiting, gate);
	while (!late && find_holder(gates, gate->key))
		late = pthread_cond_timedwait(&gates->changed, &gates->lock, deadline) == ETIMEDOUT;
	pull(&gates->waiting, gate);
	return !find_holder(gates, gate->key);
}

static bool enter_here(struct hypervisor *hypervisor, const char *key, int ms,
	const struct timespec *deadline, struct gate *ret)
{
	struct gates *gates = hypervisor->gates;
	LOCK(&gates->lock);
	(void)snprintf(ret->key, sizeof ret->key, "%s", key);
	if (!await_here(gates, ret, ms, deadline))
		return false;
	ret->hypervisor = hypervisor;
	ret->since = clock_ms();
	push(&gates->held, ret);
	return true;
}

static void leave_here(struct gate *gate)
{
	struct gates *gates = gate->hypervisor->gates;
	LOCK(&gates->lock);
	pull(&gates->held, gate);
	gate->hypervisor = NULL;
	(void)pthread_cond_broadcast(&gates->changed);
}

int gate_enter_within(
	struct hypervisor *hypervisor, const char *key, int ms, struct gate *ret, struct err *err)
{
	struct timespec deadline = clock_after_ms(ms);
	bool entered = enter_here(hypervisor, key, ms, &deadline, ret);
	if (entered && await_key(hypervisor->gates, key, &deadline))
		return 0;
	if (entered)
		leave_here(ret);
	return err_set(err, ERR_VM_BUSY, "another operation on this VM is running");
}

int gate_enter(struct hypervisor *hypervisor, const char *key, struct gate *ret, struct err *err)
{
	return gate_enter_within(hypervisor, key, GATE_WAIT_MS, ret, err);
}

int gate_enter_for(struct hypervisor *hypervisor, const char *what, const char *uuid,
	struct gate *ret, struct err *err)
{
	char key[sizeof ret->key];
	(void)snprintf(key, sizeof key, "%s:%s", what, uuid);
	return gate_enter(hypervisor, key, ret, err);
}

void gate_leave(struct gate *gate)
{
	if (!gate->hypervisor)
		return;
	(void)lock_key(gate->hypervisor->gates, gate->key, F_UNLCK);
	leave_here(gate);
}

/* Long work */

static bool take_place(struct hypervisor *hypervisor, enum long_kind kind, struct long_work *ret)
{
	struct gates *gates = hypervisor->gates;
	if (gates->long_count >= gates->max_long ||
		(kind == LONG_CALL && gates->long_calls >= gates->max_calls))
		return false;
	gates->long_count++;
	gates->long_calls += kind == LONG_CALL;
	*ret = (struct long_work){ hypervisor, kind };
	return true;
}

bool long_try(struct hypervisor *hypervisor, enum long_kind kind, struct long_work *ret)
{
	LOCK(&hypervisor->gates->lock);
	return take_place(hypervisor, kind, ret);
}

int long_enter(
	struct hypervisor *hypervisor, enum long_kind kind, struct long_work *ret, struct err *err)
{
	struct timespec deadline = clock_after_ms(LONG_WAIT_MS);
	struct gates *gates = hypervisor->gates;
	LOCK(&gates->lock);
	for (bool late = false; !take_place(hypervisor, kind, ret);) {
		if (late)
			return err_set(err, ERR_HOST_BUSY,
				"as much long work as host '%s' may have at a time is under way",
				hypervisor->name);
		late = pthread_cond_timedwait(&gates->long_changed, &gates->lock, &deadline) ==
			ETIMEDOUT;
	}
	return 0;
}

void long_rest(struct long_work *work)
{
	struct gates *gates = work->hypervisor->gates;
	LOCK(&gates->lock);
	gates->long_calls -= work->kind == LONG_CALL;
	work->kind = LONG_WAIT;
	(void)pthread_cond_broadcast(&gates->long_changed);
}

void long_leave(struct long_work *work)
{
	if (!work->hypervisor)
		return;
	struct gates *gates = work->hypervisor->gates;
	LOCK(&gates->lock);
	gates->long_count--;
	gates->long_calls -= work->kind == LONG_CALL;
	(void)pthread_cond_broadcast(&gates->long_changed);
	work->hypervisor = NULL;
}

struct gates_load gates_load(struct gates *gates)
{
	LOCK(&gates->lock);
	struct gates_load load = { .long_works = gates->long_count, .max_long = gates->max_long };
	for (const struct gate *g = gates->held; g; g = g->next)
		load.gates++;
	for (const struct gate *g = gates->waiting; g; g = g->next)
		load.waiting++;
	return load;
}
