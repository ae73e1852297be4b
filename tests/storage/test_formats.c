/* SPDX-License-Identifier: MIT */
/*
 * Which documents agree on the format of a file: in whatever way each of them comes to name it. On
 * libvirt's test driver, with images in a directory of the test.
 */
#include "in_process.h"

#include "files/qcow2.h"
#include "storage/formats.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char images[] = "/tmp/test_formats.XXXXXX";
static struct config config = { .images = images };
static struct hypervisor *hypervisor;

static void make_file(const char *name, const void *bytes, size_t size)
{
	char path[128];
	(void)snprintf(path, sizeof path, "%s/%s", images, name);
	AUTO(close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, bytes, size), size);
}

/* A qcow2 image on a backing file, whose format is raw or qcow2. */
static void make_overlay(const char *name, const char *backing, const char *format)
{
	enum { HEADER = 104, NAME = 128 };
	unsigned char h[1400] = "QFI\xfb\0\0\0\3";
	h[15] = NAME;
	h[19] = (unsigned char)strlen(backing);
	h[23] = 16;
	h[103] = HEADER;
	memcpy(h + HEADER, "\xe2\x79\x2a\xca", 4);
	h[HEADER + 7] = (unsigned char)strlen(format);
	memcpy(h + HEADER + 8, format, strlen(format));
	memcpy(h + NAME, backing, strlen(backing));
	make_file(name, h, sizeof h);
}

/* A domain with what stands in <os> and in <devices>, where @ is the directory of the images. */
static struct xml *make_domain(const char *name, const char *inside)
{
	char text[2048];
	struct xml *doc = NULL;
	struct err err;
	char *to = text +
		snprintf(text, sizeof text,
			"<domain type='test'><name>%s</name>"
			"<memory>1024</memory>",
			name);
	for (const char *s = inside; *s; s++)
		to += snprintf(to, (size_t)(text + sizeof text - to), *s == '@' ? "%s" : "%.1s",
			*s == '@' ? images : s);
	(void)snprintf(to, (size_t)(text + sizeof text - to), "</domain>");
	CHECK(!xml_parse_trusted(text, &doc, &err), "%s: %s", inside, err.text);
	return doc;
}

static virDomainPtr define(struct lease *lease, const char *name, const char *inside)
{
	AUTO(xml_free) struct xml *doc = make_domain(name, inside);
	AUTO(free) char *text = xml_text(doc);
	virDomainPtr dom = virDomainDefineXML(lease->conn, text);
	CHECK(dom, "%s", inside);
	return dom;
}

/* NULL: the document may be defined; else the refusal. */
static const char *refusal(struct lease *lease, const char *inside)
{
	static struct err err;
	AUTO(xml_free) struct xml *doc = make_domain("new", inside);
	if (!formats_check(lease, xml_root(doc), &config, FORMATS_DEFINE, &err))
		return NULL;
	CHECK(err.kind == ERR_POLICY_DENIED, "%s: %s", inside, err.text);
	return err.text;
}

#define OS "<os><type>hvm</type></os>"
#define DISK(format, file) \
	"<disk type='file'><driver name='qemu' type='" format "'/><source file='@/" file "'/>" \
	"<target dev='vda'/></disk>"
#define DISKS(list) OS "<devices>" list "</devices>"
#define RAW(file) DISKS(DISK("raw", file))
#define QCOW2(file) DISKS(DISK("qcow2", file))
#define MEDIUM(device, target, format, file) \
	DISKS("<disk type='file' device='" device "'><driver name='qemu' type='" format "'/>" \
	      "<source file='@/" file "'/><target dev='" target "'/><readonly/></disk>")
#define LOG(file) DISKS("<serial type='pty'><log file='@/" file "' append='on'/></serial>")

static const struct {
	const char *first, *second;
	const char *file; /* what the refusal names; NULL: both may be defined */
} pairs[] = {
	{ RAW("a"), QCOW2("a"), "'a' is raw in VM 'old', so it cannot be qcow2" },
	{ QCOW2("a"), RAW("a"), "'a' is qcow2 in VM 'old', so it cannot be raw" },
	{ RAW("a"), RAW("a"), NULL },
	{ QCOW2("a"), QCOW2("a"), NULL },
	{ RAW("a"), QCOW2("b"), NULL },
	{ RAW("a"), QCOW2("link"), "'link' is raw" },
	{ RAW("link"), QCOW2("a"), "'a' is raw" },
	{ RAW("a"), QCOW2("hard"), "'hard' is raw" },
	/* A chain is as its headers state, at any depth. */
	{ RAW("base"), QCOW2("over"), "'base' is raw in VM 'old', so it cannot be qcow2" },
	{ RAW("base"), QCOW2("second"), "'base' is raw" },
	{ QCOW2("second"), RAW("base"), "'base' is qcow2" },
	{ QCOW2("second"), RAW("over"), "'over' is qcow2" },
	{ QCOW2("second"), QCOW2("over"), NULL },
	{ RAW("base"), QCOW2("on-raw"), NULL },
	{ QCOW2("base"), QCOW2("on-raw"), "'base' is qcow2 in VM 'old', so it cannot be raw" },
	{ QCOW2("over"), QCOW2("on-raw"), "'base' is qcow2" },
	/* Whatever the device; a file that no VM may write to is still read by QEMU. */
	{ MEDIUM("floppy", "fda", "raw", "a"), QCOW2("a"), "'a' is raw" },
	{ MEDIUM("cdrom", "hdc", "qcow2", "a"), RAW("a"), "'a' is qcow2" },
	{ RAW("a"), MEDIUM("cdrom", "hdc", "qcow2", "a"), "'a' is raw" },
	/* What other tools define. libvirt takes an unstated format for raw. */
	{ DISKS("<disk type='file'><source file='@/a'/><target dev='vda'/></disk>"), QCOW2("a"),
		"'a' is raw" },
	{ DISKS(DISK("vmdk", "a")), QCOW2("a"), "'a' is vmdk" },
	{ DISKS("<disk type='block'><driver type='raw'/><source dev='@/a'/><target dev='vda'/>"
		"</disk>"),
		QCOW2("a"), "'a' is raw" },
	{ DISKS("<disk type='file'><driver type='qcow2'/><source file='@/b'/><backingStore "
		"type='file'><format type='raw'/><source file='@/a'/><backingStore/>"
		"</backingStore><target dev='vda'/></disk>"),
		QCOW2("a"), "'a' is raw" },
	{ DISKS("<disk type='volume'><driver type='raw'/><source pool='images' volume='a'/>"
		"<target dev='vda'/></disk>"),
		QCOW2("a"), "'a' is raw" },
	{ DISKS("<disk type='volume'><driver type='raw'/><source pool='none' volume='a'/>"
		"<target dev='vda'/></disk>"),
		QCOW2("a"), NULL },
	/* Other files that get a guest's bytes. */
	{ LOG("a"), QCOW2("a"), "'a' is raw" },
	{ QCOW2("a"), LOG("a"), "'a' is qcow2" },
	{ DISKS("<serial type='file'><source path='@/a'/></serial>"), QCOW2("a"), "'a' is raw" },
	{ "<os><type>hvm</type><loader readonly='yes' type='pflash'>/nowhere</loader>"
	  "<nvram>@/a</nvram></os>",
		QCOW2("a"), "'a' is raw" },
	/* A kernel is only read, and not as an image. */
	{ "<os><type>hvm</type><kernel>@/a</kernel></os>", QCOW2("a"), NULL },
	{ RAW("a"), "<os><type>hvm</type><kernel>@/a</kernel></os>", NULL },
	/* A file that does not exist yet. */
	{ RAW("none"), QCOW2("none"), "'none' is raw" },
};

static void test_a_file_has_one_format_in_all_documents(void **state)
{
	AUTO_LEASE struct lease lease = { 0 };
	struct err err;
	(void)state;
	assert_int_equal(lease_take(hypervisor, LEASE_READ, &lease, &err), 0);
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		AUTO(virDomainFree) virDomainPtr dom = define(&lease, "old", pairs[i].first);
		const char *why = refusal(&lease, pairs[i].second);
		CHECK(!why == !pairs[i].file && (!why || strstr(why, pairs[i].file)), "row %zu: %s",
			i, why ? why : "not refused");
		assert_int_equal(virDomainUndefine(dom), 0);
		CHECK(!refusal(&lease, pairs[i].second), "row %zu: alone", i);
	}
}

static void test_a_document_agrees_with_itself(void **state)
{
	AUTO_LEASE struct lease lease = { 0 };
	struct err err;
	(void)state;
	assert_int_equal(lease_take(hypervisor, LEASE_READ, &lease, &err), 0);
	const char *why = refusal(&lease, DISKS(DISK("raw", "a") DISK("qcow2", "a")));
	CHECK(why && strstr(why, "another place of the same document"), "%s", why);
	assert_non_null(refusal(&lease, DISKS(DISK("qcow2", "over") DISK("raw", "base"))));
	assert_null(refusal(&lease, DISKS(DISK("qcow2", "over") DISK("qcow2", "base"))));
}

/*
 * Where else than in its definition a VM has the file: each lets the VM return to it. The test
 * driver does not show managed saves.
 */
static int run_it(virDomainPtr dom)
{
	return virDomainCreate(dom);
}

static int undefine_running(virDomainPtr dom)
{
	return virDomainCreate(dom) < 0 ? -1 : virDomainUndefine(dom);
}

static int snapshot_it(virDomainPtr dom)
{
	AUTO(virDomainSnapshotFree) virDomainSnapshotPtr snap = virDomainSnapshotCreateXML(
		dom, "<domainsnapshot><name>s</name></domainsnapshot>", 0);
	return snap ? 0 : -1;
}

static void test_every_state_of_a_vm_counts(void **state)
{
	static const struct {
		int (*prepare)(virDomainPtr dom);
		bool redefined; /* its definition does not have the file any longer */
		const char *owner;
	} rows[] = {
		{ run_it, true, "in VM 'old'" },
		{ undefine_running, false, "in VM 'old'" },
		{ snapshot_it, true, "in a snapshot of VM 'old'" },
	};
	AUTO_LEASE struct lease lease = { 0 };
	struct err err;
	(void)state;
	assert_int_equal(lease_take(hypervisor, LEASE_READ, &lease, &err), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char xml[256];
		char uuid[UUID_SIZE];
		AUTO(virDomainFree) virDomainPtr dom = define(&lease, "old", RAW("a"));
		CHECK(!rows[i].prepare(dom), "row %zu", i);
		assert_int_equal(virDomainGetUUIDString(dom, uuid), 0);
		(void)snprintf(xml, sizeof xml,
			"<domain "
			"type='test'><name>old</name><uuid>%s</uuid><memory>1024</memory>" OS
			"</domain>",
			uuid);
		if (rows[i].redefined)
			(void)virDomainFree(virDomainDefineXML(lease.conn, xml));
		const char *why = refusal(&lease, QCOW2("over-a"));
		CHECK(why && strstr(why, rows[i].owner), "row %zu: %s", i, why);
		assert_null(refusal(&lease, RAW("a")));
		if (virDomainIsActive(dom) == 1)
			assert_int_equal(virDomainDestroy(dom), 0);
		if (rows[i].prepare != undefine_running)
			assert_int_equal(virDomainUndefineFlags(dom,
						 VIR_DOMAIN_UNDEFINE_MANAGED_SAVE |
							 VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA),
				0);
		assert_null(refusal(&lease, QCOW2("over-a")));
	}
}

static int make_files(void)
{
	static const char *const links[][2] = { { "a", "link" }, { "a", "hard" } };
	char from[128];
	char to[128];
	make_file("a", "x", 1);
	make_file("b", "QFI\xfb", 4);
	make_file("base", "QFI\xfb", 4);
	make_overlay("over", "base", "qcow2");
	make_overlay("second", "over", "qcow2");
	make_overlay("on-raw", "base", "raw");
	make_overlay("over-a", "a", "qcow2");
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		(void)snprintf(from, sizeof from, "%s/%s", images, links[i][0]);
		(void)snprintf(to, sizeof to, "%s/%s", images, links[i][1]);
		if ((i ? link(from, to) : symlink(from, to)) < 0)
			return -1;
	}
	return 0;
}

static int make_pool(void)
{
	AUTO_LEASE struct lease lease = { 0 };
	char xml[256];
	struct err err;
	(void)snprintf(xml, sizeof xml,
		"<pool type='dir'><name>images</name><target><path>%s</path></target></pool>",
		images);
	if (lease_take(hypervisor, LEASE_READ, &lease, &err) < 0)
		return -1;
	virStoragePoolPtr pool = virStoragePoolDefineXML(lease.conn, xml, 0);
	return pool ? virStoragePoolFree(pool) : -1;
}

static int set_up(void **state)
{
	(void)state;
	hypervisor = mkdtemp(images) ? test_hypervisor_new(1) : NULL;
	return hypervisor && !make_files() && !make_pool() ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[64];
	(void)state;
	test_hypervisor_free(hypervisor);
	(void)snprintf(command, sizeof command, "rm -r %s", images);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_file_has_one_format_in_all_documents),
		cmocka_unit_test(test_a_document_agrees_with_itself),
		cmocka_unit_test(test_every_state_of_a_vm_counts),
	};
	return cmocka_run_group_tests_name("formats", tests, set_up, tear_down);
}
