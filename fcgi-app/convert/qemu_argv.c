/* SPDX-License-Identifier: MIT */
#include "convert/qemu_argv.h"

#include "base/text.h"
#include "convert/qemu_convenience.h"
#include "convert/qemu_device.h"
#include "convert/qemu_machine.h"

#include <string.h>

/* The table */

enum arity { ALONE, VALUE, LIST };

#define OWN "libvirt does this itself"
#define CONTROLLER "libvirt adds controllers as devices need them"
#define PROCESS "libvirt runs and watches the process"
#define MONITOR "libvirt has its own monitor"

#define SETS(member, what) .at = offsetof(struct qemu_guest, member), .says = (what)
static qemu_reader read_flag;
static qemu_reader read_text;
static qemu_reader read_path;

static const struct qemu_row {
	const char *names; /* separated by | */
	enum arity arity;
	const char *first; /* of a LIST: the key of a first value that has none; or NULL */
	qemu_reader *read; /* NULL: another option reads it, or nothing does */
	const char
		*ignore; /* keys of a LIST that libvirt sets by itself, separated by |; or NULL */
	bool later;      /* read after all others, because it refers to them */
	/* For the three readers below: the member that it sets, and what it became. */
	size_t at;
	const char *says;
	enum qemu_outcome outcome;
	const char *text; /* what it becomes, or why it does not, for the document */
} rows[] = {
	{ "machine|M", LIST, "type", qemu_read_machine,
		.ignore = "usb|vmport|dump-guest-core|memory-backend|graphics|kernel-irqchip|mem-"
			  "merge|sata|smbus|pit|pic",
		.text = "machine, accelerator, ACPI, HPET" },
	{ "accel", LIST, "accel", qemu_read_accel, .ignore = "thread",
		.text = "`type` of the domain: kvm or qemu" },
	{ "enable-kvm", ALONE, NULL, read_flag, SETS(kvm, "type 'kvm'"),
		.text = "`type` of the domain: kvm" },
	{ "cpu", LIST, "model", qemu_read_cpu, .text = "CPU model; features are not kept" },
	{ "smp", LIST, "cpus", qemu_read_smp, .text = "`vcpus`, topology" },
	{ "m", LIST, "size", qemu_read_memory, .text = "`memory_kib`" },
	{ "kernel", VALUE, NULL, read_path, SETS(kernel, "kernel"), .text = "`kernel`" },
	{ "initrd", VALUE, NULL, read_path, SETS(initrd, "initrd"), .text = "`initrd`" },
	{ "append", VALUE, NULL, read_text, SETS(cmdline, "cmdline"), .text = "`cmdline`" },
	{ "name", LIST, "guest", qemu_read_name, .ignore = "process|debug-threads",
		.text = "`name`" },
	{ "uuid", VALUE, NULL, read_text, SETS(uuid, "uuid"), .text = "uuid" },
	{ "drive", LIST, NULL, qemu_read_drive,
		.text = "`disks`: file, format, if, media, readonly, serial" },
	{ "blockdev", LIST, "driver", NULL, .text = "the image of a disk: file, raw, qcow2" },
	{ "hda|hdb|hdc|hdd|cdrom|fda|fdb", VALUE, NULL, qemu_read_image_file, .text = "`disks`" },
	{ "device", LIST, "driver", qemu_read_device, .ignore = QEMU_DEVICE_IGNORE, .later = true,
		.text = "disks, interfaces, shares, serial, video, input, rng, watchdog: see "
			"below" },
	{ "netdev", LIST, "type", NULL,
		.text = "network of an interface: user becomes a network, tap a bridge" },
	{ "nic", LIST, "type", qemu_read_nic, .ignore = "id", .text = "`interfaces`" },
	{ "net", LIST, "type", qemu_read_net, .ignore = "name|vlan|netdev",
		.text = "`interfaces`" },
	{ "fsdev", LIST, "fsdriver", NULL, .text = "the directory of a share" },
	{ "virtfs", LIST, "fsdriver", qemu_read_virtfs, .ignore = "id", .text = "`filesystems`" },
	{ "serial", VALUE, NULL, qemu_read_serial, .later = true,
		.text = "`serial`: stdio, pty, file, none, a chardev" },
	{ "chardev", LIST, "backend", NULL, .text = "backend of a serial console" },
	{ "object", LIST, "qom-type", NULL, .text = "rng-random: the source of an rng" },
	{ "display", LIST, "type", qemu_read_display, .text = "`graphics`" },
	{ "nographic", ALONE, NULL, read_flag,
		SETS(no_graphics, "no graphics; there is always a serial console"),
		.text = "`graphics` none" },
	{ "vnc", VALUE, NULL, qemu_read_vnc, .text = "`graphics` vnc, on the loopback" },
	{ "vga", VALUE, NULL, qemu_read_vga, .text = "video" },
	{ "usbdevice", VALUE, NULL, qemu_read_usbdevice, .text = "input" },
	{ "rtc", LIST, "base", qemu_read_rtc, .ignore = "clock|driftfix", .text = "clock" },
	{ "boot", LIST, "order", qemu_read_boot, .ignore = "strict", .text = "boot order" },
	{ "no-reboot", ALONE, NULL, read_flag, SETS(no_reboot, "on_reboot destroy"),
		.text = "on_reboot destroy" },
	{ "no-acpi", ALONE, NULL, read_flag, SETS(no_acpi, "no ACPI"), .text = "no ACPI" },
	{ "no-hpet", ALONE, NULL, read_flag, SETS(no_hpet, "no HPET"), .text = "no HPET" },
	{ "watchdog", VALUE, NULL, qemu_read_watchdog, .text = "watchdog" },

	{ "daemonize|no-shutdown|S|nodefaults|no-user-config|nodefconfig", ALONE,
		.outcome = QEMU_DROPPED, .text = OWN },
	{ "pidfile|runas|chroot|sandbox|msg|overcommit|add-fd|D|d", VALUE, .outcome = QEMU_DROPPED,
		.text = PROCESS },
	{ "monitor|qmp|qmp-pretty|mon", VALUE, .outcome = QEMU_DROPPED, .text = MONITOR },
	{ "usb", ALONE, .outcome = QEMU_DROPPED, .text = CONTROLLER },
	{ "balloon", VALUE, .outcome = QEMU_DROPPED, .text = "libvirt adds a balloon itself" },
	{ "parallel", VALUE, .outcome = QEMU_DROPPED, .text = "VMs have no parallel port" },
	{ "watchdog-action", VALUE, .outcome = QEMU_DROPPED,
		.text = "a watchdog always resets the guest" },
	{ "mem-prealloc|snapshot|full-screen|alt-grab|ctrl-grab", ALONE, .outcome = QEMU_UNMAPPED,
		.text = "virtgate has no such setting" },

	{ "bios|pflash|L|option-rom|dtb|acpitable|smbios|fw_cfg", VALUE, .outcome = QEMU_UNMAPPED,
		.text = "virtgate does not allow other firmware or firmware tables" },
	{ "sd|mtdblock", VALUE, .outcome = QEMU_UNMAPPED, .text = "virtgate has no such drive" },
	{ "spice|g|k|audio|audiodev|soundhw", VALUE, .outcome = QEMU_UNMAPPED,
		.text = "virtgate has VNC without sound only" },
	{ "gdb", VALUE, .outcome = QEMU_UNMAPPED,
		.text = "virtgate does not open a port for a debugger" },
	{ "s", ALONE, .outcome = QEMU_UNMAPPED,
		.text = "virtgate does not open a port for a debugger" },
	{ "incoming|loadvm|global|set|readconfig|action|icount|trace|numa|mem-path|tpmdev|vfio",
		VALUE, .outcome = QEMU_UNMAPPED, .text = "virtgate has no counterpart" },
};

static int read_flag(struct qemu_reading *r, struct qemu_option *o)
{
	*(bool *)((char *)r->guest + o->row->at) = true;
	qemu_say(o, QEMU_MAPPED, "%s", o->row->says);
	return 0;
}

static int read_text(struct qemu_reading *r, struct qemu_option *o)
{
	*(const char **)(void *)((char *)r->guest + o->row->at) = o->value;
	qemu_say(o, QEMU_MAPPED, "%s", o->row->says);
	return 0;
}

static int read_path(struct qemu_reading *r, struct qemu_option *o)
{
	*(const char **)(void *)((char *)r->guest + o->row->at) = qemu_path(o->value);
	qemu_say(o, QEMU_MAPPED, "%s", o->row->says);
	return 0;
}

static const struct qemu_row *find_row(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (text_is_word(rows[i].names, '|', name))
			return &rows[i];
	return NULL;
}

/* The command line */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static bool is_qemu(const char *word)
{
	const char *name = base_name(word);
	return !strncmp(name, "qemu-system-", strlen("qemu-system-")) ||
		text_is_word("qemu-kvm|kvm|qemu", '|', name);
}

/* libvirt has the kernel's names. */
static const char *arch_of(const char *word)
{
	const char *name = base_name(word);
	if (strncmp(name, "qemu-system-", strlen("qemu-system-")) != 0)
		return "x86_64";
	name += strlen("qemu-system-");
	return !strcmp(name, "i386") ? "i686" : name;
}

/* The number of words before QEMU's options: sudo, assignments, QEMU's own name. */
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
	static const struct qemu_row image = { "", VALUE, .read = qemu_read_image_file };
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
	/* An unknown option takes the next word, unless that looks like an option. */
	bool takes = o->row ? o->row->arity != ALONE : *at < count && words[*at][0] != '-';
	if (!takes)
		return 0;
	if (*at == count)
		return qemu_bad(r, o, "the value is missing");
	o->item.value = o->value = words[(*at)++];
	if (o->row && o->row->arity == LIST)
		return qemu_list_parse(o->value, o->row->first, &o->list, r->err);
	return 0;
}

static int read_options(struct qemu_reading *r, bool later)
{
	for (size_t i = 0; i < r->option_count; i++) {
		struct qemu_option *o = &r->options[i];
		if (!o->row || !o->row->read || o->row->later != later)
			continue;
		if (o->row->ignore)
			qemu_list_ignore(&o->list, o->row->ignore);
		if (o->row->read(r, o) < 0)
			return -1;
	}
	return 0;
}

/* For an option whose outcome no reader has set. */
static void conclude_option(struct qemu_option *o)
{
	if (o->item.text[0])
		return;
	if (!o->row)
		qemu_say(o, QEMU_UNMAPPED, "virtgate does not know this option");
	else if (o->row->read || o->row->outcome == QEMU_MAPPED)
		qemu_say(o, QEMU_UNMAPPED, "no other option uses it");
	else
		qemu_say(o, o->row->outcome, "%s", o->row->text);
}

/* Reports the properties of a mapped option that no reader has taken: they are lost. */
static void add_leftovers(const struct qemu_option *o, struct qemu_argv *argv)
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
		(void)snprintf(item->text, sizeof item->text, "this property was not kept");
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
		conclude_option(&argv->options[i]);
		argv->items[argv->item_count++] = argv->options[i].item;
		add_leftovers(&argv->options[i], argv);
	}
	return 0;
}

static int read_command(
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
			"command line: it has no qemu-system-… with options");
	r.options = argv->options = calloc(count, sizeof *argv->options);
	if (!r.options)
		return err_memory(err);
	int rc = 0;
	while (!rc && at < count) {
		rc = read_option(&r, words, count, &at);
		argv->option_count = r.option_count;
	}
	return rc < 0 || read_options(&r, false) < 0 || read_options(&r, true) < 0 ? -1 : 0;
}

int qemu_argv_read(const char *const *words, size_t count, struct qemu_argv *ret, struct err *err)
{
	enum { QEMUS_MEMORY_KIB = 128 * 1024 }; /* QEMU's default */
	struct qemu_argv argv = { .guest = { .arch = "x86_64", .memory_kib = QEMUS_MEMORY_KIB } };
	int rc = read_command(&argv, words, count, err);
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
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		qemu_print_row(out, "-", rows[i].names, outcomes[rows[i].outcome], rows[i].text);
	(void)fputc('\n', out);
	qemu_device_print(out);
}
