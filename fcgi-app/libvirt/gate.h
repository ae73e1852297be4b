/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A gate is a lock with a key. For each key there is one holder at a time, or several that entered
 * with gate_enter_shared(). Most keys are uuids of VMs, so that a VM sees one change at a time.
 *
 * The lock holds between the threads of this process, and between all processes that share a file
 * with gate_share(): those that serve one host. The kernel releases a process's gates when it ends.
 *
 * All functions may be called from any thread.
 */
#include "libvirt/virt.h"

#include <sys/queue.h>

/* All gates of a hypervisor, for hypervisor.c alone. NULL: no memory. */
struct gates *gates_new(void);
void gates_free(struct gates *gates); /* none may be held */

/*
 * Shares the gates with all processes that call this with the same path; creates the file if it
 * does not exist. Call it once, before the first gate. ERR_INTERNAL.
 */
int gate_share(struct hypervisor *hypervisor, const char *path, struct err *err);

struct gate {
	struct hypervisor *hypervisor; /* NULL: not held */
	LIST_ENTRY(gate) entry;
	int64_t since; /* clock_ms() when it was entered */
	bool shared;
	char key[256];
};

/*
 * Waits at most GATE_WAIT_MS for the gate, then ERR_VM_BUSY. ERR_VM_BUSY before that if somebody
 * has had it for that long already, or if too many workers wait for it (wait.h).
 *	AUTO_GATE struct gate gate = { 0 };
 *	if (gate_enter(hypervisor, uuid, &gate, err) < 0)
 *		return -1;
 */
enum { GATE_WAIT_MS = 2000 };
int gate_enter(struct hypervisor *hypervisor, const char *key, struct gate *ret, struct err *err);

/* Like gate_enter(), but waits at most ms instead of GATE_WAIT_MS; 0: does not wait. */
int gate_enter_within(
	struct hypervisor *hypervisor, const char *key, int ms, struct gate *ret, struct err *err);

/*
 * Like gate_enter_within(), but others who enter in this way may have the gate at the same time.
 * Nobody is preferred: those who want it alone wait until all others have left.
 */
int gate_enter_shared(
	struct hypervisor *hypervisor, const char *key, int ms, struct gate *ret, struct err *err);

/*
 * Like gate_enter(), for an operation that may run beside a change of the VM. The parameter what
 * names the kind of operation. For each VM, each kind has a gate of its own.
 */
int gate_enter_for(struct hypervisor *hypervisor, const char *what, const char *uuid,
	struct gate *ret, struct err *err);

void gate_leave(struct gate *gate); /* does nothing if it is not held */
#define AUTO_GATE __attribute__((cleanup(gate_leave)))

/* What this process holds now, and how many of its threads wait. */
struct gates_load {
	int held;
	int waiting;
};
struct gates_load gates_load(struct gates *gates);
