/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Who may have a connection of a leases, and whether one can be expected. A value of one thread's
 * at a time.
 */
#include "base/base.h"

/*
 * What a lease is for. A call that enters a VM's monitor hangs for as long as its QEMU does, so
 * such calls never have the last quarter of the connections, and where that is more than one, one
 * is kept for reads and one for kills, which are what ends a hanging QEMU.
 */
enum lease_class {
	LEASE_READ, /* never enters a monitor */
	LEASE_CALL, /* may hang in one: changes, statistics, pictures, the guest's agent */
	LEASE_KILL,
	LEASE_CLASS_COUNT
};

enum { LEASE_SLOTS_MAX = 16 };
struct lease_slots {
	int max; /* from 1 to LEASE_SLOTS_MAX */
	struct lease_slot {
		bool taken;
		enum lease_class class;
		int64_t since; /* clock_ms() */
	} items[LEASE_SLOTS_MAX];
	double hold_ms[LEASE_CLASS_COUNT]; /* smoothed */
};

int lease_slots_count(const struct lease_slots *slots, enum lease_class class); /* those taken */
bool lease_slots_has(
	const struct lease_slots *slots, enum lease_class class);        /* one that is free? */
int lease_slots_take(struct lease_slots *slots, enum lease_class class); /* there is one */
void lease_slots_leave(struct lease_slots *slots, int slot);
/* false: of that class there is none, and the slot stays what it was. */
bool lease_slots_turn(struct lease_slots *slots, int slot, enum lease_class class);

/*
 * Will one be free within so many milliseconds, by how long those that are taken are usually held
 * and have been by now, for one who has others of its class ahead?
 */
bool lease_slots_has_prospect(
	const struct lease_slots *slots, enum lease_class class, int ahead, int patience_ms);
