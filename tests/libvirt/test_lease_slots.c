/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "libvirt/lease_slots.h"

#include <string.h>

enum { PATIENCE_MS = 2000 };

static const enum lease_class class_of[] = {
	['r'] = LEASE_READ,
	['c'] = LEASE_CALL,
	['k'] = LEASE_KILL,
};

/* Takes a slot for each letter, as if that had been this long ago. */
static void take_all(struct lease_slots *slots, const char *classes, const int ages_ms[])
{
	for (size_t i = 0; classes[i]; i++) {
		int slot = lease_slots_take(slots, class_of[(unsigned char)classes[i]]);
		slots->items[slot].since -= ages_ms ? ages_ms[i] : 0;
	}
}

static void test_each_class_has_its_share(void **state)
{
	static const struct {
		int max;
		const char *taken, *free; /* classes */
	} rows[] = {
		{ 1, "", "rck" },
		{ 1, "r", "" },
		{ 1, "c", "" },
		{ 2, "", "rck" },
		{ 2, "c", "rk" },
		{ 2, "cr", "" },
		{ 2, "rr", "" },
		{ 4, "cc", "rck" },
		{ 4, "ccc", "rk" },
		{ 4, "rrr", "rck" },
		{ 8, "ccccc", "rck" },
		{ 8, "cccccc", "rk" },
		{ 8, "ccccccr", "k" },
		{ 8, "cccccck", "r" },
		{ 8, "ccccccrk", "" },
		{ 8, "rrrrrrr", "k" },
		{ 8, "kkkkkkk", "rc" },
		{ 8, "rrrrrc", "rck" },
		{ 8, "rrrrrrc", "k" },
		{ 16, "cccccccccccc", "rk" },
		{ 16, "ccccccccccccrrr", "k" },
	};
	(void)state;
	for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
		struct lease_slots slots = { .max = rows[row].max };
		take_all(&slots, rows[row].taken, NULL);
		for (const char *class = "rck"; *class; class ++)
			CHECK(lease_slots_has(&slots, class_of[(unsigned char)*class]) ==
					(strchr(rows[row].free, *class) != NULL),
				"%c beside '%s' of %d", *class, rows[row].taken, rows[row].max);
	}
}

static void test_a_slot_is_expected_if_leases_come_back_in_time(void **state)
{
	static const struct {
		const char *why;
		const char *taken; /* of eight */
		int ages_ms[8];
		int usual_ms;
		char class;
		int most_ahead; /* in the queue, for one who waits; -1: nobody waits */
	} rows[] = {
		{ "short ones come back", "cccccc", { 0 }, 100, 'c', 119 },
		{ "all have taken a second", "cccccc", { 1000, 1000, 1000, 1000, 1000, 1000 }, 1,
			'c', 11 },
		{ "all hang", "cccccc", { 2000, 2000, 2000, 2000, 2000, 2000 }, 1, 'c', -1 },
		{ "one is short", "cccccc", { 9000, 9000, 9000, 9000, 9000, 0 }, 100, 'c', 19 },
		{ "all are as long as usual", "cccccc", { 2500, 2500, 2500, 2500, 2500, 2500 },
			3000, 'c', 3 },
		{ "a read that comes back leaves nothing to calls", "ccccccr",
			{ 9000, 9000, 9000, 9000, 9000, 9000, 0 }, 1, 'c', -1 },
		{ "a read that comes back leaves its slot to reads", "ccccccr",
			{ 9000, 9000, 9000, 9000, 9000, 9000, 0 }, 100, 'r', 19 },
	};
	(void)state;
	for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
		struct lease_slots slots = { .max = 8 };
		enum lease_class class = class_of[(unsigned char)rows[row].class];
		for (int i = 0; i < LEASE_CLASS_COUNT; i++)
			slots.hold_ms[i] = rows[row].usual_ms;
		take_all(&slots, rows[row].taken, rows[row].ages_ms);
		int ahead = -1;
		while (ahead < 12000 &&
			lease_slots_has_prospect(&slots, class, ahead + 1, PATIENCE_MS))
			ahead++;
		/* The clock has gone on meanwhile. */
		CHECK(ahead <= rows[row].most_ahead && ahead >= rows[row].most_ahead * 9 / 10 - 1,
			"%s: %d", rows[row].why, ahead);
	}
}

static void test_a_slot_changes_its_class_if_one_is_free(void **state)
{
	static const struct {
		int max;
		const char *taken; /* the first one changes */
		char class;
		bool changes;
	} rows[] = {
		{ 1, "r", 'c', true },
		{ 2, "rc", 'c', false },
		{ 2, "rc", 'k', true },
		{ 2, "rr", 'c', true },
		{ 8, "rccccc", 'c', true },
		{ 8, "rcccccc", 'c', false },
		{ 8, "rcccccc", 'k', true },
		{ 8, "rrrrrrr", 'c', true },
	};
	(void)state;
	for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
		struct lease_slots slots = { .max = rows[row].max };
		enum lease_class class = class_of[(unsigned char)rows[row].class];
		take_all(&slots, rows[row].taken, NULL);
		CHECK(lease_slots_change_class(&slots, 0, class) == rows[row].changes, "'%s' of %d",
			rows[row].taken, rows[row].max);
		assert_true(slots.items[0].taken);
		assert_int_equal(slots.items[0].class, rows[row].changes ? class : LEASE_READ);
	}
}

static void test_the_usual_time_is_averaged_without_long_work(void **state)
{
	struct lease_slots slots = { .max = 1 };
	(void)state;
	for (int i = 0; i < 100; i++) {
		int slot = lease_slots_take(&slots, LEASE_CALL);
		slots.items[slot].since -= i % 2 ? 600000 : 100;
		lease_slots_leave(&slots, slot);
	}
	double usual = slots.hold_ms[LEASE_CALL];
	CHECK(usual > 90 && usual < 120, "%f ms", usual);
	assert_true(slots.hold_ms[LEASE_READ] <= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_class_has_its_share),
		cmocka_unit_test(test_a_slot_is_expected_if_leases_come_back_in_time),
		cmocka_unit_test(test_a_slot_changes_its_class_if_one_is_free),
		cmocka_unit_test(test_the_usual_time_is_averaged_without_long_work),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
