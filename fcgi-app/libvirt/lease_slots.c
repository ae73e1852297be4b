/* SPDX-License-Identifier: MIT */
#include "libvirt/lease_slots.h"

#include "base/clock.h"

/* The average is over about so many leases. Longer ones are long work, and do not count. */
enum { HOLD_SMOOTHING = 8, HOLD_MAX_MS = 10000 };

/* How many slots LEASE_CALL may not have. */
static int slots_kept_from_calls(const struct lease_slots *slots)
{
	if (slots->max == 1)
		return 0;
	return slots->max > 4 ? slots->max / 4 : 1;
}

bool lease_slots_has(const struct lease_slots *slots, enum lease_class class)
{
	int reads = slots->counts[LEASE_READ];
	int calls = slots->counts[LEASE_CALL];
	int kills = slots->counts[LEASE_KILL];
	int kept = slots_kept_from_calls(slots);
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
	slots->counts[class]++;
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
	slots->counts[left->class]--;
}

bool lease_slots_change_class(struct lease_slots *slots, int slot, enum lease_class class)
{
	struct lease_slot *item = &slots->items[slot];
	slots->counts[item->class]--;
	bool has = lease_slots_has(slots, class);
	if (has)
		*item = (struct lease_slot){ true, class, clock_ms() };
	slots->counts[item->class]++;
	return has;
}

/*
 * The probability that the lease in this slot comes back in the next millisecond. One that has been
 * out for longer than usual will stay out for as long again; one that has been out for longer than
 * anybody waits does not count.
 */
static double slot_return_rate(
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
	/* When calls have all that they may have, only another call leaves something to a call. */
	bool calls_only = class == LEASE_CALL &&
		slots->counts[LEASE_CALL] >= slots->max - slots_kept_from_calls(slots);
	double rate = 0;
	for (int i = 0; i < slots->max; i++) {
		const struct lease_slot *slot = &slots->items[i];
		if (slot->taken && (!calls_only || slot->class == LEASE_CALL))
			rate += slot_return_rate(slots, slot, patience_ms);
	}
	return ahead + 1 <= patience_ms * rate;
}
