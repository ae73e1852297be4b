/* SPDX-License-Identifier: MIT */
#include "libvirt/lease_slots.h"

#include "base/clock.h"

/* The mean holding time is of so many leases; longer ones are long work, and expected to be. */
enum { HOLD_SMOOTHING = 8, HOLD_MAX_MS = 10000 };

int lease_slots_count(const struct lease_slots *slots, enum lease_class class)
{
	int count = 0;
	for (int i = 0; i < slots->max; i++)
		count += slots->items[i].taken && slots->items[i].class == class;
	return count;
}

/* Calls leave so many to others. */
static int kept_from_calls(const struct lease_slots *slots)
{
	if (slots->max == 1)
		return 0;
	return slots->max > 4 ? slots->max / 4 : 1;
}

bool lease_slots_has(const struct lease_slots *slots, enum lease_class class)
{
	int reads = lease_slots_count(slots, LEASE_READ);
	int calls = lease_slots_count(slots, LEASE_CALL);
	int kills = lease_slots_count(slots, LEASE_KILL);
	int kept = kept_from_calls(slots);
	int shared = slots->max - (kept > 1); /* one for reads alone, one for kills */
	if (reads + calls + kills == slots->max)
		return false;
	switch (class) {
	case LEASE_READ:
		return reads + calls < shared;
	case LEASE_CALL:
		return calls < slots->max - kept && reads + calls < shared;
	case LEASE_KILL:
	case LEASE_CLASS_COUNT:
		break;
	}
	return kills + calls < shared;
}

int lease_slots_take(struct lease_slots *slots, enum lease_class class)
{
	int i = 0;
	while (slots->items[i].taken)
		i++;
	slots->items[i] = (struct lease_slot){ true, class, clock_ms() };
	return i;
}

void lease_slots_leave(struct lease_slots *slots, int slot)
{
	struct lease_slot *left = &slots->items[slot];
	double held = (double)(clock_ms() - left->since);
	double *mean = &slots->hold_ms[left->class];
	if (held < HOLD_MAX_MS)
		*mean += (held - *mean) / HOLD_SMOOTHING;
	left->taken = false;
}

bool lease_slots_turn(struct lease_slots *slots, int slot, enum lease_class class)
{
	struct lease_slot was = slots->items[slot];
	slots->items[slot].taken = false;
	bool has = lease_slots_has(slots, class);
	slots->items[slot] = has ? (struct lease_slot){ true, class, clock_ms() } : was;
	return has;
}

/*
 * How many come back in a millisecond: one that is out for longer than is usual will be for as long
 * again, and for one that is out for longer than anybody waits there is no waiting.
 */
static double return_rate(
	const struct lease_slots *slots, const struct lease_slot *slot, int patience_ms)
{
	double age = (double)(clock_ms() - slot->since);
	double usual = slots->hold_ms[slot->class] > 1 ? slots->hold_ms[slot->class] : 1;
	if (age >= patience_ms && age >= 2 * usual)
		return 0;
	return 1 / (age > usual ? age : usual);
}

bool lease_slots_has_prospect(
	const struct lease_slots *slots, enum lease_class class, int ahead, int patience_ms)
{
	int calls = lease_slots_count(slots, LEASE_CALL);
	bool full = calls >= slots->max - kept_from_calls(slots);
	double rate = 0;
	for (int i = 0; i < slots->max; i++) {
		const struct lease_slot *slot = &slots->items[i];
		bool is_other = full && class == LEASE_CALL && slot->class != LEASE_CALL;
		if (slot->taken && !is_other)
			rate += return_rate(slots, slot, patience_ms);
	}
	return ahead + 1 <= patience_ms * rate;
}
