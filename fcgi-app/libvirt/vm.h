/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A VM as a value, read from libvirt at one moment: identity, state, size, and flags. Values may be
 * copied freely. No function here calls the host.
 */
#include "base/named.h"
#include "base/uuid.h"
#include "libvirt/virt.h"

/* virDomainState under API names; libvirt's "blocked" is running. */
#define VM_STATES(FIRST, NEXT) \
	FIRST(VM_UNKNOWN, "unknown") \
	NEXT(VM_RUNNING, "running") \
	NEXT(VM_PAUSED, "paused") \
	NEXT(VM_SHUTDOWN, "shutdown") /* on its way to shutoff */ \
	NEXT(VM_SHUTOFF, "shutoff") \
	NEXT(VM_CRASHED, "crashed") \
	NEXT(VM_PMSUSPENDED, "pmsuspended")
enum vm_state { VM_STATES(NAMED_VALUE, NAMED_VALUE) VM_STATE_COUNT };
#define VM_STATE_NAMES VM_STATES(NAMED_FIRST, NAMED_NEXT)
const char *vm_state_name(enum vm_state state);
enum vm_state vm_state_of(int virt_state); /* virDomainState; unknown numbers: VM_UNKNOWN */

/* The two names of a VM, each of which finds it. */
struct vm_ref {
	char uuid[UUID_SIZE];
	char name[256]; /* no longer one passes libvirt's QEMU driver: names become file names */
};

struct labels;

struct vm {
	char uuid[UUID_SIZE];
	char name[256];
	enum vm_state state;
	const char *reason; /* a literal: "booted", "user", … */
	bool active;        /* not set in lists */
	bool persistent;
	bool autostart;
	bool managed_save;
	bool snapshots;     /* it has at least one */
	bool sized;         /* vcpus and memory_kib could be read … */
	enum err_kind why;  /*   … else why not */
	int vcpus;          /* now */
	int64_t memory_kib; /* the maximum */
	int64_t memory_current_kib;
	int snapshot_count;          /* set by domain_read() only: lists do not count snapshots */
	const struct labels *labels; /* set in a vm_list, which owns them; elsewhere NULL */
};

/* Each sets a part of vm from what libvirt has returned. */
void vm_set_identity(struct vm *vm, virDomainPtr dom);
void vm_set_state(struct vm *vm, int virt_state, int virt_reason);
void vm_set_size(struct vm *vm, const virDomainInfo *info);
/* Identity and state, of a record with VIR_DOMAIN_STATS_STATE. */
void vm_set_from_stats(struct vm *vm, const virDomainStatsRecord *record);
