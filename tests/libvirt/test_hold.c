/* SPDX-License-Identifier: MIT */
/* Which VM is held, whatever happens to it while a request waits for its gate; on libvirt's test
 * driver. */
#include "in_process.h"

#include "base/clock.h"
#include "libvirt/domain.h"

#include <stdio.h>
#include <string.h>

#define UUID_A "aaaaaaaa-0000-4000-8000-00000000000a"
#define UUID_B "bbbbbbbb-0000-4000-8000-00000000000b"
#define UUID_NAME "cccccccc-0000-4000-8000-00000000000c"

static struct hypervisor *hypervisor;

static void define(const char *name, const char *uuid)
{
	char xml[512];
	struct err err;
	AUTO_LEASE struct lease lease = { 0 };
	(void)snprintf(xml, sizeof xml,
		"<domain type='test'><name>%s</name><uuid>%s</uuid><memory>8192</memory>"
		"<os><type>hvm</type></os></domain>",
		name, uuid);
	CHECK(!lease_take(hypervisor, LEASE_READ, &lease, &err), "%s", err.text);
	AUTO(virDomainFree) virDomainPtr dom = virDomainDefineXML(lease.conn, xml);
	CHECK(dom, "%s", virGetLastErrorMessage());
}

static void undefine(const char *uuid)
{
	struct err err;
	AUTO_LEASE struct lease lease = { 0 };
	CHECK(!lease_take(hypervisor, LEASE_READ, &lease, &err), "%s", err.text);
	AUTO(virDomainFree) virDomainPtr dom = virDomainLookupByUUIDString(lease.conn, uuid);
	CHECK(dom && !virDomainUndefine(dom), "%s", virGetLastErrorMessage());
}

static void rename_a(void)
{
	struct err err;
	AUTO_LEASE struct lease lease = { 0 };
	CHECK(!lease_take(hypervisor, LEASE_READ, &lease, &err), "%s", err.text);
	AUTO(virDomainFree) virDomainPtr dom = virDomainLookupByUUIDString(lease.conn, UUID_A);
	CHECK(dom && !virDomainRename(dom, "other", 0), "%s", virGetLastErrorMessage());
}

static void remove_a(void)
{
	undefine(UUID_A);
}

static void replace_a(void)
{
	undefine(UUID_A);
	define("a", UUID_B);
}

static void change_nothing(void)
{
}

struct waiter {
	const char *ref;
	struct hold hold;
	int rc;
	struct err err;
};

static void *hold_and_release(void *data)
{
	struct waiter *waiter = data;
	const struct target target = { .ref = waiter->ref, .if_match = "" };
	waiter->rc = domain_hold(hypervisor, &target, &waiter->hold, &waiter->err);
	domain_release(&waiter->hold);
	return NULL;
}

static void test_a_vm_is_held_after_the_wait_only_if_it_is_still_the_same(void **state)
{
	static const struct {
		const char *ref;
		void (*meanwhile)(void);
		const char *remains; /* uuid */
		bool held;
	} rows[] = {
		{ "a", change_nothing, UUID_A, true },
		{ "a", rename_a, UUID_A, false },
		{ "a", remove_a, NULL, false },
		{ "a", replace_a, UUID_B, false },
		{ UUID_A, change_nothing, UUID_A, true },
		{ UUID_A, rename_a, UUID_A, true },
		{ UUID_A, remove_a, NULL, false },
		{ UUID_A, replace_a, UUID_B, false },
		{ "AAAAAAAA-0000-4000-8000-00000000000A", change_nothing, UUID_A, true },
	};
	(void)state;
	for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
		struct waiter waiter = { .ref = rows[row].ref };
		struct gate gate = { 0 };
		pthread_t thread;
		define("a", UUID_A);
		CHECK(!gate_enter(hypervisor, UUID_A, &gate, &waiter.err), "%s", waiter.err.text);
		assert_int_equal(pthread_create(&thread, NULL, hold_and_release, &waiter), 0);
		AWAIT(hypervisor_load(hypervisor).gates.waiting == 1);
		rows[row].meanwhile();
		gate_leave(&gate);
		(void)pthread_join(thread, NULL);
		CHECK(!waiter.rc == rows[row].held, "row %zu: %s", row, waiter.err.text);
		if (waiter.rc)
			assert_int_equal(waiter.err.kind, ERR_VM_NOT_FOUND);
		else
			assert_string_equal(waiter.hold.vm.uuid, UUID_A);
		if (rows[row].remains)
			undefine(rows[row].remains);
		assert_int_equal(hypervisor_load(hypervisor).gates.held, 0);
	}
}

static void test_a_vm_whose_name_looks_like_a_uuid_is_held_by_its_own_gate(void **state)
{
	const struct target target = { .ref = UUID_NAME, .if_match = "" };
	AUTO_HOLD struct hold hold = { 0 };
	struct err err;
	(void)state;
	define(UUID_NAME, UUID_A);
	CHECK(!domain_hold(hypervisor, &target, &hold, &err), "%s", err.text);
	assert_string_equal(hold.vm.uuid, UUID_A);
	assert_string_equal(hold.gate.key, UUID_A);
	assert_int_equal(hypervisor_load(hypervisor).gates.held, 1);
	undefine(UUID_A);
}

static void test_a_hold_takes_a_lease_of_its_class_and_gives_it_back(void **state)
{
	static const char *const refs[] = { "test", "6695eb01-f6a4-8304-79aa-97f2502e193f" };
	static const struct {
		bool kill;
		enum lease_class class;
	} rows[] = { { false, LEASE_CALL }, { true, LEASE_KILL } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refs) * ARRAY_LEN(rows); i++) {
		const enum lease_class class = rows[i / 2].class;
		const struct target target = {
			.ref = refs[i % 2], .if_match = "", .kill = rows[i / 2].kill
		};
		struct hold hold = { 0 };
		struct err err;
		CHECK(!domain_hold(hypervisor, &target, &hold, &err), "%s", err.text);
		for (int c = 0; c < LEASE_CLASS_COUNT; c++)
			assert_int_equal(
				hypervisor_load(hypervisor).leases.leased[c], c == (int)class);
		domain_release(&hold);
		assert_int_equal(hypervisor_load(hypervisor).leases.leased[class], 0);
	}
}

static int set_up(void **state)
{
	(void)state;
	hypervisor = test_hypervisor_new(4);
	return hypervisor ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	test_hypervisor_free(hypervisor);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_vm_is_held_after_the_wait_only_if_it_is_still_the_same),
		cmocka_unit_test(test_a_vm_whose_name_looks_like_a_uuid_is_held_by_its_own_gate),
		cmocka_unit_test(test_a_hold_takes_a_lease_of_its_class_and_gives_it_back),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
