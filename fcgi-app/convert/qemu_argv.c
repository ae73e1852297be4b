/* SPDX-License-Identifier: MIT */
#include "convert/qemu_argv.h"

#include "base/text.h"
#include "convert/qemu_device.h"

#include <string.h>
#include <strings.h>

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* The machine */

static void read_accel(struct qemu_reading *r, struct qemu_option *o, const char *accel)
{
	/* A list of which QEMU takes the first that works, as VIRTGATE_ACCEL does. */
	r->guest->kvm = strcasestr(accel, "kvm") != NULL;
	qemu_say(o, QEMU_MAPPED, "type '%s'", r->guest->kvm ? "kvm" : "qemu");
}

static int on_machine(struct qemu_reading *r, struct qemu_option *o)
{
	const char *type = qemu_list_take(&o->list, "type");
	const char *accel = qemu_list_take(&o->list, "accel");
	const char *acpi = qemu_list_take(&o->list, "acpi");
	const char *hpet = qemu_list_take(&o->list, "hpet");
	/* What libvirt chooses, or sets, by itself. */
	static const char *const own[] = { "usb", "vmport", "dump-guest-core", "memory-backend",
		"graphics", "kernel-irqchip", "mem-merge", "sata", "smbus", "pit", "pic" };
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		(void)qemu_list_take(&o->list, own[i]);
	if (accel)
		read_accel(r, o, accel);
	if (acpi)
		r->guest->no_acpi = !strcmp(acpi, "off");
	if (hpet)
		r->guest->no_hpet = !strcmp(hpet, "off");
	if (type && !strncmp(type, "microvm", strlen("microvm"))) {
		qemu_say(o, QEMU_UNMAPPED,
			"libvirt does not know microvm; its default machine is taken");
		return 0;
	}
	if (type)
		r->guest->machine = type;
	qemu_say(o, QEMU_MAPPED, "machine%s%s", type ? " " : "", type ? type : "");
	return 0;
}

static int on_accel(struct qemu_reading *r, struct qemu_option *o)
{
	const char *accel = qemu_list_take(&o->list, "accel");
	(void)qemu_list_take(&o->list, "thread");
	read_accel(r, o, accel ? accel : "");
	return 0;
}

static int on_enable_kvm(struct qemu_reading *r, struct qemu_option *o)
{
	read_accel(r, o, "kvm");
	return 0;
}

static int on_cpu(struct qemu_reading *r, struct qemu_option *o)
{
	r->guest->cpu = qemu_list_take(&o->list, "model");
	qemu_say(o, QEMU_MAPPED, "cpu %s", r->guest->cpu ? r->guest->cpu : "");
	return r->guest->cpu ? 0 : qemu_bad(r, o, "a CPU's model is missing");
}

/* As QEMU does (hw/core/machine-smp.c): of what is not said one takes the rest, the others are one.
 */
static bool complete_topology(struct qemu_guest *g)
{
	int *const parts[] = { &g->sockets, &g->cores, &g->threads };
	int said = 1;
	int *open = NULL;
	for (size_t i = ARRAY_LEN(parts); i-- > 0;) {
		if (*parts[i])
			said *= *parts[i];
		else
			open = parts[i];
	}
	if (!g->sockets && !g->cores && !g->threads) {
		g->vcpus = g->vcpus ? g->vcpus : 1;
		return true;
	}
	if (!g->vcpus)
		g->vcpus = said;
	if (open)
		*open = g->vcpus / said;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		*parts[i] = *parts[i] ? *parts[i] : 1;
	return g->sockets * g->cores * g->threads == g->vcpus;
}

static int on_smp(struct qemu_reading *r, struct qemu_option *o)
{
	struct qemu_guest *g = r->guest;
	const struct {
		const char *key;
		int *to;
	} parts[] = { { "sockets", &g->sockets }, { "cores", &g->cores },
		{ "threads", &g->threads }, { "cpus", &g->vcpus }, { "maxcpus", &g->vcpus } };
	g->vcpus = g->sockets = g->cores = g->threads = 0;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		const char *value = qemu_list_take(&o->list, parts[i].key);
		if (value && !qemu_read_count(value, parts[i].to))
			return qemu_bad(r, o, "a count of CPUs is a whole number from 1");
	}
	if (!complete_topology(g))
		return qemu_bad(r, o, "sockets, cores and threads do not make up that many CPUs");
	qemu_say(o, QEMU_MAPPED, "vcpus %d", g->vcpus);
	return 0;
}

static int on_m(struct qemu_reading *r, struct qemu_option *o)
{
	uint64_t bytes = 0;
	const char *size = qemu_list_take(&o->list, "size");
	if (!size || !qemu_read_size(size, 1 << 20, &bytes) || bytes < 1024)
		return qemu_bad(
			r, o, "memory is a number of MiB, or one with a suffix such as 64M or 2G");
	r->guest->memory_kib = (int64_t)(bytes / 1024);
	qemu_say(o, QEMU_MAPPED, "memory_kib %lld", (long long)r->guest->memory_kib);
	return 0;
}

static int set_text(struct qemu_option *o, const char **to, const char *what)
{
	*to = o->value;
	qemu_say(o, QEMU_MAPPED, "%s", what);
	return 0;
}

static int on_kernel(struct qemu_reading *r, struct qemu_option *o)
{
	r->guest->kernel = qemu_path(o->value);
	qemu_say(o, QEMU_MAPPED, "kernel");
	return 0;
}

static int on_initrd(struct qemu_reading *r, struct qemu_option *o)
{
	r->guest->initrd = qemu_path(o->value);
	qemu_say(o, QEMU_MAPPED, "initrd");
	return 0;
}

static int on_append(struct qemu_reading *r, struct qemu_option *o)
{
	return set_text(o, &r->guest->cmdline, "cmdline");
}

static int on_uuid(struct qemu_reading *r, struct qemu_option *o)
{
	return set_text(o, &r->guest->uuid, "uuid");
}

static int on_name(struct qemu_reading *r, struct qemu_option *o)
{
	(void)qemu_list_take(&o->list, "process");
	(void)qemu_list_take(&o->list, "debug-threads");
	r->guest->name = qemu_list_take(&o->list, "guest");
	qemu_say(o, QEMU_MAPPED, "name");
	return 0;
}

static int on_rtc(struct qemu_reading *r, struct qemu_option *o)
{
	const char *base = qemu_list_take(&o->list, "base");
	(void)qemu_list_take(&o->list, "clock");
	(void)qemu_list_take(&o->list, "driftfix");
	if (base && !text_is_word("utc|localtime", '|', base)) {
		qemu_say(o, QEMU_UNMAPPED, "a clock that starts at a date is not kept");
		return 0;
	}
	r->guest->localtime = base && !strcmp(base, "localtime");
	qemu_say(o, QEMU_MAPPED, "clock %s", r->guest->localtime ? "localtime" : "utc");
	return 0;
}

static int on_no_reboot(struct qemu_reading *r, struct qemu_option *o)
{
	r->guest->no_reboot = true;
	qemu_say(o, QEMU_MAPPED, "on_reboot destroy");
	return 0;
}

static int on_no_acpi(struct qemu_reading *r, struct qemu_option *o)
{
	r->guest->no_acpi = true;
	qemu_say(o, QEMU_MAPPED, "no ACPI");
	return 0;
}

static int on_no_hpet(struct qemu_reading *r, struct qemu_option *o)
{
	r->guest->no_hpet = true;
	qemu_say(o, QEMU_MAPPED, "no HPET");
	return 0;
}

static int on_boot(struct qemu_reading *r, struct qemu_option *o)
{
	const char *order = qemu_list_take(&o->list, "order");
	(void)qemu_list_take(&o->list, "strict");
	if (order)
		r->guest->boot = order;
	qemu_say(o, QEMU_MAPPED, "boot order");
	return 0;
}

/* Disks */

static int on_drive(struct qemu_reading *r, struct qemu_option *o)
{
	static const char *const buses[][2] = { { "virtio", "virtio" }, { "ide", "ide" },
		{ "scsi", "scsi" }, { "floppy", "fdc" } };
	const char *interface = qemu_list_look(&o->list, "if");
	struct qemu_disk disk = { 0 };
	if (interface && !strcmp(interface, "none"))
		return 0; /* some device's */
	if (interface && text_is_word("pflash|sd|mtd|xen", '|', interface)) {
		qemu_say(o, QEMU_UNMAPPED, "a drive of this interface is not allowed");
		return 0;
	}
	(void)qemu_list_take(&o->list, "if");
	(void)qemu_list_take(&o->list, "id");
	(void)qemu_list_take(&o->list, "index");
	disk.bus = "ide"; /* QEMU's own default */
	for (size_t i = 0; interface && i < ARRAY_LEN(buses); i++)
		if (!strcmp(interface, buses[i][0]))
			disk.bus = buses[i][1];
	qemu_read_image(&o->list, &disk);
	disk.serial = qemu_list_take(&o->list, "serial");
	if (!strcmp(disk.bus, "fdc"))
		disk.device = "floppy";
	return qemu_add_disk(r, o, &disk);
}

/* -hda FILE, -cdrom FILE, a bare FILE; the name says which. */
static int on_image(struct qemu_reading *r, struct qemu_option *o)
{
	const char *name = o->item.option;
	struct qemu_disk disk = { .source = qemu_path(o->value), .bus = "ide" };
	if (!strcmp(name, "cdrom"))
		disk.device = "cdrom";
	if (!strncmp(name, "fd", 2)) {
		disk.device = "floppy";
		disk.bus = "fdc";
	}
	return qemu_add_disk(r, o, &disk);
}

/* Networks */

static const char *nic_model(struct qemu_list *list)
{
	const char *model = qemu_list_take(list, "model");
	if (!model)
		return "e1000"; /* QEMU's own default on a PC */
	return !strncmp(model, "virtio", strlen("virtio")) ? "virtio" : model;
}

static int on_nic(struct qemu_reading *r, struct qemu_option *o)
{
	struct qemu_interface interface = { 0 };
	const char *type = qemu_list_look(&o->list, "type");
	(void)qemu_list_take(&o->list, "id");
	if (type && !strcmp(type, "none")) {
		(void)qemu_list_take(&o->list, "type");
		qemu_say(o, QEMU_MAPPED, "no interface");
		return 0;
	}
	interface.model = nic_model(&o->list);
	interface.mac = qemu_list_take(&o->list, "mac");
	if (qemu_read_netdev(&o->list, &interface))
		return qemu_add_interface(r, o, &interface);
	qemu_say(o, QEMU_UNMAPPED, "only user, tap and bridge can be kept");
	return 0;
}

/* -net nic and -net user meet on a hub: the one makes the interface, the other says on what. */
static int on_net(struct qemu_reading *r, struct qemu_option *o)
{
	struct qemu_interface *last = r->guest->interface_count
		? &r->guest->interfaces[r->guest->interface_count - 1]
		: NULL;
	const char *type = qemu_list_look(&o->list, "type");
	(void)qemu_list_take(&o->list, "name");
	(void)qemu_list_take(&o->list, "vlan");
	(void)qemu_list_take(&o->list, "netdev");
	if (type && text_is_word("nic|none", '|', type))
		(void)qemu_list_take(&o->list, "type");
	if (type && !strcmp(type, "nic")) {
		struct qemu_interface interface = { .model = nic_model(&o->list) };
		interface.mac = qemu_list_take(&o->list, "macaddr");
		return qemu_add_interface(r, o, &interface);
	}
	if (type && !strcmp(type, "none")) {
		qemu_say(o, QEMU_MAPPED, "no interface");
		return 0;
	}
	struct qemu_interface on = { 0 };
	if (!qemu_read_netdev(&o->list, &on)) {
		qemu_say(o, QEMU_UNMAPPED, "only user, tap and bridge can be kept");
		return 0;
	}
	if (last)
		last->bridge = on.bridge;
	qemu_say(o, last ? QEMU_MAPPED : QEMU_UNMAPPED,
		last ? "what that interface is on" : "there is no -net nic before it");
	return 0;
}

/* Shares */

static int on_virtfs(struct qemu_reading *r, struct qemu_option *o)
{
	(void)qemu_list_take(&o->list, "id");
	return qemu_add_filesystem(r, o, &o->list, qemu_list_take(&o->list, "mount_tag"));
}

/* Serial and display */

static int on_serial(struct qemu_reading *r, struct qemu_option *o)
{
	if (r->has_serial) {
		qemu_say(o, QEMU_UNMAPPED, "one serial console is kept");
		return 0;
	}
	return qemu_set_serial(r, o, o->value);
}

static int on_display(struct qemu_reading *r, struct qemu_option *o)
{
	const char *type = qemu_list_take(&o->list, "type");
	r->guest->no_graphics = type && text_is_word("none|curses", '|', type);
	for (size_t i = 0; i < o->list.count; i++) /* how a window looks */
		o->list.item[i].taken = true;
	qemu_say(o, QEMU_MAPPED, r->guest->no_graphics ? "no graphics" : "VNC on the loopback");
	return 0;
}

static int on_nographic(struct qemu_reading *r, struct qemu_option *o)
{
	r->guest->no_graphics = true;
	qemu_say(o, QEMU_MAPPED, "no graphics; the serial console is there in any case");
	return 0;
}

static int on_vnc(struct qemu_reading *r, struct qemu_option *o)
{
	r->guest->no_graphics = !strcmp(o->value, "none");
	qemu_say(o, QEMU_MAPPED,
		r->guest->no_graphics ? "no graphics"
				      : "VNC on the loopback; libvirt chooses the port");
	return 0;
}

static int on_vga(struct qemu_reading *r, struct qemu_option *o)
{
	static const char *const models[][2] = { { "std", "vga" }, { "cirrus", "cirrus" },
		{ "virtio", "virtio" }, { "none", "none" } };
	for (size_t i = 0; i < ARRAY_LEN(models); i++)
		if (!strcmp(o->value, models[i][0]))
			return qemu_set_video(r, o, models[i][1]);
	qemu_say(o, QEMU_UNMAPPED, "only std, cirrus, virtio and none can be kept");
	return 0;
}

static int on_usbdevice(struct qemu_reading *r, struct qemu_option *o)
{
	static const char *const inputs[][2] = { { "tablet", "tablet usb" },
		{ "mouse", "mouse usb" }, { "keyboard", "keyboard usb" } };
	for (size_t i = 0; i < ARRAY_LEN(inputs); i++)
		if (!strcmp(o->value, inputs[i][0]))
			return qemu_add_input(r, o, inputs[i][1]);
	qemu_say(o, QEMU_UNMAPPED, "only tablet, mouse and keyboard can be kept");
	return 0;
}

static int on_watchdog(struct qemu_reading *r, struct qemu_option *o)
{
	if (strcmp(o->value, "i6300esb") == 0)
		return qemu_add_watchdog(r, o);
	qemu_say(o, QEMU_UNMAPPED, "only i6300esb can be kept");
	return 0;
}

/* The table */

typedef int handler(struct qemu_reading *r, struct qemu_option *o);

enum arity { ALONE, VALUE, LIST };

#define OWN "libvirt does this by itself"
#define CONTROLLER "libvirt adds controllers as devices need them"
#define PROCESS "libvirt runs and watches the process"
#define MONITOR "libvirt has its own monitor"

/* Names, what follows, key of a list's first value, what reads it; of those that nothing reads,
 * and of what a document says, outcome and text. */
static const struct qemu_row {
	const char *names; /* separated by | */
	enum arity arity;
	const char *first;
	handler *read;
	bool later; /* read when all others are: it speaks of them */
	enum qemu_outcome outcome;
	const char *text;
} rows[] = {
	{ "machine|M", LIST, "type", on_machine, .text = "machine, accelerator, ACPI, HPET" },
	{ "accel", LIST, "accel", on_accel, .text = "`type` of the domain: kvm or qemu" },
	{ "enable-kvm", ALONE, NULL, on_enable_kvm, .text = "`type` of the domain: kvm" },
	{ "cpu", LIST, "model", on_cpu, .text = "CPU model; its features are not kept" },
	{ "smp", LIST, "cpus", on_smp, .text = "`vcpus`, topology" },
	{ "m", LIST, "size", on_m, .text = "`memory_kib`" },
	{ "kernel", VALUE, NULL, on_kernel, .text = "`kernel`" },
	{ "initrd", VALUE, NULL, on_initrd, .text = "`initrd`" },
	{ "append", VALUE, NULL, on_append, .text = "`cmdline`" },
	{ "name", LIST, "guest", on_name, .text = "`name`" },
	{ "uuid", VALUE, NULL, on_uuid, .text = "uuid" },
	{ "drive", LIST, NULL, on_drive,
		.text = "`disks`: file, format, if, media, readonly, serial" },
	{ "blockdev", LIST, "driver", NULL, .text = "the image of a disk: file, raw, qcow2" },
	{ "hda|hdb|hdc|hdd|cdrom|fda|fdb", VALUE, NULL, on_image, .text = "`disks`" },
	{ "device", LIST, "driver", qemu_read_device, true,
		.text = "disks, interfaces, shares, serial, video, input, rng, watchdog: see "
			"below" },
	{ "netdev", LIST, "type", NULL,
		.text = "what an interface is on: user becomes a network, tap and bridge a "
			"bridge" },
	{ "nic", LIST, "type", on_nic, .text = "`interfaces`" },
	{ "net", LIST, "type", on_net, .text = "`interfaces`" },
	{ "fsdev", LIST, "fsdriver", NULL, .text = "the directory of a share" },
	{ "virtfs", LIST, "fsdriver", on_virtfs, .text = "`filesystems`" },
	{ "serial", VALUE, NULL, on_serial, true,
		.text = "`serial`: stdio, pty, file, none, a chardev" },
	{ "chardev", LIST, "backend", NULL, .text = "what a serial console is on" },
	{ "object", LIST, "qom-type", NULL, .text = "rng-random: the source of an rng" },
	{ "display", LIST, "type", on_display, .text = "`graphics`" },
	{ "nographic", ALONE, NULL, on_nographic, .text = "`graphics` none" },
	{ "vnc", VALUE, NULL, on_vnc, .text = "`graphics` vnc, on the loopback" },
	{ "vga", VALUE, NULL, on_vga, .text = "video" },
	{ "usbdevice", VALUE, NULL, on_usbdevice, .text = "input" },
	{ "rtc", LIST, "base", on_rtc, .text = "clock" },
	{ "boot", LIST, "order", on_boot, .text = "boot order" },
	{ "no-reboot", ALONE, NULL, on_no_reboot, .text = "on_reboot destroy" },
	{ "no-acpi", ALONE, NULL, on_no_acpi, .text = "no ACPI" },
	{ "no-hpet", ALONE, NULL, on_no_hpet, .text = "no HPET" },
	{ "watchdog", VALUE, NULL, on_watchdog, .text = "watchdog" },

	{ "daemonize|no-shutdown|S|nodefaults|no-user-config|nodefconfig", ALONE,
		.outcome = QEMU_DROPPED, .text = OWN },
	{ "pidfile|runas|chroot|sandbox|msg|overcommit|add-fd|D|d", VALUE, .outcome = QEMU_DROPPED,
		.text = PROCESS },
	{ "monitor|qmp|qmp-pretty|mon", VALUE, .outcome = QEMU_DROPPED, .text = MONITOR },
	{ "usb", ALONE, .outcome = QEMU_DROPPED, .text = CONTROLLER },
	{ "balloon", VALUE, .outcome = QEMU_DROPPED, .text = "libvirt adds a balloon by itself" },
	{ "parallel", VALUE, .outcome = QEMU_DROPPED, .text = "there is no parallel port" },
	{ "watchdog-action", VALUE, .outcome = QEMU_DROPPED,
		.text = "a watchdog resets the guest" },
	{ "mem-prealloc|snapshot|full-screen|alt-grab|ctrl-grab", ALONE, .outcome = QEMU_UNMAPPED,
		.text = "there is no such choice" },

	{ "bios|pflash|L|option-rom|dtb|acpitable|smbios|fw_cfg", VALUE, .outcome = QEMU_UNMAPPED,
		.text = "other firmware and its tables are not allowed" },
	{ "sd|mtdblock", VALUE, .outcome = QEMU_UNMAPPED, .text = "there is no such drive" },
	{ "spice|g|k|audio|audiodev|soundhw", VALUE, .outcome = QEMU_UNMAPPED,
		.text = "VNC without sound is all there is" },
	{ "gdb", VALUE, .outcome = QEMU_UNMAPPED, .text = "a debugger's port is not opened" },
	{ "s", ALONE, .outcome = QEMU_UNMAPPED, .text = "a debugger's port is not opened" },
	{ "incoming|loadvm|global|set|readconfig|action|icount|trace|numa|mem-path|tpmdev|vfio",
		VALUE, .outcome = QEMU_UNMAPPED, .text = "there is nothing that stands for it" },
};

static const struct qemu_row *find_row(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (text_is_word(rows[i].names, '|', name))
			return &rows[i];
	return NULL;
}

/* The command line */

static bool is_qemu(const char *word)
{
	const char *name = base_name(word);
	return !strncmp(name, "qemu-system-", strlen("qemu-system-")) ||
		text_is_word("qemu-kvm|kvm|qemu", '|', name);
}

/* libvirt calls them as the kernel does. */
static const char *arch_of(const char *word)
{
	const char *name = base_name(word);
	if (strncmp(name, "qemu-system-", strlen("qemu-system-")) != 0)
		return "x86_64";
	name += strlen("qemu-system-");
	return !strcmp(name, "i386") ? "i686" : name;
}

/* How many words are none of QEMU's options: sudo, assignments, its own name. */
static size_t find_start(const char *const *words, size_t count, struct qemu_guest *guest)
{
	for (size_t i = 0; i < count && words[i][0] != '-'; i++) {
		if (!is_qemu(words[i]))
			continue;
		guest->arch = arch_of(words[i]);
		guest->kvm = strstr(base_name(words[i]), "kvm") != NULL;
		return i + 1;
	}
	return count && words[0][0] == '-' ? 0 : count;
}

static int read_option(struct qemu_reading *r, const char *const *words, size_t count, size_t *at)
{
	struct qemu_option *o = &r->options[r->option_count++];
	static const struct qemu_row image = { "", VALUE, .read = on_image };
	const char *word = words[(*at)++];
	if (word[0] != '-' || !word[1]) {
		o->row = &image;
		o->item.option = "hda";
		o->item.value = o->value = word;
		return 0;
	}
	const char *name = word + 1 + (word[1] == '-');
	o->row = find_row(name);
	o->item.option = name;
	/* What is not known takes what follows, unless that looks like the next option. */
	bool takes = o->row ? o->row->arity != ALONE : *at < count && words[*at][0] != '-';
	if (!takes)
		return 0;
	if (*at == count)
		return qemu_bad(r, o, "its value is missing");
	o->item.value = o->value = words[(*at)++];
	if (o->row && o->row->arity == LIST)
		return qemu_list_parse(o->value, o->row->first, &o->list, r->err);
	return 0;
}

static int read_all(struct qemu_reading *r, bool later)
{
	for (size_t i = 0; i < r->option_count; i++) {
		struct qemu_option *o = &r->options[i];
		if (o->row && o->row->read && o->row->later == later && o->row->read(r, o) < 0)
			return -1;
	}
	return 0;
}

/* Of an option that nothing else has spoken of. */
static void conclude(struct qemu_option *o)
{
	if (o->item.text[0])
		return;
	if (!o->row)
		qemu_say(o, QEMU_UNMAPPED, "virtgate does not know this option");
	else if (o->row->read || o->row->outcome == QEMU_MAPPED)
		qemu_say(o, QEMU_UNMAPPED, "nothing uses it");
	else
		qemu_say(o, o->row->outcome, "%s", o->row->text);
}

/* A property that nobody took of an option that is kept is lost, and said so. */
static void tell_leftovers(const struct qemu_option *o, struct qemu_argv *argv)
{
	for (size_t i = 0; o->item.outcome == QEMU_MAPPED && i < o->list.count; i++) {
		if (o->list.item[i].taken)
			continue;
		struct qemu_item *item = &argv->items[argv->item_count++];
		*item = o->item;
		item->outcome = QEMU_UNMAPPED;
		bool flag = o->list.item[i].flag;
		(void)snprintf(item->property, sizeof item->property, "%.30s%s%.30s",
			o->list.item[i].key, flag ? "" : "=", flag ? "" : o->list.item[i].value);
		text_mask_malformed(item->property);
		(void)snprintf(item->text, sizeof item->text, "this property is not kept");
	}
}

static int collect_items(struct qemu_argv *argv, struct err *err)
{
	size_t most = argv->option_count + 1;
	for (size_t i = 0; i < argv->option_count; i++)
		most += argv->options[i].list.count;
	argv->items = calloc(most, sizeof *argv->items);
	if (!argv->items)
		return err_memory(err);
	for (size_t i = 0; i < argv->option_count; i++) {
		conclude(&argv->options[i]);
		argv->items[argv->item_count++] = argv->options[i].item;
		tell_leftovers(&argv->options[i], argv);
	}
	return 0;
}

static int read_words(
	struct qemu_argv *argv, const char *const *words, size_t count, struct err *err)
{
	struct qemu_reading r = { .guest = &argv->guest, .err = err };
	for (size_t i = 0; i < count; i++)
		if (!text_is_xml(words[i]))
			return err_set(err, ERR_INVALID_SPEC,
				"command line: word %zu has a control character", i + 1);
	size_t at = find_start(words, count, &argv->guest);
	if (at == count)
		return err_set(err, ERR_INVALID_SPEC,
			"command line: there is no qemu-system-… with options in it");
	r.options = argv->options = calloc(count, sizeof *argv->options);
	if (!r.options)
		return err_memory(err);
	int rc = 0;
	while (!rc && at < count) {
		rc = read_option(&r, words, count, &at);
		argv->option_count = r.option_count;
	}
	return rc < 0 || read_all(&r, false) < 0 || read_all(&r, true) < 0 ? -1 : 0;
}

int qemu_argv_read(const char *const *words, size_t count, struct qemu_argv *ret, struct err *err)
{
	enum { QEMUS_MEMORY_KIB = 128 * 1024 }; /* when it is not told otherwise */
	struct qemu_argv argv = { .guest = { .arch = "x86_64", .memory_kib = QEMUS_MEMORY_KIB } };
	int rc = read_words(&argv, words, count, err);
	if (!rc)
		rc = collect_items(&argv, err);
	if (rc < 0)
		qemu_argv_done(&argv);
	else
		*ret = argv;
	return rc;
}

void qemu_argv_done(struct qemu_argv *argv)
{
	for (size_t i = 0; i < argv->option_count; i++)
		qemu_list_done(&argv->options[i].list);
	free(argv->options);
	free(argv->items);
}

static const char *const outcomes[] = { QEMU_OUTCOMES(NAMED_ROW, NAMED_ROW) };

const char *qemu_outcome_name(enum qemu_outcome outcome)
{
	return outcomes[outcome];
}

void qemu_argv_print(FILE *out)
{
	(void)fputs("| option | outcome | to what, or why |\n|---|---|---|\n", out);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		(void)fputs("| ", out);
		for (const char *n = rows[i].names; *n; n += strcspn(n, "|"), n += *n == '|')
			(void)fprintf(out, "%s`-%.*s`", n == rows[i].names ? "" : ", ",
				(int)strcspn(n, "|"), n);
		(void)fprintf(out, " | %s | %s |\n", outcomes[rows[i].outcome], rows[i].text);
	}
	(void)fputc('\n', out);
	qemu_device_print(out);
}
