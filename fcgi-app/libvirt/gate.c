/* SPDX-License-Identifier: MIT */
#include "libvirt/gate.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/thread.h"
#include "base/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

LIST_HEAD(gate_list, gate);

struct gates {
	int file; /* the file that other processes lock too; -1: there is none */

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	struct gate_list held;
	struct gate_list waiting;
};

struct gates *gates_new(void)
{
	struct gates *gates = calloc(1, sizeof *gates);
	if (!gates)
		return NULL;
	gates->file = -1;
	(void)pthread_mutex_init(&gates->lock, NULL);
	cond_init_monotonic(&gates->changed);
	return gates;
}

void gates_free(struct gates *gates)
{
	if (gates->file >= 0)
		(void)close(gates->file);
	(void)pthread_cond_destroy(&gates->changed);
	(void)pthread_mutex_destroy(&gates->lock);
	free(gates);
}

int gate_share(struct hypervisor *hypervisor, const char *path, struct err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(
			err, ERR_INTERNAL, "'%s' cannot be opened: %s", path, strerror(errno));
	hypervisor->gates->file = fd;
	return 0;
}

/* Between processes */

/*
 * Locks or unlocks (F_WRLCK, F_RDLCK, F_UNLCK) the byte of the file that stands for the key. The
 * lock belongs to the open file and not to the thread (F_OFD_SETLK), so it excludes other processes
 * only, and all threads that share a gate have one lock. Returns false if another process has it.
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

/* Tries again and again: nothing reports that another process has unlocked a byte. */
static bool await_other_processes(
	const struct gates *gates, const struct gate *gate, struct wait *wait, int64_t until)
{
	enum { PAUSE_MS = 5 };
	short type = gate->shared ? F_RDLCK : F_WRLCK;
	bool locked = lock_key(gates, gate->key, type);
	while (!locked && wait_sleep(wait, PAUSE_MS, until))
		locked = lock_key(gates, gate->key, type);
	return locked;
}

/* Between threads */

/* The gate that keeps the thread with the wanted gate out; NULL: none. */
static const struct gate *gate_holder(const struct gates *gates, const struct gate *wanted)
{
	const struct gate *gate;
	LIST_FOREACH(gate, &gates->held, entry)
		if (!strcmp(gate->key, wanted->key) && !(gate->shared && wanted->shared))
			return gate;
	return NULL;
}

static bool await_other_threads(
	struct gates *gates, struct gate *gate, int ms, struct wait *wait, int64_t until)
{
	LOCK(&gates->lock);
	const struct gate *holder = gate_holder(gates, gate);
	/* A holder that has had it for longer than this wait will hardly leave it in time. */
	if (holder && clock_ms() - holder->since < ms) {
		LIST_INSERT_HEAD(&gates->waiting, gate, entry);
		while (holder && wait_on(wait, &gates->changed, &gates->lock, until))
			holder = gate_holder(gates, gate);
		LIST_REMOVE(gate, entry);
	}
	if (holder)
		return false;
	gate->since = clock_ms();
	LIST_INSERT_HEAD(&gates->held, gate, entry);
	return true;
}

static int enter_either(
	struct hypervisor *hypervisor, const char *key, int ms, struct gate *ret, struct err *err)
{
	struct gates *gates = hypervisor->gates;
	int64_t until = clock_ms() + ms;
	(void)snprintf(ret->key, sizeof ret->key, "%s", key);
	AUTO_WAIT struct wait wait = wait_begin("lock", ret->key);
	if (await_other_threads(gates, ret, ms, &wait, until)) {
		ret->hypervisor = hypervisor;
		if (await_other_processes(gates, ret, &wait, until))
			return 0;
		gate_leave(ret);
	}
	return err_set(err, ERR_VM_BUSY, "another operation on this VM is running");
}

int gate_enter_within(
	struct hypervisor *hypervisor, const char *key, int ms, struct gate *ret, struct err *err)
{
	ret->shared = false;
	return enter_either(hypervisor, key, ms, ret, err);
}

int gate_enter_shared(
	struct hypervisor *hypervisor, const char *key, int ms, struct gate *ret, struct err *err)
{
	ret->shared = true;
	return enter_either(hypervisor, key, ms, ret, err);
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
	struct gates *gates = gate->hypervisor->gates;
	LOCK(&gates->lock);
	LIST_REMOVE(gate, entry);
	gate->shared = false; /* others with the key may share it, and their lock is the same */
	if (!gate_holder(gates, gate))
		(void)lock_key(gates, gate->key, F_UNLCK);
	gate->hypervisor = NULL;
	(void)pthread_cond_broadcast(&gates->changed);
}

struct gates_load gates_load(struct gates *gates)
{
	struct gates_load load = { 0 };
	const struct gate *gate;
	LOCK(&gates->lock);
	LIST_FOREACH(gate, &gates->held, entry) {
		load.held++;
	}
	LIST_FOREACH(gate, &gates->waiting, entry) {
		load.waiting++;
	}
	return load;
}
