/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The slots of a hypervisor's connections: which class of lease may have one now, and whether one
 * can be expected in time. A slot is taken for as long as a lease is out. This is a plain value:
 * the caller locks it.
 */
#include "base/base.h"

/*
 * What a lease is for. A call that enters a VM's monitor hangs for as long as its QEMU does, so
 * LEASE_CALL never gets the last quarter of the connections. Where that quarter is more than one
 * connection, one of them is kept for LEASE_READ and one for LEASE_KILL.
 */
enum lease_class {
	LEASE_READ, /* never enters a monitor */
	LEASE_CALL, /* may hang in a monitor: changes, statistics, screenshots, the guest's agent */
	LEASE_KILL, /* cuts a VM's power, which is what ends a hanging QEMU */
	LEASE_CLASS_COUNT
};

enum { LEASE_SLOTS_MAX = 16 };
struct lease_slots {
	int max; /* from 1 to LEASE_SLOTS_MAX; the rest begins as zeroes */
	struct lease_slot {
		bool taken;
		enum lease_class class;
		int64_t since; /* clock_ms() */
	} items[LEASE_SLOTS_MAX];
	int counts[LEASE_CLASS_COUNT];     /* slots that are taken */
	double hold_ms[LEASE_CLASS_COUNT]; /* how long a lease is usually out: a moving average */
};

/* Is a slot free for this class? */
bool lease_slots_has(const struct lease_slots *slots, enum lease_class class);

/* Takes a slot; lease_slots_has() must have said that there is one. Returns its number. */
int lease_slots_take(struct lease_slots *slots, enum lease_class class);
void lease_slots_leave(struct lease_slots *slots, int slot);

/* Makes it a slot of another class. Returns false if none is free for that; it stays as it was. */
bool lease_slots_change_class(struct lease_slots *slots, int slot, enum lease_class class);

/*
 * Will a slot probably become free within patience_ms, for a request that has `ahead` others of the
 * same class before it in the queue? Judged by how long leases are usually out, and how long the
 * present ones have been.
 */
bool lease_slots_has_prospect(
	const struct lease_slots *slots, enum lease_class class, int ahead, int patience_ms);
