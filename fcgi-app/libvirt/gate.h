/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What is done on a host by one at a time, and what by a few: one mutation per VM, and long work.
 *
 * All functions may be called from any thread.
 */
#include "libvirt/virt.h"

/* Of a host that has room for max_long long works at a time, max_calls of them inside libvirt. */
struct gates *gates_new(int max_long, int max_calls);
void gates_free(struct gates *gates); /* none may be held */

/*
 * Shares the gates below with the other processes that have this file, which is made if need be:
 * the virtgates of one host. Once, before the first gate.
 */
int gate_share(struct hypervisor *hypervisor, const char *path, struct err *err);

/*
 * At most one mutation per VM at a time, from all processes that share the gates; key is the VM's
 * uuid, or the name that is being created. Waits GATE_WAIT_MS at most, then ERR_VM_BUSY; that at
 * once when somebody has had it for so long already, or GATE_WAITERS_MAX wait for it: each of them
 * holds a worker, and one VM that hangs must not have them all.
 *	AUTO_GATE struct gate gate = { 0 };
 *	if (gate_enter(host, uuid, &gate, err) < 0)
 *		return -1;
 */
enum { GATE_WAIT_MS = 2000, GATE_WAITERS_MAX = 16 };
struct gate {
	struct hypervisor *hypervisor;
	struct gate *next;
	int64_t since; /* clock_ms() */
	char key[256];
};
int gate_enter(struct hypervisor *hypervisor, const char *key, struct gate *ret, struct err *err);
/* One kind of work on a VM apart, which may be done beside a mutation: its own gate. */
int gate_enter_for(struct hypervisor *hypervisor, const char *what, const char *uuid,
	struct gate *ret, struct err *err);
/* The same with another patience; 0: without waiting. */
int gate_enter_within(
	struct hypervisor *hypervisor, const char *key, int ms, struct gate *ret, struct err *err);
void gate_leave(struct gate *gate);
#define AUTO_GATE __attribute__((cleanup(gate_leave)))

/*
 * Long work holds its worker for minutes: only so many of them may at a time, so that the rest stay
 * free for short requests. A call is inside libvirt all that time, with a connection, and takes at
 * most half of these. Waits for a place LONG_WAIT_MS at most, then ERR_HOST_BUSY.
 *	AUTO_LONG struct long_work work = { 0 };
 *	if (long_enter(host, LONG_CALL, &work, err) < 0)
 *		return -1;
 */
enum { LONG_WAIT_MS = 2000 };
enum long_kind { LONG_WAIT, LONG_CALL };
struct long_work {
	struct hypervisor *hypervisor; /* NULL: it is none, or has been left */
	enum long_kind kind;
};
int long_enter(
	struct hypervisor *hypervisor, enum long_kind kind, struct long_work *ret, struct err *err);
bool long_try(struct hypervisor *hypervisor, enum long_kind kind,
	struct long_work *ret);         /* without waiting */
void long_rest(struct long_work *work); /* from now on it only waits */
void long_leave(struct long_work *work);
#define AUTO_LONG __attribute__((cleanup(long_leave)))

/* What is held now. */
struct gates_load {
	int gates;   /* one for each VM */
	int waiting; /* for them */
	int long_works, max_long;
};
struct gates_load gates_load(struct gates *gates);
