/* SPDX-License-Identifier: MIT */
/*
 * Waiting for a guest to stop, on libvirt's test driver. Its guests stop at once when they are
 * asked, so the request is taken out here: they stop when the test destroys them.
 */
#include "in_process.h"

#include "base/clock.h"
#include "base/thread.h"
#include "vm/stop_watch.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static struct host *host;
static atomic_bool hurry;
static atomic_int lookups; /* by uuid, which is how a wait reads a VM */
static pthread_mutex_t restarting = PTHREAD_MUTEX_INITIALIZER; /* no wait finds the VM off */

int __wrap_virDomainShutdownFlags(virDomainPtr dom, unsigned flags);
int __wrap_virDomainShutdownFlags(virDomainPtr dom, unsigned flags)
{
	(void)dom;
	(void)flags;
	return 0;
}

virDomainPtr __real_virDomainLookupByUUIDString(virConnectPtr conn, const char *uuid);
virDomainPtr __wrap_virDomainLookupByUUIDString(virConnectPtr conn, const char *uuid);
virDomainPtr __wrap_virDomainLookupByUUIDString(virConnectPtr conn, const char *uuid)
{
	atomic_fetch_add(&lookups, 1);
	LOCK(&restarting);
	return __real_virDomainLookupByUUIDString(conn, uuid);
}

/* What somebody else does while the stop waits. */
struct deed {
	const char *vm;
	void (*act)(virConnectPtr conn, virDomainPtr dom);
	pthread_t thread;
};

static void destroy(virConnectPtr conn, virDomainPtr dom)
{
	(void)conn;
	assert_int_equal(virDomainDestroy(dom), 0);
}

static void restart(virConnectPtr conn, virDomainPtr dom)
{
	LOCK(&restarting);
	destroy(conn, dom);
	assert_int_equal(virDomainCreate(dom), 0);
}

static void restart_often(virConnectPtr conn, virDomainPtr dom)
{
	for (int i = 0; i < 20; i++)
		restart(conn, dom);
}

static void begin_to_drain(virConnectPtr conn, virDomainPtr dom)
{
	(void)conn;
	(void)dom;
	atomic_store(&hurry, true);
}

static void *do_deed(void *data)
{
	const struct deed *deed = data;
	AUTO_LEASE struct lease lease = { 0 };
	struct err err;
	(void)usleep(300000);
	assert_int_equal(lease_take(host->hypervisor, LEASE_CALL, &lease, &err), 0);
	AUTO(virDomainFree) virDomainPtr dom = virDomainLookupByName(lease.conn, deed->vm);
	assert_non_null(dom);
	deed->act(lease.conn, dom);
	return NULL;
}

static void start_vm(const char *name)
{
	AUTO_LEASE struct lease lease = { 0 };
	struct err err;
	char uuid[VIR_UUID_STRING_BUFLEN];
	char xml[512];
	(void)snprintf(xml, sizeof xml,
		"<domain type='test'><name>%s</name><memory>1024</memory><os><type>hvm</type></os>"
		"<features><acpi/></features></domain>",
		name);
	assert_int_equal(lease_take(host->hypervisor, LEASE_CALL, &lease, &err), 0);
	AUTO(virDomainFree) virDomainPtr dom = virDomainDefineXML(lease.conn, xml);
	assert_non_null(dom);
	assert_int_equal(virDomainCreate(dom), 0);
	/* The events of this start are over, so that a wait sees only those of the deed. */
	assert_int_equal(virDomainGetUUIDString(dom, uuid), 0);
	int id = (int)virDomainGetID(dom);
	AWAIT(!host->events || events_since(host->events, uuid, VM_RUNNING, id) >= 0);
}

static bool runs(const char *name)
{
	AUTO_LEASE struct lease lease = { 0 };
	struct err err;
	assert_int_equal(lease_take(host->hypervisor, LEASE_CALL, &lease, &err), 0);
	AUTO(virDomainFree) virDomainPtr dom = virDomainLookupByName(lease.conn, name);
	return virDomainIsActive(dom) == 1;
}

/* Stops the VM while the deed is done; returns how many milliseconds that took. */
static int64_t stop_during(const char *vm, const char *other,
	void (*act)(virConnectPtr, virDomainPtr), const struct stop_how *how, int expected,
	struct stop *ret, struct err *err)
{
	const struct target target = { .ref = vm, .if_match = "" };
	struct deed deed = { .vm = other, .act = act };
	start_vm(vm);
	if (strcmp(vm, other) != 0)
		start_vm(other);
	int64_t began = clock_ms();
	atomic_store(&hurry, false);
	atomic_store(&lookups, 0);
	assert_int_equal(thread_start(&deed.thread, "deed", do_deed, &deed), 0);
	int rc = stop_run(host, &target, how, ret, err);
	int64_t took = clock_ms() - began;
	(void)pthread_join(deed.thread, NULL);
	assert_int_equal(rc, expected);
	return took;
}

static const struct stop_how patient = { .timeout = 60, .hurry = &hurry };
static const struct stop_how brief_kill = { .timeout = 2, .kill = true, .hurry = &hurry };

static void test_without_events_the_vm_is_read_until_it_is_off(void **state)
{
	struct stop stop;
	struct err err;
	(void)state;
	assert_null(host->events);
	int64_t took = stop_during("one", "one", destroy, &patient, 0, &stop, &err);
	assert_true(took >= 300 && took < 5000);
	assert_int_equal(stop.vm.state, VM_SHUTOFF);
}

static int watch_host(void **state)
{
	struct err err;
	(void)state;
	assert_int_equal(host_watch(host, &err), 0);
	for (int i = 0; i < 500 && !events_latest(host->events); i++)
		(void)usleep(10000);
	return events_latest(host->events) ? 0 : -1;
}

static void test_an_event_ends_the_wait(void **state)
{
	struct stop stop;
	struct err err;
	(void)state;
	int64_t took = stop_during("two", "two", destroy, &patient, 0, &stop, &err);
	assert_true(took >= 300 && took < 4000); /* less than until the next read without one */
	assert_int_equal(stop.vm.state, VM_SHUTOFF);
	assert_int_equal(stop.way, GUEST_ACPI);
	assert_true(stop.changed);
}

static void test_events_of_other_vms_cause_no_read(void **state)
{
	struct stop stop;
	struct err err;
	(void)state;
	(void)stop_during("three", "four", restart_often, &brief_kill, 0, &stop, &err);
	assert_int_equal(stop.way, GUEST_KILL);
	CHECK(atomic_load(&lookups) <= 4, "%d", atomic_load(&lookups));
	assert_false(runs("three"));
	assert_true(runs("four"));
}

static void test_a_vm_that_was_started_again_is_not_killed(void **state)
{
	const struct target target = { .ref = "five", .if_match = "" };
	struct deed again = { .vm = "five", .act = restart };
	struct stop stop;
	struct err err;
	(void)state;
	start_vm("five");
	assert_int_equal(stop_ask(host, &target, &brief_kill, NULL, &stop, &err), 0);
	assert_true(stop.waiting);
	assert_null(do_deed(&again));
	stop.asked_at -= 1000LL * brief_kill.timeout;
	assert_int_equal(stop_finish(host, &brief_kill, &stop, &err), 0);
	assert_false(stop.waiting);
	assert_int_equal(stop.vm.state, VM_RUNNING);
	assert_int_equal(stop.way, GUEST_ACPI);
	assert_true(runs("five"));
}

static void test_draining_ends_the_wait_and_kills_nothing(void **state)
{
	const struct stop_how how = { .timeout = 60, .kill = true, .hurry = &hurry };
	struct stop stop;
	struct err err;
	(void)state;
	int64_t took = stop_during("six", "six", begin_to_drain, &how, -1, &stop, &err);
	assert_true(took < 5000);
	assert_int_equal(err.kind, ERR_DRAINING);
	assert_true(runs("six"));
}

static void test_the_deadline_ends_the_wait(void **state)
{
	struct stop_how how = { .timeout = 60, .kill = true, .hurry = &hurry };
	struct stop stop;
	struct err err;
	(void)state;
	how.deadline = clock_ms() + 1000;
	int64_t took = stop_during("seven", "eight", restart_often, &how, -1, &stop, &err);
	assert_true(took < 5000);
	assert_int_equal(err.kind, ERR_STILL_RUNNING);
	assert_string_equal(err.state, "running");
	assert_true(runs("seven"));
}

/* A stop that is watched, and whether its client has gone and its wait is over. */
struct watching {
	struct watched_stop watched; /* the first member */
	atomic_bool gone, over;
};

static bool watching_is_gone(struct watched_stop *watched)
{
	return atomic_load(&((struct watching *)watched)->gone);
}

static void watching_is_over(struct watched_stop *watched)
{
	assert_false(atomic_exchange(&((struct watching *)watched)->over, true));
}

static void watch_stop(struct stop_watch *watch, struct watching *watching, const char *vm,
	const struct stop_how *how)
{
	const struct target target = { .ref = vm, .if_match = "" };
	struct err err;
	start_vm(vm);
	*watching = (struct watching){
		.watched = { .how = *how, .is_gone = watching_is_gone, .over = watching_is_over }
	};
	assert_int_equal(stop_ask(host, &target, how, NULL, &watching->watched.stop, &err), 0);
	assert_true(watching->watched.stop.waiting);
	stop_watch_add(watch, &watching->watched);
}

static void test_one_thread_waits_for_many_stops(void **state)
{
	enum { OFF, AGAIN, GONE, GONE_KILL, LATE, DRAINED, COUNT };
	static const char *const names[COUNT] = { "off", "again", "gone", "gone-kill", "late",
		"drained" };
	const struct stop_how patient_kill = { .timeout = 60, .kill = true, .hurry = &hurry };
	const struct stop_how brief = { .timeout = 1, .hurry = &hurry };
	const struct stop_how *const hows[COUNT] = { &patient, &patient, &patient, &patient_kill,
		&brief, &patient };
	struct watching all[COUNT];
	struct stop_watch *watch = stop_watch_new(host);
	(void)state;
	assert_non_null(watch);
	atomic_store(&hurry, false);
	for (size_t i = 0; i < COUNT; i++)
		watch_stop(watch, &all[i], names[i], hows[i]);
	AWAIT(atomic_load(&all[LATE].over));
	assert_true(all[LATE].watched.stop.waiting);
	assert_null(do_deed(&(struct deed){ .vm = names[OFF], .act = destroy }));
	AWAIT(atomic_load(&all[OFF].over));
	assert_false(all[OFF].watched.stop.waiting);
	assert_int_equal(all[OFF].watched.stop.vm.state, VM_SHUTOFF);
	assert_null(do_deed(&(struct deed){ .vm = names[AGAIN], .act = restart }));
	AWAIT(atomic_load(&all[AGAIN].over));
	assert_int_equal(all[AGAIN].watched.stop.vm.state, VM_RUNNING);
	/* A VM that is to be killed in the end is, whoever still waits for it. */
	atomic_store(&all[GONE_KILL].gone, true);
	atomic_store(&all[GONE].gone, true);
	AWAIT(atomic_load(&all[GONE].over));
	assert_true(all[GONE].watched.stop.waiting);
	assert_false(atomic_load(&all[GONE_KILL].over) || atomic_load(&all[DRAINED].over));
	atomic_store(&hurry, true);
	AWAIT(atomic_load(&all[DRAINED].over) && atomic_load(&all[GONE_KILL].over));
	stop_watch_free(watch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_events_the_vm_is_read_until_it_is_off),
		cmocka_unit_test_setup(test_an_event_ends_the_wait, watch_host),
		cmocka_unit_test(test_events_of_other_vms_cause_no_read),
		cmocka_unit_test(test_a_vm_that_was_started_again_is_not_killed),
		cmocka_unit_test(test_draining_ends_the_wait_and_kills_nothing),
		cmocka_unit_test(test_the_deadline_ends_the_wait),
		cmocka_unit_test(test_one_thread_waits_for_many_stops),
	};
	host = test_host_new(4);
	if (!host)
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	test_host_free(host);
	return failed;
}
