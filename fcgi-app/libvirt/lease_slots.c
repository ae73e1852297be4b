/* SPDX-License-Identifier: MIT */
#include "libvirt/lease_slots.h"

/* The mean holding time is of so many leases; longer ones are long work, and expected to be. */
enum { HOLD_SMOOTHING = 8, HOLD_MAX_MS = 10000 };

int places_count(const struct places *places, enum lease_class class)
{
	int count = 0;
	for (int i = 0; i < places->max; i++)
		count += places->items[i].taken && places->items[i].class == class;
	return count;
}

/* Calls leave so many to others. */
static int kept_from_calls(const struct places *places)
{
	if (places->max == 1)
		return 0;
	return places->max > 4 ? places->max / 4 : 1;
}

bool places_has(const struct places *places, enum lease_class class)
{
	int reads = places_count(places, LEASE_READ);
	int calls = places_count(places, LEASE_CALL);
	int kills = places_count(places, LEASE_KILL);
	int kept = kept_from_calls(places);
	int shared = places->max - (kept > 1); /* one for reads alone, one for kills */
	if (reads + calls + kills == places->max)
		return false;
	switch (class) {
	case LEASE_READ:
		return reads + calls < shared;
	case LEASE_CALL:
		return calls < places->max - kept && reads + calls < shared;
	case LEASE_KILL:
	case LEASE_CLASS_COUNT:
		break;
	}
	return kills + calls < shared;
}

int places_take(struct places *places, enum lease_class class)
{
	int i = 0;
	while (places->items[i].taken)
		i++;
	places->items[i] = (struct place){ true, class, clock_ms() };
	return i;
}

void places_leave(struct places *places, int place)
{
	struct place *left = &places->items[place];
	double held = (double)(clock_ms() - left->since);
	double *mean = &places->hold_ms[left->class];
	if (held < HOLD_MAX_MS)
		*mean += (held - *mean) / HOLD_SMOOTHING;
	left->taken = false;
}

bool places_turn(struct places *places, int place, enum lease_class class)
{
	struct place was = places->items[place];
	places->items[place].taken = false;
	bool has = places_has(places, class);
	places->items[place] = has ? (struct place){ true, class, clock_ms() } : was;
	return has;
}

/*
 * How many come back in a millisecond: one that is out for longer than is usual will be for as long
 * again, and for one that is out for longer than anybody waits there is no waiting.
 */
static double return_rate(const struct places *places, const struct place *place, int patience_ms)
{
	double age = (double)(clock_ms() - place->since);
	double usual = places->hold_ms[place->class] > 1 ? places->hold_ms[place->class] : 1;
	if (age >= patience_ms && age >= 2 * usual)
		return 0;
	return 1 / (age > usual ? age : usual);
}

bool places_has_prospect(
	const struct places *places, enum lease_class class, int ahead, int patience_ms)
{
	int calls = places_count(places, LEASE_CALL);
	bool full = calls >= places->max - kept_from_calls(places);
	double rate = 0;
	for (int i = 0; i < places->max; i++) {
		const struct place *place = &places->items[i];
		bool is_other = full && class == LEASE_CALL && place->class != LEASE_CALL;
		if (place->taken && !is_other)
			rate += return_rate(places, place, patience_ms);
	}
	return ahead + 1 <= patience_ms * rate;
}
