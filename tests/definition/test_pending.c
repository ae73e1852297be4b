/* SPDX-License-Identifier: MIT */
#include "base/text.h"
#include "check.h"
#include "definition/pending.h"

#include <stdio.h>
#include <string.h>

/* The content of a running <domain>, of its definition, and the parts that differ. */
static const struct {
	const char *live, *definition, *parts;
} rows[] = {
	{ "", "", "" },
	{ "<title>a</title>", "<title>b</title>", "title" },
	{ "", "<title>b</title>", "title" },
	{ "<description>a</description>", "", "description" },
	{ "<metadata><v:vm xmlns:v='urn:virtgate:vm:1'><v:label name='a'>1</v:label></v:vm>"
	  "</metadata>",
		"<metadata><v:vm xmlns:v='urn:virtgate:vm:1'><v:label name='a'>2</v:label></v:vm>"
		"</metadata>",
		"labels" },
	{ "<metadata><o:x xmlns:o='urn:other'/></metadata>", "", "" },
	{ "<vcpu placement='static' current='1'>2</vcpu>", "<vcpu placement='static'>2</vcpu>",
		"vcpus" },
	{ "<vcpu>1</vcpu>", "<vcpu>2</vcpu>", "vcpus" },
	/* libvirt's QEMU driver rounds up at the start. */
	{ "<memory unit='KiB'>3072</memory>", "<memory unit='KiB'>2500</memory>", "" },
	{ "<memory unit='KiB'>3072</memory>", "<memory unit='KiB'>2048</memory>", "memory_kib" },
	{ "<os><type>hvm</type><kernel>/a</kernel></os>",
		"<os><type>hvm</type><kernel>/b</kernel></os>", "boot" },
	{ "<os><type>hvm</type><kernel>/a</kernel></os>",
		"<os><type>hvm</type><kernel>/a</kernel><cmdline>x</cmdline></os>", "boot" },
	{ "<os><type>hvm</type><loader readonly='yes' type='pflash'>/l</loader>"
	  "<nvram template='/t'>/n</nvram></os>",
		"<os firmware='efi'><type>hvm</type></os>", "" },
	/* A running domain has names, addresses, ports and indexes. */
	{ "<devices><disk type='file'><source file='/d' index='1'/><backingStore/>"
	  "<target dev='vda'/><alias name='d0'/><address type='pci'/></disk></devices>",
		"<devices><disk type='file'><source file='/d'/><target dev='vda'/></disk>"
		"</devices>",
		"" },
	{ "<devices><disk device='cdrom'><driver name='qemu'/><target dev='sda' tray='open'/>"
	  "</disk></devices>",
		"<devices><disk device='cdrom'><driver name='qemu' type='raw'/>"
		"<target dev='sda'/></disk></devices>",
		"" },
	{ "<devices><disk device='cdrom'><driver name='qemu'/><target dev='sda'/></disk></devices>",
		"<devices><disk device='cdrom'><driver name='qemu' type='raw'/>"
		"<source file='/cd'/><target dev='sda'/></disk></devices>",
		"disks" },
	{ "<devices><disk><source file='/d'/><readonly/></disk></devices>",
		"<devices><disk><source file='/d'/></disk></devices>", "disks" },
	{ "<devices><disk><source file='/d'/></disk></devices>",
		"<devices><disk><source file='/d'/></disk><disk><source "
		"file='/e'/></disk></devices>",
		"disks" },
	{ "<devices><interface type='network'><source network='n' portid='p' bridge='b'/>"
	  "<target dev='vnet0'/></interface></devices>",
		"<devices><interface type='network'><source network='n'/></interface></devices>",
		"" },
	{ "<devices><interface type='bridge'><source network='n' portid='p' bridge='b'/>"
	  "<target dev='vnet0'/></interface></devices>",
		"<devices><interface type='network'><source network='n'/></interface></devices>",
		"" },
	{ "<devices><interface type='bridge'><source bridge='a'/></interface></devices>",
		"<devices><interface type='bridge'><source bridge='b'/></interface></devices>",
		"interfaces" },
	{ "<devices><interface type='bridge'><mac address='1'/></interface></devices>",
		"<devices/>", "interfaces" },
	{ "<devices><graphics type='vnc' port='5900' autoport='yes' websocket='5700' "
	  "listen='127.0.0.1'><listen type='address' address='127.0.0.1'/></graphics></devices>",
		"<devices><graphics type='vnc' port='-1' autoport='yes' websocket='-1'>"
		"<listen type='address'/></graphics></devices>",
		"" },
	{ "<devices><graphics type='vnc' port='5900' autoport='no'/></devices>",
		"<devices><graphics type='vnc' port='5901' autoport='no'/></devices>", "graphics" },
	{ "<devices><graphics type='vnc'><listen type='address' address='127.0.0.1'/></graphics>"
	  "</devices>",
		"<devices><graphics type='vnc'><listen type='address' address='::1'/></graphics>"
		"</devices>",
		"graphics" },
	{ "<devices><graphics type='vnc' port='5900'/></devices>", "<devices/>", "graphics" },
	{ "<devices><serial type='pty'><source path='/dev/pts/1'/><target port='0'/></serial>"
	  "<console type='pty' tty='/dev/pts/1'><source path='/dev/pts/1'/></console>"
	  "<channel type='unix'><source mode='bind' path='/c'/>"
	  "<target type='virtio' name='a' state='disconnected'/></channel></devices>",
		"<devices><serial type='pty'><target port='0'/></serial><console type='pty'/>"
		"<channel type='unix'><target type='virtio' name='a'/></channel></devices>",
		"" },
	{ "<devices><hostdev><source><address bus='1'/></source><address bus='7'/></hostdev>"
	  "</devices>",
		"<devices><hostdev><source><address bus='2'/></source></hostdev></devices>",
		"devices" },
	{ "<devices><serial type='pty'><log file='/a'/></serial></devices>",
		"<devices><serial type='pty'/></devices>", "devices" },
	/* libvirt inserts controllers anywhere. */
	{ "<devices><controller type='a'/><controller type='b'/><controller type='c'/></devices>",
		"<devices><controller type='b'/><controller type='c'/><controller type='a'/>"
		"</devices>",
		"" },
	{ "<devices><controller type='a'/><controller type='b'/></devices>",
		"<devices><controller type='b'/><controller type='c'/></devices>", "devices" },
	{ "<title>a</title><devices><disk/></devices>", "<devices/>", "title disks" },
};

static struct xml *domain(const char *inside)
{
	char text[1024];
	struct xml *doc = NULL;
	struct err err;
	(void)snprintf(text, sizeof text, "<domain>%s</domain>", inside);
	CHECK(!xml_parse_trusted(text, &doc, &err), "%s: %s", inside, err.text);
	return doc;
}

static void test_a_part_is_pending_when_it_differs_by_more_than_libvirts_choices(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(xml_free) struct xml *live = domain(rows[i].live);
		AUTO(xml_free) struct xml *definition = domain(rows[i].definition);
		unsigned parts = pending_parts(xml_root(live), xml_root(definition));
		char named[256] = "";
		for (int part = 0; part < PENDING_COUNT; part++)
			if (parts & 1U << part)
				(void)snprintf(named + strlen(named), sizeof named - strlen(named),
					"%s%s", *named ? " " : "", pending_name(part));
		CHECK(!strcmp(named, rows[i].parts), "row %zu: '%s' instead of '%s'", i, named,
			rows[i].parts);
	}
}

static int set_up(void **state)
{
	(void)state;
	xml_init();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_a_part_is_pending_when_it_differs_by_more_than_libvirts_choices),
	};
	return cmocka_run_group_tests_name("pending", tests, set_up, NULL);
}
