/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "../../fcgi-app/domain_xml.h"
#include "../../fcgi-app/policy.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Images, shares and logs of this test, and a directory outside them. */
static char base_dir[] = "/tmp/virtgate-policy-XXXXXX";
static char images[64], shares[64], logs[64], outside[64];
static struct config config = { .templates = TEMPLATES,
	.images = images,
	.shares = shares,
	.logs = logs,
	.networks = "default,lab",
	.bridges = "virbr0" };

static void check_document(const char *text, struct policy_report *ret)
{
	struct err err;
	AUTO_DOMAIN_XML struct domain_xml domain = { 0 };
	CHECK(!domain_xml_read(text, strlen(text), NULL, &config, &domain, &err), "%s: %s", text,
		err.text);
	assert_int_equal(policy_check(domain.doc, &config, ret, &err), 0);
}

/* The document is refused for this place, by this rule. */
static void refuse(const char *text, const char *path, const char *rule)
{
	struct policy_report report;
	check_document(text, &report);
	for (size_t i = 0; i < report.count; i++)
		if (!strcmp(report.found[i].path, path) && strstr(report.found[i].rule, rule))
			return;
	CHECK(false, "%zu violations, first %s (%s), none of %s (%s): %s", report.count,
		report.count ? report.found[0].path : "", report.count ? report.found[0].rule : "",
		path, rule, text);
}

static void accept(const char *text)
{
	struct policy_report report;
	check_document(text, &report);
	CHECK(report.count == 0, "%s '%s': %s: %s", report.found[0].path, report.found[0].value,
		report.found[0].rule, text);
}

#define HEAD "<domain type='kvm'><name>a</name><memory>2048</memory>"
#define OS "<os><type>hvm</type></os>"

static void test_every_other_door_is_shut(void **state)
{
	static const struct {
		const char *where; /* in the document: d(omain), o(s), v (devices) */
		const char *xml, *path, *rule;
	} cases[] = {
		/* runs programs of the host */
		{ "v", "<emulator>/tmp/x</emulator>", "/domain/devices/emulator", "not allowed" },
		{ "v",
			"<interface type='bridge'><source bridge='virbr0'/><script "
			"path='/x'/></interface>",
			"/domain/devices/interface/script", "not allowed" },
		{ "v",
			"<interface type='bridge'><source bridge='virbr0'/><downscript "
			"path='/x'/></interface>",
			"/domain/devices/interface/downscript", "not allowed" },
		{ "v",
			"<filesystem type='mount'><binary path='/x'/><source dir='s'/><target "
			"dir='t'/></filesystem>",
			"/domain/devices/filesystem/binary", "not allowed" },
		{ "v",
			"<filesystem type='mount'><driver type='virtiofs'/><source "
			"dir='s'/><target dir='t'/></filesystem>",
			"/domain/devices/filesystem/driver/@type", "one of path" },
		{ "d", "<bootloader>/x</bootloader>", "/domain/bootloader", "not allowed" },
		{ "o", "<init>/bin/sh</init>", "/domain/os/init", "not allowed" },
		{ "v", "<tpm model='tpm-tis'><backend type='emulator'/></tpm>",
			"/domain/devices/tpm", "not allowed" },
		/* any QEMU option */
		{ "d",
			"<q:commandline "
			"xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><q:arg "
			"value='-x'/></q:commandline>",
			"/domain/commandline", "not allowed" },
		{ "d", "<override/>", "/domain/override", "not allowed" },
		/* reads files of the host */
		{ "v", "<disk type='block'><driver type='raw'/><target dev='vda'/></disk>",
			"/domain/devices/disk/@type", "one of file" },
		{ "v",
			"<disk type='file'><driver type='raw'/><source dev='/dev/sda'/><target "
			"dev='vda'/></disk>",
			"/domain/devices/disk/source/@dev", "not allowed" },
		{ "v",
			"<disk type='file'><driver type='raw'/><source file='/etc/shadow'/><target "
			"dev='vda'/></disk>",
			"/domain/devices/disk/source/@file", "beneath" },
		{ "v", "<disk type='file'><source file='d'/><target dev='vda'/></disk>",
			"/domain/devices/disk/driver/@type", "states its format" },
		{ "v",
			"<disk type='file'><driver type='vmdk'/><source file='d'/><target "
			"dev='vda'/></disk>",
			"/domain/devices/disk/driver/@type", "one of raw|qcow2" },
		{ "v",
			"<disk type='file' device='lun'><driver type='raw'/><source "
			"file='d'/><target dev='vda'/></disk>",
			"/domain/devices/disk/@device", "one of" },
		{ "v",
			"<disk type='file' rawio='yes'><driver type='raw'/><source "
			"file='d'/><target dev='vda'/></disk>",
			"/domain/devices/disk/@rawio", "not allowed" },
		{ "v",
			"<disk type='file'><driver type='qcow2'/><source file='d'/><backingStore "
			"type='file'/>"
			"<target dev='vda'/></disk>",
			"/domain/devices/disk/backingStore/@type", "not allowed" },
		{ "v",
			"<disk type='file'><driver type='raw'/><source file='d'><reservations "
			"managed='yes'/>"
			"</source><target dev='vda'/></disk>",
			"/domain/devices/disk/source/reservations", "not allowed" },
		{ "v",
			"<disk type='file'><driver type='raw'/><source file='d'><seclabel "
			"model='dac' "
			"relabel='no'/></source><target dev='vda'/></disk>",
			"/domain/devices/disk/source/seclabel", "not allowed" },
		{ "o", "<kernel>/etc/shadow</kernel>", "/domain/os/kernel", "beneath" },
		{ "o", "<initrd>/etc/shadow</initrd>", "/domain/os/initrd", "beneath" },
		{ "o", "<dtb>/etc/shadow</dtb>", "/domain/os/dtb", "not allowed" },
		{ "o", "<acpi><table type='slic'>/etc/shadow</table></acpi>", "/domain/os/acpi",
			"not allowed" },
		{ "o", "<loader type='pflash'>/etc/shadow</loader>", "/domain/os/loader",
			"not allowed" },
		{ "o", "<nvram template='/etc/shadow'>/etc/passwd</nvram>", "/domain/os/nvram",
			"not allowed" },
		{ "d", "<sysinfo type='fwcfg'><entry name='opt/x' file='/etc/shadow'/></sysinfo>",
			"/domain/sysinfo", "not allowed" },
		{ "v",
			"<interface type='bridge'><source bridge='virbr0'/><rom "
			"file='/etc/shadow'/></interface>",
			"/domain/devices/interface/rom", "not allowed" },
		{ "v", "<rng model='virtio'><backend model='random'>/etc/shadow</backend></rng>",
			"/domain/devices/rng/backend", "one of /dev/urandom" },
		{ "v", "<rng model='virtio'><backend model='egd'>/dev/urandom</backend></rng>",
			"/domain/devices/rng/backend/@model", "one of random" },
		{ "v", "<smartcard mode='host-certificates'><database>/etc</database></smartcard>",
			"/domain/devices/smartcard", "not allowed" },
		{ "v", "<memory model='nvdimm'><source><path>/etc/shadow</path></source></memory>",
			"/domain/devices/memory", "not allowed" },
		{ "d", "<launchSecurity type='sev'/>", "/domain/launchSecurity", "not allowed" },
		/* writes files of the host */
		{ "v", "<serial type='file'><log file='l'/></serial>",
			"/domain/devices/serial/@type", "one of pty" },
		{ "v", "<serial type='pty'><source path='/etc/x'/></serial>",
			"/domain/devices/serial/source", "not allowed" },
		{ "v", "<serial type='pty'><log file='/etc/cron.d/x'/></serial>",
			"/domain/devices/serial/log/@file", "beneath" },
		{ "v", "<console type='pipe'/>", "/domain/devices/console/@type", "one of pty" },
		{ "v", "<parallel type='file'/>", "/domain/devices/parallel", "not allowed" },
		{ "v",
			"<channel type='unix'><source mode='bind' path='/etc/x'/><target "
			"type='virtio' "
			"name='org.qemu.guest_agent.0'/></channel>",
			"/domain/devices/channel/source/@path", "not allowed" },
		{ "v", "<redirdev bus='usb' type='tcp'/>", "/domain/devices/redirdev",
			"not allowed" },
		{ "v", "<audio id='1' type='file' path='/etc/x'/>", "/domain/devices/audio/@type",
			"one of none" },
		{ "v",
			"<interface type='bridge'><source bridge='virbr0'/><backend "
			"tap='/x'/></interface>",
			"/domain/devices/interface/backend", "not allowed" },
		{ "d", "<on_crash>coredump-destroy</on_crash>", "/domain/on_crash", "one of" },
		{ "v", "<watchdog model='i6300esb' action='dump'/>",
			"/domain/devices/watchdog/@action", "one of" },
		/* serves or opens the network */
		{ "v", "<serial type='tcp'/>", "/domain/devices/serial/@type", "one of pty" },
		{ "v", "<graphics type='vnc' listen='0.0.0.0'/>",
			"/domain/devices/graphics/@listen", "one of 127.0.0.1" },
		{ "v", "<graphics type='vnc' port='5900'/>", "/domain/devices/graphics/@port",
			"one of -1" },
		{ "v", "<graphics type='vnc' socket='/x'/>", "/domain/devices/graphics/@socket",
			"not allowed" },
		{ "v", "<graphics type='vnc'><listen type='network' network='default'/></graphics>",
			"/domain/devices/graphics/listen/@type", "one of address" },
		{ "v", "<graphics type='spice'/>", "/domain/devices/graphics/@type", "one of vnc" },
		{ "v", "<graphics type='vnc'><listen type='none'/></graphics>",
			"/domain/devices/graphics/listen/@type", "one of address" },
		{ "v", "<interface><source bridge='virbr0'/></interface>",
			"/domain/devices/interface/@type", "required" },
		{ "v", "<filesystem><source dir='missing'/><target dir='t'/></filesystem>",
			"/domain/devices/filesystem/source/@dir", "does not exist" },
		{ "v",
			"<disk type='file'><driver type='raw'/><source file='d'/>"
			"<target dev='sdzzzz' bus='scsi'/></disk>",
			"/domain/devices/disk/target/@dev", "one or two of a to z" },
		{ "v", "<rng model='virtio'><backend model='random'> /dev/urandom</backend></rng>",
			"/domain/devices/rng/backend", "one of /dev/urandom" },
		{ "v", "<interface type='server'/>", "/domain/devices/interface/@type", "one of" },
		{ "v", "<interface type='user'/>", "/domain/devices/interface/@type", "one of" },
		{ "v", "<shmem name='x'/>", "/domain/devices/shmem", "not allowed" },
		{ "v", "<vsock model='virtio'/>", "/domain/devices/vsock", "not allowed" },
		/* devices and networks of the host */
		{ "v", "<hostdev mode='subsystem' type='pci'/>", "/domain/devices/hostdev",
			"not allowed" },
		{ "v", "<interface type='direct'><source bridge='virbr0'/></interface>",
			"/domain/devices/interface/@type", "one of" },
		{ "v", "<interface type='bridge'><source bridge='docker0'/></interface>",
			"/domain/devices/interface/source/@bridge", "VIRTGATE_BRIDGES" },
		{ "v", "<interface type='network'><source network='secret'/></interface>",
			"/domain/devices/interface/source/@network", "VIRTGATE_NETWORKS" },
		{ "v",
			"<interface type='bridge'><source bridge='virbr0'/><target "
			"dev='eth0'/></interface>",
			"/domain/devices/interface/target", "not allowed" },
		{ "v",
			"<interface type='bridge'><source bridge='virbr0'/><virtualport "
			"type='openvswitch'/>"
			"</interface>",
			"/domain/devices/interface/virtualport", "not allowed" },
		{ "v",
			"<interface type='bridge'><source bridge='virbr0'/><filterref "
			"filter='x'/></interface>",
			"/domain/devices/interface/filterref", "not allowed" },
		{ "v", "<filesystem type='mount'><source dir='/'/><target dir='t'/></filesystem>",
			"/domain/devices/filesystem/source/@dir", "beneath" },
		{ "v",
			"<filesystem type='mount' accessmode='passthrough'><source "
			"dir='s'/><target dir='t'/>"
			"</filesystem>",
			"/domain/devices/filesystem/@accessmode", "one of" },
		{ "v", "<input type='evdev'/>", "/domain/devices/input/@type", "one of" },
		{ "v",
			"<video><model type='virtio'><acceleration "
			"rendernode='/dev/dri/x'/></model></video>",
			"/domain/devices/video/model/acceleration", "not allowed" },
		{ "v", "<lease/>", "/domain/devices/lease", "not allowed" },
		{ "d", "<memoryBacking><source type='file'/></memoryBacking>",
			"/domain/memoryBacking", "not allowed" },
		{ "o", "<smbios mode='host'/>", "/domain/os/smbios", "not allowed" },
		/* weakens isolation */
		{ "d", "<seclabel type='none'/>", "/domain/seclabel", "not allowed" },
		{ "d", "<resource><partition>/x</partition></resource>", "/domain/resource",
			"not allowed" },
		{ "d", "<features><kvm><hidden state='on'/></kvm></features>",
			"/domain/features/kvm", "not allowed" },
		{ "d", "<cpu mode='host-model'><feature policy='disable' name='x'/></cpu>",
			"/domain/cpu/feature", "not allowed" },
		{ "d", "<idmap/>", "/domain/idmap", "not allowed" },
		{ "d", "<perf/>", "/domain/perf", "not allowed" },
		/* uses up the host */
		{ "d", "<vcpu>257</vcpu>", "/domain/vcpu", "from 1 to 256" },
		{ "d", "<vcpu>0</vcpu>", "/domain/vcpu", "from 1 to 256" },
		{ "d", "<currentMemory unit='TiB'>1</currentMemory>", "/domain/currentMemory",
			"a size" },
		{ "d", "<currentMemory unit='GiB'>1025</currentMemory>", "/domain/currentMemory",
			"a size" },
		{ "d", "<iothreads>9999</iothreads>", "/domain/iothreads", "not allowed" },
		{ "d", "<cputune><shares>1</shares></cputune>", "/domain/cputune", "not allowed" },
		{ "d", "<numatune/>", "/domain/numatune", "not allowed" },
		/* hides */
		{ "d", "<x:title xmlns:x='u'>t</x:title>", "/domain/title", "namespace" },
		{ "d", "<title xmlns:x='u'>t</title>", "/domain/title", "namespace" },
		{ "d", "<title x:y='1' xmlns:x='u'>t</title>", "/domain/title", "namespace" },
		{ "d", "<Title>t</Title>", "/domain/Title", "not allowed" },
		{ "d", "<vcpu>1</vcpu><vcpu>1</vcpu>", "/domain/vcpu", "at most 1" },
		{ "d", "<os><kernel>k</kernel></os>", "/domain/os", "at most 1" },
		{ "d", "<title><b/>t</title>", "/domain/title/b", "not allowed" },
		{ "d", "text", "/domain", "no text" },
		{ "o", "<kernel> /etc/shadow</kernel>", "/domain/os/kernel", "beneath" },
		{ "o", "<kernel><![CDATA[/etc/shadow]]></kernel>", "/domain/os/kernel", "beneath" },
		{ "o", "<kernel>/etc/<!-- x -->shadow</kernel>", "/domain/os/kernel", "beneath" },
		{ "o", "<kernel>&#47;etc/shadow</kernel>", "/domain/os/kernel", "beneath" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[2048];
		const char *xml = cases[i].xml;
		(void)snprintf(text, sizeof text,
			HEAD "<os><type>hvm</type>%s</os>%s<devices>%s</devices></domain>",
			*cases[i].where == 'o' ? xml : "", *cases[i].where == 'd' ? xml : "",
			*cases[i].where == 'v' ? xml : "");
		refuse(text, cases[i].path, cases[i].rule);
	}
}

static void write_image(const char *name, const void *data, size_t size)
{
	char path[128];
	(void)snprintf(path, sizeof path, "%s/%s", images, name);
	AUTO(close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, data, size), size);
}

/* A qcow2 header of version 3, which may name a backing file and its format. */
static void write_qcow2(const char *name, const char *backing, const char *format, bool external)
{
	enum { HEADER = 104, NAME = 128 };
	unsigned char h[1400] = "QFI\xfb\0\0\0\3";
	h[79] = external ? 4 : 0;
	h[103] = HEADER;
	if (format) {
		memcpy(h + HEADER, "\xe2\x79\x2a\xca", 4);
		h[HEADER + 7] = (unsigned char)strlen(format);
		memcpy(h + HEADER + 8, format, strlen(format));
	}
	if (backing) {
		h[15] = NAME;
		h[18] = (unsigned char)(strlen(backing) >> 8);
		h[19] = (unsigned char)strlen(backing);
		memcpy(h + NAME, backing, strlen(backing));
	}
	write_image(name, h, sizeof h);
}

static void try_disk(const char *file, const char *rule)
{
	char text[512];
	(void)snprintf(text, sizeof text,
		HEAD OS "<devices><disk type='file'><driver type='qcow2'/><source file='%s'/>"
			"<target dev='vda'/></disk></devices></domain>",
		file);
	if (rule)
		refuse(text, "/domain/devices/disk/source/@file", rule);
	else
		accept(text);
}

static void test_files_lead_nowhere_else(void **state)
{
	char path[128];
	char other[128];
	(void)state;
	(void)snprintf(other, sizeof other, "%s/secret", outside);
	AUTO(close) int fd = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	(void)snprintf(path, sizeof path, "%s/link", images);
	assert_int_equal(symlink(other, path), 0);
	try_disk("link", "links followed");
	(void)snprintf(path, sizeof path, "%s/up", images);
	assert_int_equal(symlink("..", path), 0);
	try_disk("up/outside/secret", "links followed");
	(void)snprintf(path, sizeof path, "%s/hard", images);
	assert_int_equal(link(other, path), 0);
	try_disk("hard", "hard link");
	(void)snprintf(path, sizeof path, "%s/pipe", images);
	assert_int_equal(mkfifo(path, 0600), 0);
	try_disk("pipe", "not a regular file");
	(void)snprintf(path, sizeof path, "%s/dir", images);
	assert_int_equal(mkdir(path, 0700), 0);
	try_disk("dir", "not a regular file");
	write_qcow2("inner", NULL, NULL, false);
	(void)snprintf(path, sizeof path, "%s/inner-link", images);
	assert_int_equal(symlink("inner", path), 0);
	try_disk("inner-link", NULL);
	try_disk("not-there-yet", "does not exist");
	try_disk("dir/not-there-yet", "does not exist");
	try_disk("up/not-there-yet", "links followed");
	(void)snprintf(path, sizeof path, "%s2/x", images);
	try_disk(path, "beneath");
	try_disk("/", "beneath");
	(void)snprintf(path, sizeof path, "%s/../outside/secret", images);
	try_disk(path, "beneath");
	(void)snprintf(path, sizeof path, "%s//inner", images);
	try_disk(path, NULL);
	accept(HEAD "<os><type>hvm</type><kernel>not-there-yet</kernel></os></domain>");
	accept(HEAD "<os><type>hvm</type><kernel>dir/not-there-yet</kernel></os></domain>");
	refuse(HEAD "<os><type>hvm</type><kernel>up/not-there-yet</kernel></os></domain>",
		"/domain/os/kernel", "links followed");
}

static void test_an_images_header_names_nothing_outside(void **state)
{
	char path[128];
	(void)state;
	write_qcow2("plain.qcow2", NULL, NULL, false);
	try_disk("plain.qcow2", NULL);
	write_qcow2("over.qcow2", "plain.qcow2", "qcow2", false);
	try_disk("over.qcow2", NULL);
	(void)snprintf(path, sizeof path, "%s/plain.qcow2", images);
	write_qcow2("absolute.qcow2", path, "qcow2", false);
	try_disk("absolute.qcow2", NULL);
	write_qcow2("shadow.qcow2", "/etc/shadow", "qcow2", false);
	try_disk("shadow.qcow2", "backing file outside");
	write_qcow2("dots.qcow2", "../outside/secret", "qcow2", false);
	try_disk("dots.qcow2", "backing file outside");
	write_qcow2("second.qcow2", "shadow.qcow2", "qcow2", false);
	try_disk("second.qcow2", "backing file outside");
	write_qcow2("json.qcow2", "json:{\"file\":\"/etc/shadow\"}", "qcow2", false);
	try_disk("json.qcow2", "backing file outside");
	write_qcow2("nbd.qcow2", "nbd://127.0.0.1/x", "qcow2", false);
	try_disk("nbd.qcow2", "backing file outside");
	write_qcow2("self.qcow2", "self.qcow2", "qcow2", false);
	try_disk("self.qcow2", "too long");
	write_qcow2("data.qcow2", NULL, NULL, true);
	try_disk("data.qcow2", "external data file");
	write_qcow2("guessed.qcow2", "plain.qcow2", NULL, false);
	try_disk("guessed.qcow2", "does not state");
	write_qcow2("vmdk.qcow2", "plain.qcow2", "vmdk", false);
	try_disk("vmdk.qcow2", "does not state");
	write_image("data", "x", 1);
	write_qcow2("raw.qcow2", "data", "raw", false);
	try_disk("raw.qcow2", NULL);
	write_qcow2("lies.qcow2", "data", "qcow2", false);
	try_disk("lies.qcow2", "not a qcow2 image");
	try_disk("data", "not a qcow2 image");
	static const unsigned char damaged[104] = "QFI\xfb\0\0\0\3\xff\xff\xff\xff\xff\xff\xff\xff"
						  "\0\0\0\5";
	write_image("damaged.qcow2", damaged, sizeof damaged);
	try_disk("damaged.qcow2", "damaged");
}

static void test_templates_and_ordinary_domains_pass(void **state)
{
	static const char *const templates[] = { "helloworld", "http-reply", "nginx", "linux" };
	char share[80];
	(void)state;
	write_qcow2("linux.qcow2", NULL, NULL, false);
	(void)snprintf(share, sizeof share, "%s/fs0", shares);
	assert_int_equal(mkdir(share, 0700), 0);
	for (size_t i = 0; i < ARRAY_LEN(templates); i++) {
		AUTO(free) char *text = NULL;
		size_t len = 0;
		struct err err;
		assert_int_equal(domain_xml_template(&config, templates[i], &text, &len, &err), 0);
		accept(text);
	}
	write_qcow2("d.qcow2", NULL, NULL, false);
	/* What virt-install writes for a Linux guest. */
	accept(HEAD
		"<uuid>c7a5fdbd-cdaf-9455-926a-d65c16db1809</uuid><metadata>"
		"<l:libosinfo xmlns:l='http://libosinfo.org/xmlns/libvirt/domain/1.0'>"
		"<l:os id='http://debian.org/debian/12'/></l:libosinfo></metadata>"
		"<currentMemory>2048</currentMemory><vcpu>2</vcpu>"
		"<os><type arch='x86_64' machine='q35'>hvm</type><boot dev='hd'/></os>"
		"<features><acpi/><apic/><vmport state='off'/></features>"
		"<cpu mode='host-passthrough'/><clock offset='utc'>"
		"<timer name='rtc' tickpolicy='catchup'/><timer name='hpet' present='no'/></clock>"
		"<pm><suspend-to-mem enabled='no'/><suspend-to-disk enabled='no'/></pm><devices>"
		"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
		"<source file='d.qcow2'/><target dev='vda' bus='virtio'/></disk>"
		"<controller type='usb' model='qemu-xhci' ports='15'/>"
		"<interface type='network'><source network='default'/>"
		"<mac address='52:54:00:12:34:56'/><model type='virtio'/></interface>"
		"<console type='pty'/><channel type='unix'><source mode='bind'/><target "
		"type='virtio' "
		"name='org.qemu.guest_agent.0'/></channel><input type='tablet' bus='usb'/>"
		"<graphics type='vnc' port='-1'/><video><model type='virtio'/></video>"
		"<memballoon model='virtio'/><rng model='virtio'><backend model='random'>"
		"/dev/urandom</backend></rng></devices></domain>");
}

static void test_every_violation_is_reported(void **state)
{
	struct policy_report report;
	(void)state;
	check_document(HEAD OS "<seclabel type='none'/><devices><emulator>/x</emulator>"
			       "<hostdev/></devices></domain>",
		&report);
	assert_int_equal(report.count, 3);
	assert_string_equal(report.found[0].path, "/domain/seclabel");
	assert_string_equal(report.found[1].path, "/domain/devices/emulator");
	assert_string_equal(report.found[2].path, "/domain/devices/hostdev");
}

static int set_up(void **state)
{
	(void)state;
	xml_init();
	if (!mkdtemp(base_dir))
		return -1;
	(void)snprintf(images, sizeof images, "%s/images", base_dir);
	(void)snprintf(shares, sizeof shares, "%s/shares", base_dir);
	(void)snprintf(logs, sizeof logs, "%s/logs", base_dir);
	(void)snprintf(outside, sizeof outside, "%s/outside", base_dir);
	return mkdir(images, 0700) || mkdir(shares, 0700) || mkdir(logs, 0700) ||
		mkdir(outside, 0700);
}

static int tear_down(void **state)
{
	char command[128];
	(void)state;
	(void)snprintf(command, sizeof command, "rm -rf '%s'", base_dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_other_door_is_shut),
		cmocka_unit_test(test_files_lead_nowhere_else),
		cmocka_unit_test(test_an_images_header_names_nothing_outside),
		cmocka_unit_test(test_templates_and_ordinary_domains_pass),
		cmocka_unit_test(test_every_violation_is_reported),
	};
	return cmocka_run_group_tests_name("policy", tests, set_up, tear_down);
}
