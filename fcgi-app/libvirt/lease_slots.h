/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Who may have a connection of a pool, and whether one can be expected. A value of one thread's at
 * a time.
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

enum { PLACES_MAX = 16 };
struct places {
	int max; /* from 1 to PLACES_MAX */
	struct place {
		bool taken;
		enum lease_class class;
		int64_t since; /* clock_ms() */
	} items[PLACES_MAX];
	double hold_ms[LEASE_CLASS_COUNT]; /* smoothed */
};

int places_count(const struct places *places, enum lease_class class); /* those taken */
bool places_has(const struct places *places, enum lease_class class);  /* one that is free? */
int places_take(struct places *places, enum lease_class class);        /* there is one */
void places_leave(struct places *places, int place);
/* false: of that class there is none, and the place stays what it was. */
bool places_turn(struct places *places, int place, enum lease_class class);

/*
 * Will one be free within so many milliseconds, by how long those that are taken are usually held
 * and have been by now, for one who has others of its class ahead?
 */
bool places_has_prospect(
	const struct places *places, enum lease_class class, int ahead, int patience_ms);
