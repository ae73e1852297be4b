/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "definition/snapshot_check.h"

#include <stdio.h>
#include <string.h>

#define DISK(attrs, format, dev, more) \
	"<disk type='file'" attrs "><driver type='" format \
	"'/><source file='/i'/><target dev='" dev "'/>" more "</disk>"
#define RO "<readonly/>"

static void test_the_xml_says_whether_a_snapshot_is_possible(void **state)
{
	static const struct {
		const char *devices, *os;
		bool chosen;
		const char *text; /* NULL: it is possible */
	} cases[] = {
		{ DISK("", "qcow2", "vda", ""), "", false, NULL },
		{ DISK(" device='disk' snapshot='internal'", "qcow2", "vda", ""), "", false, NULL },
		{ DISK("", "qcow2", "vda", "") DISK("", "raw", "vdb", RO), "", false, NULL },
		{ DISK("", "qcow2", "vda", "") DISK(" device='cdrom'", "raw", "hda", ""), "", false,
			NULL },
		{ DISK("", "qcow2", "vda", "") "<disk device='floppy'><target dev='fda'/></disk>",
			"", false, NULL },
		{ "", "", false, "has no disk" },
		{ DISK(" device='cdrom'", "raw", "hda", RO), "", false, "has no disk" },
		{ DISK("", "qcow2", "vda", RO), "", false, "all disks of the VM are read-only" },
		{ DISK("", "qcow2", "vda", "") DISK("", "raw", "vdb", ""), "", false,
			"disk vdb is" },
		{ DISK("", "qcow2", "vda", "") DISK(" device='floppy'", "raw", "fda", ""), "",
			false, "disk fda is" },
		{ DISK(" snapshot='external'", "qcow2", "vda", ""), "", false, "'external'" },
		{ DISK(" snapshot='no'", "qcow2", "vda", ""), "", false, "'no'" },
		{ DISK("", "qcow2", "vda", ""), "<loader type='pflash'>/f</loader>", false,
			"UEFI" },
		{ DISK("", "qcow2", "vda", ""), "<loader type='rom'>/f</loader>", false, NULL },
		/* libvirt decides about disks that the client chooses, except where it would do
		   wrong. */
		{ "", "", true, NULL },
		{ DISK("", "raw", "vda", ""), "", true, NULL },
		{ DISK(" snapshot='external'", "qcow2", "vda", ""), "", true, "'external'" },
		{ "", "<loader type='pflash'>/f</loader>", true, "UEFI" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[2048];
		struct err err = { 0 };
		AUTO(xml_free) struct xml *doc = NULL;
		(void)snprintf(text, sizeof text,
			"<domain><os>%s</os><devices>%s</devices></domain>", cases[i].os,
			cases[i].devices);
		assert_int_equal(xml_parse_trusted(text, &doc, &err), 0);
		int rc = snapshot_check_create(xml_root(doc), cases[i].chosen, &err);
		CHECK(rc == (cases[i].text ? -1 : 0), "case %zu: %s", i, err.text);
		CHECK(!rc ||
				(err.kind == ERR_SNAPSHOT_UNSUPPORTED && err.hint[0] &&
					strstr(err.text, cases[i].text)),
			"case %zu: %s", i, err.text);
	}
}

static void test_memory_goes_with_a_running_vm_only(void **state)
{
	static const struct {
		const char *memory;
		bool active, good;
	} cases[] = {
		{ "", true, true },
		{ "", false, true },
		{ "<memory snapshot='internal'/>", true, true },
		{ "<memory snapshot='internal'/>", false, false },
		{ "<memory snapshot='no'/>", true, false },
		{ "<memory snapshot='no'/>", false, true },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[128];
		struct err err = { 0 };
		AUTO(xml_free) struct xml *doc = NULL;
		(void)snprintf(
			text, sizeof text, "<domainsnapshot>%s</domainsnapshot>", cases[i].memory);
		assert_int_equal(xml_parse_trusted(text, &doc, &err), 0);
		int rc = snapshot_check_memory(xml_root(doc), cases[i].active, &err);
		CHECK(rc == (cases[i].good ? 0 : -1), "case %zu: %s", i, err.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_xml_says_whether_a_snapshot_is_possible),
		cmocka_unit_test(test_memory_goes_with_a_running_vm_only),
	};
	xml_init();
	return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
