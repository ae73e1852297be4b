/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "libvirt/hypervisor.h"

static void test_a_uri_that_names_a_host_is_remote(void **state)
{
	static const struct {
		const char *uri;
		bool local;
	} rows[] = {
		{ "", true },
		{ "test:///default", true },
		{ "qemu:///system", true },
		{ "qemu:///session", true },
		{ "qemu+unix:///system?socket=/run/libvirt/libvirt-sock", true },
		{ "qemu://example.org/system", false },
		{ "qemu+ssh://user@example.org:22/system", false },
		{ "qemu+tls://[2001:db8::1]/system", false },
		{ "test+tcp://localhost/default", false },
	};
	(void)state;
	for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
		AUTO(hypervisor_free)
		struct hypervisor *hypervisor = hypervisor_new("local", rows[row].uri, 1, 1);
		assert_non_null(hypervisor);
		CHECK(hypervisor_is_local(hypervisor) == rows[row].local, "'%s'", rows[row].uri);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_uri_that_names_a_host_is_remote),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
