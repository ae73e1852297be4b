/* SPDX-License-Identifier: MIT */
/* More snapshots of one VM than virtgate makes: on libvirt's test driver. */
#include "in_process.h"

#include "vm/snapshot.h"

#include <stdio.h>
#include <string.h>

static struct host *host;

static void take(int from, int to)
{
	AUTO_LEASE struct lease lease = { 0 };
	struct err err;
	assert_int_equal(lease_take(host->hypervisor, LEASE_READ, &lease, &err), 0);
	AUTO(virDomainFree) virDomainPtr dom = virDomainLookupByName(lease.conn, "test");
	assert_non_null(dom);
	for (int i = from; i < to; i++) {
		char xml[96];
		(void)snprintf(
			xml, sizeof xml, "<domainsnapshot><name>s%d</name></domainsnapshot>", i);
		AUTO(virDomainSnapshotFree) virDomainSnapshotPtr snap =
			virDomainSnapshotCreateXML(dom, xml, 0);
		assert_non_null(snap);
	}
}

static void test_a_list_of_snapshots_has_an_end(void **state)
{
	AUTO(free) struct snapshot *list = NULL;
	struct snapshot one;
	size_t count = 0;
	struct err err;
	(void)state;
	take(0, SNAPSHOTS_LISTED_MAX);
	assert_int_equal(snapshot_list(host, "test", &list, &count, &err), 0);
	assert_int_equal(count, SNAPSHOTS_LISTED_MAX);
	for (size_t i = 0; i < count; i++)
		CHECK(list[i].children == (i + 1 < count), "%s: %d", list[i].name,
			list[i].children);
	take(SNAPSHOTS_LISTED_MAX, SNAPSHOTS_LISTED_MAX + 1);
	assert_int_equal(snapshot_list(host, "test", &list, &count, &err), -1);
	assert_int_equal(err.kind, ERR_SNAPSHOT_UNSUPPORTED);
	assert_non_null(strstr(err.text, "1025 snapshots"));
	assert_int_equal(snapshot_get(host, "test", "s1", &one, &err), 0);
	assert_string_equal(one.parent, "s0");
}

static int set_up(void **state)
{
	(void)state;
	host = test_host_new(2);
	return host ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	test_host_free(host);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_list_of_snapshots_has_an_end),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
