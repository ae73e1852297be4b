/* SPDX-License-Identifier: MIT */
/*
 * From libvirt 11.0 on, reading a VM's XML waits for a call that waits for the VM's QEMU. On
 * libvirt's test driver, which has the version and the call that a case says.
 */
#include "in_process.h"

#include "base/clock.h"
#include "libvirt/domain.h"

#include <string.h>

enum { HANGS_MS = 60000 };

static unsigned long libvirt_version;
static int64_t call_since; /* clock_ms(); 0: no call waits for QEMU */
static int call_ms;        /* how long it waits */
static int xml_reads;

int __wrap_virConnectGetLibVersion(virConnectPtr conn, unsigned long *version);
int __wrap_virConnectGetLibVersion(virConnectPtr conn, unsigned long *version)
{
	(void)conn;
	*version = libvirt_version;
	return 0;
}

int __wrap_virDomainGetControlInfo(
	virDomainPtr dom, virDomainControlInfoPtr info, unsigned int flags);
int __wrap_virDomainGetControlInfo(
	virDomainPtr dom, virDomainControlInfoPtr info, unsigned int flags)
{
	int64_t waits_ms = clock_ms() - call_since;
	bool occupied = call_since && waits_ms < call_ms;
	(void)dom;
	(void)flags;
	*info = (virDomainControlInfo){ 0 };
	info->state = occupied ? VIR_DOMAIN_CONTROL_OCCUPIED : VIR_DOMAIN_CONTROL_OK;
	info->stateTime = occupied ? (unsigned long long)waits_ms : 0;
	return 0;
}

char *__real_virDomainGetXMLDesc(virDomainPtr dom, unsigned int flags);
char *__wrap_virDomainGetXMLDesc(virDomainPtr dom, unsigned int flags);
char *__wrap_virDomainGetXMLDesc(virDomainPtr dom, unsigned int flags)
{
	xml_reads++;
	return __real_virDomainGetXMLDesc(dom, flags);
}

struct call {
	int waited_ms; /* so far */
	int all_ms;    /* in the end; 0: there is none */
	bool busy;     /* the answer */
};

static void read_xml_beside(struct hypervisor *hypervisor, const struct call *call)
{
	struct err err = { 0 };
	AUTO(free) char *text = NULL;
	AUTO_LEASE struct lease lease = { 0 };
	CHECK(!lease_take(hypervisor, LEASE_READ, &lease, &err), "%s", err.text);
	AUTO(virDomainFree) virDomainPtr dom = virDomainLookupByName(lease.conn, "test");
	assert_non_null(dom);
	int64_t start = clock_ms();
	call_since = call->all_ms ? start - call->waited_ms : 0;
	call_ms = call->all_ms;
	xml_reads = 0;
	int rc = domain_read_xml_text(&lease, dom, 0, &text, &err);
	int64_t took = clock_ms() - start;
	CHECK(rc == (call->busy ? -1 : 0), "%s", err.text);
	CHECK(!call->busy || err.kind == ERR_VM_BUSY, "%s", err.text);
	CHECK(xml_reads == !call->busy && !text == call->busy, "%d reads", xml_reads);
	CHECK(took < HANGS_MS / 2, "%d ms", (int)took);
}

static void read_xml_of(unsigned long version, const struct call *calls, size_t count)
{
	libvirt_version = version;
	struct host *host = test_host_new(1);
	assert_non_null(host);
	for (size_t i = 0; i < count; i++)
		read_xml_beside(host->hypervisor, &calls[i]);
	test_host_free(host);
}

static void test_libvirt_9_reads_the_xml_of_a_vm_whose_qemu_hangs(void **state)
{
	static const struct call calls[] = { { HANGS_MS / 2, HANGS_MS, false } };
	(void)state;
	read_xml_of(9000000, calls, ARRAY_LEN(calls));
}

static void test_libvirt_11_is_not_asked_for_the_xml_of_a_vm_whose_qemu_hangs(void **state)
{
	static const struct call calls[] = {
		{ 0, 0, false },
		{ 0, 100, false },
		{ 0, HANGS_MS, true },
		{ HANGS_MS / 2, HANGS_MS, true },
	};
	(void)state;
	read_xml_of(11000000, calls, ARRAY_LEN(calls));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_libvirt_9_reads_the_xml_of_a_vm_whose_qemu_hangs),
		cmocka_unit_test(test_libvirt_11_is_not_asked_for_the_xml_of_a_vm_whose_qemu_hangs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
