/* SPDX-License-Identifier: MIT */
#include "definition/policy.h"

#include "base/text.h"
#include "base/uuid.h"
#include "definition/metadata.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum rule {
	NOTHING, /* an element without text of its own; an attribute that must be empty */
	WORDS,   /* one of arg, separated by | */
	NUMBER,  /* a whole number from min to max */
	HEX,     /* the same, also as 0x… */
	TOKEN,   /* up to max of letters, digits and . _ + - : */
	TEXT,    /* up to max bytes of anything */
	SIZE,    /* with @unit, at most max KiB */
	NAME,    /* of a VM */
	UUID,
	MAC,
	DISK,    /* sda, vdb, …: libvirt makes a controller for every seven up to a far one */
	NETWORK, /* one of VIRTGATE_NETWORKS */
	BRIDGE,  /* one of VIRTGATE_BRIDGES */
	KERNEL,  /* a file beneath VIRTGATE_IMAGES */
	IMAGE,   /* the same, its header checked */
	SHARE,   /* a directory beneath VIRTGATE_SHARES */
	LOG,     /* a file beneath VIRTGATE_LOGS */
	OPAQUE,  /* whatever stands below, libvirt only keeps it */
};

/*
 * The table. A path ends in an element or in /@attribute; what follows is the rule for its text or
 * value, and how many there may be of an element below one parent (0: one).
 */
static const struct row {
	const char *path;
	enum rule rule;
	const char *arg;
	int64_t min, max;
	int count;
	bool required; /* of an attribute */
} rows[] = {
#define ADDRESS(device) \
	{ device "/address", NOTHING }, \
		{ device "/address/@type", WORDS, "pci|drive|virtio-serial|usb|isa" }, \
		{ device "/address/@domain", HEX, .max = 0 }, \
		{ device "/address/@bus", HEX, .max = 255 }, \
		{ device "/address/@slot", HEX, .max = 31 }, \
		{ device "/address/@function", HEX, .max = 7 }, \
		{ device "/address/@multifunction", WORDS, "on|off" }, \
		{ device "/address/@controller", NUMBER, .max = 31 }, \
		{ device "/address/@target", NUMBER, .max = 255 }, \
		{ device "/address/@unit", NUMBER, .max = 16383 }, \
		{ device "/address/@port", TOKEN, .max = 16 }, { device "/alias", NOTHING }, \
	{ \
		device "/alias/@name", TOKEN, .max = 64 \
	}
#define CHARDEV(device) \
	{ device, NOTHING, .count = 4 }, { device "/@type", WORDS, "pty" }, \
		{ device "/target", NOTHING }, \
		{ device "/target/@type", WORDS, "serial|virtio|isa-serial|pci-serial" }, \
		{ device "/target/@port", NUMBER, .max = 7 }, { device "/target/model", NOTHING }, \
		{ device "/target/model/@name", WORDS, \
			"isa-serial|pci-serial|virtconsole|16550a" }, \
		{ device "/log", NOTHING }, { device "/log/@file", LOG }, \
		{ device "/log/@append", WORDS, "on|off" }, ADDRESS(device)

	{ "/domain", NOTHING },
	{ "/domain/@type", WORDS, "kvm|qemu|test" },
	{ "/domain/name", NAME },
	{ "/domain/uuid", UUID },
	{ "/domain/title", TEXT, .max = 256 },
	{ "/domain/description", TEXT, .max = 8192 },
	{ "/domain/metadata", OPAQUE },
	{ "/domain/memory", SIZE, .max = 1LL << 30 },
	{ "/domain/memory/@unit", TOKEN, .max = 5 },
	{ "/domain/currentMemory", SIZE, .max = 1LL << 30 },
	{ "/domain/currentMemory/@unit", TOKEN, .max = 5 },
	{ "/domain/vcpu", NUMBER, .min = 1, .max = 256 },
	{ "/domain/vcpu/@placement", WORDS, "static" },
	{ "/domain/vcpu/@current", NUMBER, .min = 1, .max = 256 },
	{ "/domain/on_poweroff", WORDS, "destroy|restart|preserve" },
	{ "/domain/on_reboot", WORDS, "destroy|restart|preserve" },
	{ "/domain/on_crash", WORDS, "destroy|restart|preserve" },
	{ "/domain/os", NOTHING },
	{ "/domain/os/@firmware", WORDS, "bios|efi" },
	{ "/domain/os/type", WORDS, "hvm" },
	{ "/domain/os/type/@arch", WORDS, "i686|x86_64|aarch64|riscv64" },
	{ "/domain/os/type/@machine", TOKEN, .max = 64 },
	{ "/domain/os/kernel", KERNEL },
	{ "/domain/os/initrd", KERNEL },
	{ "/domain/os/cmdline", TEXT, .max = 4096 },
	{ "/domain/os/boot", NOTHING, .count = 4 },
	{ "/domain/os/boot/@dev", WORDS, "hd|cdrom|network|fd" },
	{ "/domain/os/bootmenu", NOTHING },
	{ "/domain/os/bootmenu/@enable", WORDS, "yes|no" },
	{ "/domain/os/bootmenu/@timeout", NUMBER, .max = 65535 },
	{ "/domain/features", NOTHING },
	{ "/domain/features/acpi", NOTHING },
	{ "/domain/features/apic", NOTHING },
	{ "/domain/features/pae", NOTHING },
	{ "/domain/features/vmport", NOTHING },
	{ "/domain/features/vmport/@state", WORDS, "on|off" },
	{ "/domain/cpu", NOTHING },
	{ "/domain/cpu/@mode", WORDS, "host-model|host-passthrough|maximum|custom" },
	{ "/domain/cpu/@match", WORDS, "minimum|exact|strict" },
	{ "/domain/cpu/@check", WORDS, "none|partial|full" },
	{ "/domain/cpu/@migratable", WORDS, "on|off" },
	{ "/domain/cpu/model", TOKEN, .max = 64 },
	{ "/domain/cpu/model/@fallback", WORDS, "allow|forbid" },
	{ "/domain/cpu/topology", NOTHING },
	{ "/domain/cpu/topology/@sockets", NUMBER, .min = 1, .max = 256 },
	{ "/domain/cpu/topology/@dies", NUMBER, .min = 1, .max = 256 },
	{ "/domain/cpu/topology/@cores", NUMBER, .min = 1, .max = 256 },
	{ "/domain/cpu/topology/@threads", NUMBER, .min = 1, .max = 256 },
	{ "/domain/clock", NOTHING },
	{ "/domain/clock/@offset", WORDS, "utc|localtime" },
	{ "/domain/clock/timer", NOTHING, .count = 8 },
	{ "/domain/clock/timer/@name", WORDS, "rtc|pit|hpet|tsc|kvmclock|hypervclock" },
	{ "/domain/clock/timer/@tickpolicy", WORDS, "delay|catchup|merge|discard" },
	{ "/domain/clock/timer/@present", WORDS, "yes|no" },
	{ "/domain/pm", NOTHING },
	{ "/domain/pm/suspend-to-mem", NOTHING },
	{ "/domain/pm/suspend-to-mem/@enabled", WORDS, "yes|no" },
	{ "/domain/pm/suspend-to-disk", NOTHING },
	{ "/domain/pm/suspend-to-disk/@enabled", WORDS, "yes|no" },

	{ "/domain/devices", NOTHING },
	{ "/domain/devices/disk", NOTHING, .count = 32 },
	{ "/domain/devices/disk/@type", WORDS, "file" },
	{ "/domain/devices/disk/@device", WORDS, "disk|cdrom|floppy" },
	{ "/domain/devices/disk/driver", NOTHING },
	{ "/domain/devices/disk/driver/@name", WORDS, "qemu" },
	{ "/domain/devices/disk/driver/@type", WORDS, "raw|qcow2" },
	{ "/domain/devices/disk/driver/@cache", WORDS,
		"default|none|writethrough|writeback|directsync|unsafe" },
	{ "/domain/devices/disk/driver/@io", WORDS, "threads|native|io_uring" },
	{ "/domain/devices/disk/driver/@discard", WORDS, "unmap|ignore" },
	{ "/domain/devices/disk/driver/@detect_zeroes", WORDS, "on|off|unmap" },
	{ "/domain/devices/disk/source", NOTHING },
	{ "/domain/devices/disk/source/@file", IMAGE },
	{ "/domain/devices/disk/target", NOTHING },
	{ "/domain/devices/disk/target/@dev", DISK, .required = true },
	{ "/domain/devices/disk/target/@bus", WORDS, "virtio|ide|sata|scsi|usb|fdc" },
	{ "/domain/devices/disk/readonly", NOTHING },
	{ "/domain/devices/disk/backingStore", NOTHING },
	{ "/domain/devices/disk/serial", TOKEN, .max = 36 },
	{ "/domain/devices/disk/boot", NOTHING },
	{ "/domain/devices/disk/boot/@order", NUMBER, .min = 1, .max = 64 },
	ADDRESS("/domain/devices/disk"),
	{ "/domain/devices/controller", NOTHING, .count = 64 },
	{ "/domain/devices/controller/@type", WORDS, "pci|ide|sata|scsi|usb|virtio-serial|fdc" },
	{ "/domain/devices/controller/@index", NUMBER, .max = 63 },
	{ "/domain/devices/controller/@model", TOKEN, .max = 32 },
	{ "/domain/devices/controller/@ports", NUMBER, .max = 31 },
	{ "/domain/devices/controller/master", NOTHING },
	{ "/domain/devices/controller/master/@startport", NUMBER, .max = 15 },
	{ "/domain/devices/controller/model", NOTHING },
	{ "/domain/devices/controller/model/@name", TOKEN, .max = 32 },
	{ "/domain/devices/controller/target", NOTHING },
	{ "/domain/devices/controller/target/@chassis", NUMBER, .max = 255 },
	{ "/domain/devices/controller/target/@port", HEX, .max = 255 },
	{ "/domain/devices/controller/target/@hotplug", WORDS, "on|off" },
	ADDRESS("/domain/devices/controller"),
	{ "/domain/devices/interface", NOTHING, .count = 16 },
	{ "/domain/devices/interface/@type", WORDS, "network|bridge", .required = true },
	{ "/domain/devices/interface/mac", NOTHING },
	{ "/domain/devices/interface/mac/@address", MAC },
	{ "/domain/devices/interface/source", NOTHING },
	{ "/domain/devices/interface/source/@network", NETWORK },
	{ "/domain/devices/interface/source/@bridge", BRIDGE },
	{ "/domain/devices/interface/model", NOTHING },
	{ "/domain/devices/interface/model/@type", WORDS,
		"virtio|virtio-transitional|virtio-non-transitional|e1000|e1000e|rtl8139" },
	{ "/domain/devices/interface/driver", NOTHING },
	{ "/domain/devices/interface/driver/@name", WORDS, "qemu|vhost" },
	{ "/domain/devices/interface/driver/@txmode", WORDS, "iothread|timer" },
	{ "/domain/devices/interface/driver/@ioeventfd", WORDS, "on|off" },
	{ "/domain/devices/interface/driver/@event_idx", WORDS, "on|off" },
	{ "/domain/devices/interface/driver/@queues", NUMBER, .min = 1, .max = 16 },
	{ "/domain/devices/interface/link", NOTHING },
	{ "/domain/devices/interface/link/@state", WORDS, "up|down" },
	{ "/domain/devices/interface/boot", NOTHING },
	{ "/domain/devices/interface/boot/@order", NUMBER, .min = 1, .max = 64 },
	ADDRESS("/domain/devices/interface"),
	{ "/domain/devices/filesystem", NOTHING, .count = 8 },
	{ "/domain/devices/filesystem/@type", WORDS, "mount" },
	{ "/domain/devices/filesystem/@accessmode", WORDS, "mapped", .required = true },
	{ "/domain/devices/filesystem/@fmode", TOKEN, .max = 4 },
	{ "/domain/devices/filesystem/@dmode", TOKEN, .max = 4 },
	{ "/domain/devices/filesystem/driver", NOTHING },
	{ "/domain/devices/filesystem/driver/@type", WORDS, "path" },
	{ "/domain/devices/filesystem/source", NOTHING },
	{ "/domain/devices/filesystem/source/@dir", SHARE },
	{ "/domain/devices/filesystem/target", NOTHING },
	{ "/domain/devices/filesystem/target/@dir", TEXT, .max = 31 },
	{ "/domain/devices/filesystem/readonly", NOTHING },
	ADDRESS("/domain/devices/filesystem"),
	CHARDEV("/domain/devices/serial"),
	CHARDEV("/domain/devices/console"),
	{ "/domain/devices/channel", NOTHING, .count = 4 },
	{ "/domain/devices/channel/@type", WORDS, "unix" },
	{ "/domain/devices/channel/source", NOTHING },
	{ "/domain/devices/channel/source/@mode", WORDS, "bind" },
	{ "/domain/devices/channel/target", NOTHING },
	{ "/domain/devices/channel/target/@type", WORDS, "virtio" },
	{ "/domain/devices/channel/target/@name", WORDS, "org.qemu.guest_agent.0" },
	ADDRESS("/domain/devices/channel"),
	{ "/domain/devices/graphics", NOTHING },
	{ "/domain/devices/graphics/@type", WORDS, "vnc" },
	{ "/domain/devices/graphics/@port", WORDS, "-1" },
	{ "/domain/devices/graphics/@autoport", WORDS, "yes" },
	{ "/domain/devices/graphics/@websocket", WORDS, "-1" },
	{ "/domain/devices/graphics/@listen", WORDS, "127.0.0.1|::1" },
	{ "/domain/devices/graphics/listen", NOTHING },
	{ "/domain/devices/graphics/listen/@type", WORDS, "address", .required = true },
	{ "/domain/devices/graphics/listen/@address", WORDS, "127.0.0.1|::1", .required = true },
	{ "/domain/devices/video", NOTHING, .count = 4 },
	{ "/domain/devices/video/model", NOTHING },
	{ "/domain/devices/video/model/@type", WORDS, "cirrus|vga|virtio|bochs|none" },
	{ "/domain/devices/video/model/@vram", NUMBER, .max = 1 << 20 },
	{ "/domain/devices/video/model/@heads", NUMBER, .min = 1, .max = 4 },
	{ "/domain/devices/video/model/@primary", WORDS, "yes|no" },
	ADDRESS("/domain/devices/video"),
	{ "/domain/devices/input", NOTHING, .count = 8 },
	{ "/domain/devices/input/@type", WORDS, "mouse|keyboard|tablet" },
	{ "/domain/devices/input/@bus", WORDS, "ps2|usb|virtio" },
	ADDRESS("/domain/devices/input"),
	{ "/domain/devices/memballoon", NOTHING },
	{ "/domain/devices/memballoon/@model", WORDS, "virtio|none" },
	ADDRESS("/domain/devices/memballoon"),
	{ "/domain/devices/rng", NOTHING, .count = 4 },
	{ "/domain/devices/rng/@model", WORDS, "virtio" },
	{ "/domain/devices/rng/backend", WORDS, "/dev/urandom|/dev/random" },
	{ "/domain/devices/rng/backend/@model", WORDS, "random" },
	ADDRESS("/domain/devices/rng"),
	{ "/domain/devices/watchdog", NOTHING },
	{ "/domain/devices/watchdog/@model", WORDS, "i6300esb|itco|diag288" },
	{ "/domain/devices/watchdog/@action", WORDS, "reset|poweroff|pause|none" },
	ADDRESS("/domain/devices/watchdog"),
	{ "/domain/devices/panic", NOTHING },
	{ "/domain/devices/panic/@model", WORDS, "isa|pvpanic" },
	{ "/domain/devices/audio", NOTHING },
	{ "/domain/devices/audio/@id", NUMBER, .min = 1, .max = 1 },
	{ "/domain/devices/audio/@type", WORDS, "none" },

	{ "/domainsnapshot", NOTHING },
	{ "/domainsnapshot/name", NAME },
	{ "/domainsnapshot/description", TEXT, .max = 1000 },
	{ "/domainsnapshot/memory", NOTHING },
	{ "/domainsnapshot/memory/@snapshot", WORDS, "internal|no", .required = true },
	{ "/domainsnapshot/disks", NOTHING },
	{ "/domainsnapshot/disks/disk", NOTHING, .count = 32 },
	{ "/domainsnapshot/disks/disk/@name", DISK, .required = true },
	{ "/domainsnapshot/disks/disk/@snapshot", WORDS, "internal|no", .required = true },
};

/* Indices of the rows by path, and of those that are required; made once. */
static size_t sorted[ARRAY_LEN(rows)];
static size_t required[16];
static size_t required_count;

static int compare_rows(const void *a, const void *b)
{
	return strcmp(rows[*(const size_t *)a].path, rows[*(const size_t *)b].path);
}

static int compare_path(const void *path, const void *row)
{
	return strcmp(path, rows[*(const size_t *)row].path);
}

static void sort_rows(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		sorted[i] = i;
		if (rows[i].required) {
			assert(required_count < ARRAY_LEN(required));
			required[required_count++] = i;
		}
	}
	qsort(sorted, ARRAY_LEN(sorted), sizeof sorted[0], compare_rows);
}

static const struct row *find_row(const char *path)
{
	const size_t *found =
		bsearch(path, sorted, ARRAY_LEN(sorted), sizeof sorted[0], compare_path);
	return found ? &rows[*found] : NULL;
}

/* Values */

static bool is_number(const char *value, int base, int64_t min, int64_t max)
{
	char *end = NULL;
	errno = 0;
	bool hex = base == 0 && !strncmp(value, "0x", 2);
	if (!isxdigit((unsigned char)value[hex ? 2 : 0]) || isspace((unsigned char)value[0]))
		return false;
	long long n = strtoll(value, &end, hex ? 16 : 10);
	return !errno && end != value && !*end && n >= min && n <= max;
}

static bool is_token(const char *value, int64_t max)
{
	size_t n = strlen(value);
	for (const char *s = value; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("._+-:", *s))
			return false;
	return n && n <= (size_t)max;
}

static bool is_mac(const char *value)
{
	size_t n = strlen(value);
	for (size_t i = 0; i < n; i++)
		if (i % 3 == 2 ? value[i] != ':' : !isxdigit((unsigned char)value[i]))
			return false;
	return n == strlen("52:54:00:00:00:00");
}

static bool is_disk(const char *value)
{
	size_t n = strlen(value);
	bool known = !strncmp(value, "hd", 2) || !strncmp(value, "sd", 2) ||
		!strncmp(value, "vd", 2) || !strncmp(value, "fd", 2);
	return known && (n == 3 || n == 4) && islower((unsigned char)value[2]) &&
		(n == 3 || islower((unsigned char)value[3]));
}

bool policy_read_size(const char *value, const char *unit, uint64_t *ret_bytes)
{
	/* libvirt's units (formatdomain.html, "Memory Allocation"). */
	static const struct {
		const char *name;
		uint64_t bytes;
	} units[] = {
		{ "b", 1 },
		{ "bytes", 1 },
		{ "KB", 1000 },
		{ "k", 1024 },
		{ "KiB", 1024 },
		{ "MB", 1000000 },
		{ "M", 1 << 20 },
		{ "MiB", 1 << 20 },
		{ "GB", 1000000000 },
		{ "G", 1 << 30 },
		{ "GiB", 1 << 30 },
	};
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strcmp(units[i].name, unit ? unit : "KiB") != 0)
			continue;
		if (!is_number(value, 10, 0, (int64_t)(INT64_MAX / units[i].bytes)))
			return false;
		*ret_bytes = strtoull(value, NULL, 10) * units[i].bytes;
		return true;
	}
	return false;
}

static bool is_size(const char *value, const char *unit, int64_t max_kib)
{
	uint64_t bytes = 0;
	return policy_read_size(value, unit, &bytes) && bytes > 0 &&
		bytes <= (uint64_t)max_kib * 1024;
}

struct check {
	const struct config *config;
	struct policy_report *report;
	char path[256];
	const struct xml_node *node;
	bool out_of_memory;
	bool exhausted; /* some file could not be looked at */
};

static void violate(struct check *check, const char *value, const char *fmt, ...) FORMAT(3, 4);
static void violate(struct check *check, const char *value, const char *fmt, ...)
{
	struct policy_report *report = check->report;
	if (report->count == POLICY_REPORT_MAX)
		return;
	struct policy_violation *v = &report->found[report->count++];
	va_list args;
	va_start(args, fmt);
	(void)snprintf(v->path, sizeof v->path, "%s", check->path);
	(void)snprintf(v->value, sizeof v->value, "%s", value);
	(void)vsnprintf(v->rule, sizeof v->rule, fmt, args);
	va_end(args);
	text_mask_malformed(v->path);
	text_mask_malformed(v->value);
	text_mask_malformed(v->rule);
}

/* The directories that the paths of some rules lie beneath. */
static const struct {
	size_t member; /* of struct config */
	const char *setting;
} directories[] = {
	[KERNEL] = { offsetof(struct config, images), "VIRTGATE_IMAGES" },
	[IMAGE] = { offsetof(struct config, images), "VIRTGATE_IMAGES" },
	[SHARE] = { offsetof(struct config, shares), "VIRTGATE_SHARES" },
	[LOG] = { offsetof(struct config, logs), "VIRTGATE_LOGS" },
};

static bool is_path_rule(enum rule rule)
{
	return rule < ARRAY_LEN(directories) && directories[rule].setting;
}

static const char *root_of(enum rule rule, const struct config *config)
{
	const char *member = (const char *)config + directories[rule].member;
	return *(const char *const *)(const void *)member;
}

/* Only qcow2 leads elsewhere by its header: what another image holds is data. */
static bool is_qcow2_disk(const struct xml_node *source)
{
	const struct xml_node *driver = xml_child(xml_parent(source), "driver");
	AUTO(free) char *format = driver ? xml_attr(driver, "type") : NULL;
	return format && !strcmp(format, "qcow2");
}

static enum hostpath_kind kind_of(enum rule rule, const struct xml_node *node)
{
	if (rule == SHARE)
		return HOSTPATH_DIRECTORY;
	if (rule == LOG)
		return HOSTPATH_NEW_FILE;
	return rule == IMAGE && is_qcow2_disk(node) ? HOSTPATH_IMAGE : HOSTPATH_FILE;
}

/* Relative, as the client may have written it: where the root lies is the host's affair. */
static const char *relative(const char *path, const char *root)
{
	const char *rest = hostpath_below(root, path);
	return rest ? rest : path;
}

static const struct xml_node *root_of_document(const struct xml_node *node)
{
	for (const struct xml_node *up; (up = xml_parent(node));)
		node = up;
	return node;
}

static void check_path(struct check *check, enum rule rule, const char *value)
{
	const char *root = root_of(rule, check->config);
	/* One that is yet to be made: where it will lie is all that there is to look at. */
	bool made = rule == IMAGE && metadata_has_disk(root_of_document(check->node), value);
	enum hostpath_kind kind = made ? HOSTPATH_FILE : kind_of(rule, check->node);
	const char *why = hostpath_refusal(root, value, kind);
	int qcow2 = !why && rule == IMAGE && !made && kind == HOSTPATH_FILE
		? hostpath_is_qcow2(root, value)
		: 0;
	if (why == hostpath_exhausted || qcow2 < 0) {
		check->exhausted = true;
		return;
	}
	if (qcow2)
		why = "it is a qcow2 image, and its format says raw";
	if (!why && rule == KERNEL && strchr(value, ','))
		why = "it has a comma, where QEMU takes the name apart";
	if (why)
		violate(check, relative(value, root), "a path beneath %s: %s",
			directories[rule].setting, why);
}

static void check_value(struct check *check, const struct row *row, const char *value)
{
	AUTO(free) char *unit = row->rule == SIZE ? xml_attr(check->node, "unit") : NULL;
	switch (row->rule) {
	case NOTHING:
		if (*value)
			violate(check, value, "nothing stands here");
		break;
	case WORDS:
		if (!text_is_word(row->arg, '|', value))
			violate(check, value, "one of %s", row->arg);
		break;
	case NUMBER:
	case HEX:
		if (!is_number(value, row->rule == HEX ? 0 : 10, row->min, row->max))
			violate(check, value, "a number from %lld to %lld", (long long)row->min,
				(long long)row->max);
		break;
	case TOKEN:
		if (!is_token(value, row->max))
			violate(check, value,
				"1 to %lld of letters, digits and . _ + - :", (long long)row->max);
		break;
	case TEXT:
		if (strlen(value) > (size_t)row->max)
			violate(check, value, "at most %lld bytes", (long long)row->max);
		break;
	case SIZE:
		if (!is_size(value, unit, row->max))
			violate(check, value, "a size of at most %lld KiB, its unit at most GiB",
				(long long)row->max);
		break;
	case NAME:
		if (!text_is_name(value))
			violate(check, value, TEXT_NAME_RULE);
		break;
	case UUID:
		if (!uuid_is(value))
			violate(check, value, "a uuid");
		break;
	case MAC:
		if (!is_mac(value))
			violate(check, value, "a MAC address such as 52:54:00:12:34:56");
		break;
	case DISK:
		if (!is_disk(value))
			violate(check, value, "hd, sd, vd or fd, and one or two of a to z");
		break;
	case NETWORK:
		if (!text_is_word(check->config->networks, ',', value))
			violate(check, value, "one of the networks of VIRTGATE_NETWORKS");
		break;
	case BRIDGE:
		if (!text_is_word(check->config->bridges, ',', value))
			violate(check, value, "one of the bridges of VIRTGATE_BRIDGES");
		break;
	case KERNEL:
	case IMAGE:
	case SHARE:
	case LOG:
		check_path(check, row->rule, value);
		break;
	case OPAQUE:
		break;
	}
}

/* The tree */

static void append(struct check *check, const char *text)
{
	size_t n = strlen(check->path);
	size_t len = strnlen(text, sizeof check->path - 1 - n);
	memcpy(check->path + n, text, len);
	check->path[n + len] = '\0';
}

/* Extends the path for the length of a scope; returns what it was. */
static size_t descend(struct check *check, const char *separator, const char *name)
{
	size_t n = strlen(check->path);
	append(check, separator);
	append(check, name);
	return n;
}

static void check_attr(const char *name, const char *value, bool foreign, void *data)
{
	struct check *check = data;
	if (check->report->count == POLICY_REPORT_MAX)
		return;
	size_t n = descend(check, "/@", name);
	const struct row *row = foreign ? NULL : find_row(check->path);
	if (row)
		check_value(check, row, value);
	else
		violate(check, value, "this attribute is not allowed");
	check->path[n] = '\0';
}

/* Do we and libvirt read this rule's text alike with white space around it? */
static bool may_be_padded(enum rule rule)
{
	return rule == NUMBER || rule == SIZE || rule == TEXT || rule == NAME || rule == UUID;
}

static void check_text(struct check *check, const struct row *row)
{
	if (row->rule == NOTHING) {
		if (xml_has_text(check->node))
			violate(check, "", "no text stands here");
		return;
	}
	AUTO(free) char *text =
		may_be_padded(row->rule) ? xml_node_text(check->node) : xml_raw_text(check->node);
	if (!text)
		check->out_of_memory = true;
	else
		check_value(check, row, text);
}

/* An attribute that is missing is one that libvirt or its configuration chooses. */
static void check_required(struct check *check)
{
	size_t n = strlen(check->path);
	for (size_t i = 0; i < required_count; i++) {
		const char *path = rows[required[i]].path;
		if (strncmp(path, check->path, n) != 0 || strncmp(path + n, "/@", 2) != 0)
			continue;
		AUTO(free) char *value = xml_attr(check->node, path + n + 2);
		if (value)
			continue;
		(void)descend(check, "", path + n);
		violate(check, "", "this attribute is required");
		check->path[n] = '\0';
	}
}

/* Are there more elements of this name up to here than the row allows? */
static bool is_one_too_many(const struct xml_node *node, const struct row *row)
{
	int allowed = row->count ? row->count : 1;
	const struct xml_node *parent = xml_parent(node);
	int seen = 0;
	for (const struct xml_node *n = parent ? xml_first(parent) : node; n; n = xml_sibling(n)) {
		seen += !strcmp(xml_name(n), xml_name(node));
		if (n == node || seen > allowed)
			break;
	}
	return seen > allowed;
}

static void check_element(struct check *check, const struct xml_node *node);

static void check_inside(struct check *check, const struct row *row, const struct xml_node *node)
{
	check->node = node;
	if (xml_each_attr(node, check_attr, check) < 0)
		check->out_of_memory = true;
	check_required(check);
	check_text(check, row);
	for (const struct xml_node *n = xml_first(node); n; n = xml_sibling(n))
		check_element(check, n);
}

/* Everybody's but ours is only kept; ours is what virtgate itself goes by. */
static void check_metadata(struct check *check, const struct xml_node *metadata)
{
	for (const struct xml_node *n = xml_first(metadata); n; n = xml_sibling(n)) {
		const char *uri = xml_uri(n);
		const char *why = uri && !strcmp(uri, METADATA_URI) ? metadata_refusal(n) : NULL;
		if (why)
			violate(check, xml_name(n), "%s: %s", METADATA_URI, why);
	}
}

static void check_element(struct check *check, const struct xml_node *node)
{
	if (check->report->count == POLICY_REPORT_MAX)
		return;
	size_t n = descend(check, "/", xml_name(node));
	const struct row *row = find_row(check->path);
	if (!row)
		violate(check, "", "this element is not allowed");
	else if (xml_is_foreign(node))
		violate(check, "", "it must not be in a namespace, nor declare one");
	else if (is_one_too_many(node, row))
		violate(check, "", "at most %d of these", row->count ? row->count : 1);
	else if (row->rule == OPAQUE)
		check_metadata(check, node);
	else
		check_inside(check, row, node);
	check->path[n] = '\0';
}

/*
 * What no row can say alone: a disk states its format, or QEMU would guess it from what a guest may
 * have written there.
 */
static void check_disks(struct check *check, const struct xml_node *root)
{
	const struct xml_node *disk = xml_find(root, "devices/disk");
	(void)descend(check, "", "/domain/devices/disk/driver/@type");
	for (; disk; disk = xml_next(disk)) {
		const struct xml_node *driver = xml_child(disk, "driver");
		AUTO(free) char *format = driver ? xml_attr(driver, "type") : NULL;
		if (!format && xml_child(disk, "source"))
			violate(check, "", "a disk with a source states its format");
	}
	check->path[0] = '\0';
}

static int refuse_exhausted(struct err *err)
{
	(void)err_set(
		err, ERR_HOST_BUSY, "the VM's files cannot be checked now: %s", hostpath_exhausted);
	return err_hint(err, "try again; if it stays so, its limit of open files is too low");
}

int policy_check(const struct xml *doc, const struct config *config, struct policy_report *ret,
	struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct check check = { .config = config, .report = ret };
	(void)pthread_once(&once, sort_rows);
	ret->count = 0;
	check_element(&check, xml_root(doc));
	check_disks(&check, xml_root(doc));
	if (check.out_of_memory)
		return err_memory(err);
	return check.exhausted ? refuse_exhausted(err) : 0;
}

/* Paths */

struct walk {
	const struct config *config;
	const struct row *row;
	policy_path_fn *each;
	void *data;
	struct err *err;
};

static int visit(struct xml_node *node, void *data)
{
	const struct walk *walk = data;
	const char *at = strchr(walk->row->path, '@');
	const char *attr = at ? at + 1 : NULL;
	AUTO(free) char *value = attr ? xml_attr(node, attr) : xml_raw_text(node);
	if (!value || !*value)
		return 0;
	const struct policy_path path = {
		.where = walk->row->path,
		.root = root_of(walk->row->rule, walk->config),
		.setting = directories[walk->row->rule].setting,
		.kind = kind_of(walk->row->rule, node),
		.node = node,
		.attr = attr,
		.value = value,
	};
	return walk->each(&path, walk->data, walk->err);
}

int policy_each_path(const struct xml_node *domain, const struct config *config,
	policy_path_fn *each, void *data, struct err *err)
{
	struct xml_node *root = (struct xml_node *)(uintptr_t)domain;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct walk walk = { config, &rows[i], each, data, err };
		if (is_path_rule(rows[i].rule) &&
			xml_each_at(root, rows[i].path + strlen("/domain/"), visit, &walk) < 0)
			return -1;
	}
	return 0;
}

static int recheck_path(const struct policy_path *path, void *data, struct err *err)
{
	const bool *off = data;
	const char *value = hostpath_below(path->root, path->value);
	enum hostpath_kind image = *off ? HOSTPATH_IDLE_IMAGE : HOSTPATH_SEEN_IMAGE;
	enum hostpath_kind kind = path->kind == HOSTPATH_IMAGE ? image : path->kind;
	const char *why = value ? hostpath_refusal(path->root, path->value, kind) : NULL;
	if (!why)
		return 0;
	if (why == hostpath_exhausted)
		return refuse_exhausted(err);
	if (why == hostpath_in_use)
		return err_set(
			err, ERR_STORAGE_UNAVAILABLE, "%s '%.200s': %s", path->where, value, why);
	return err_set(err, ERR_POLICY_DENIED, "the policy does not allow %s '%.200s': %s",
		path->where, value, why);
}

int policy_recheck(
	const struct xml_node *domain, const struct config *config, bool off, struct err *err)
{
	if (config->policy == POLICY_OFF)
		return 0;
	return policy_each_path(domain, config, recheck_path, &off, err);
}

static void print_rule(FILE *out, const struct row *row)
{
	static const char *const names[] = {
		[SIZE] = "a size in units of up to GiB",
		[NAME] = TEXT_NAME_RULE,
		[UUID] = "a uuid",
		[MAC] = "a MAC address",
		[DISK] = "hd, sd, vd or fd, and one or two of a to z",
		[NETWORK] = "one of VIRTGATE_NETWORKS",
		[BRIDGE] = "one of VIRTGATE_BRIDGES",
		[KERNEL] = "a file beneath VIRTGATE_IMAGES",
		[IMAGE] = "a file beneath VIRTGATE_IMAGES, and so what its header names",
		[SHARE] = "a directory beneath VIRTGATE_SHARES",
		[LOG] = "a file beneath VIRTGATE_LOGS",
		[OPAQUE] =
			"anything: libvirt only keeps it; our own namespace holds labels and disks",
	};
	switch (row->rule) {
	case NOTHING:
		break;
	case WORDS:
		(void)fputs(row->arg, out);
		break;
	case NUMBER:
	case HEX:
		(void)fprintf(out, "%lld to %lld", (long long)row->min, (long long)row->max);
		break;
	case TOKEN:
		(void)fprintf(
			out, "1 to %lld of letters, digits and . _ + - :", (long long)row->max);
		break;
	case TEXT:
		(void)fprintf(out, "at most %lld bytes", (long long)row->max);
		break;
	case SIZE:
	case NAME:
	case UUID:
	case MAC:
	case DISK:
	case NETWORK:
	case BRIDGE:
	case KERNEL:
	case IMAGE:
	case SHARE:
	case LOG:
	case OPAQUE:
		(void)fputs(names[row->rule], out);
		break;
	}
}

void policy_print(FILE *out)
{
	(void)fputs("# What domain and snapshot XML may say. Of an element there is one below its "
		    "parent "
		    "unless\n# more are said. A disk with a source states its format.\n",
		out);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		(void)fprintf(out, "%-52s ", rows[i].path);
		print_rule(out, &rows[i]);
		bool element = !strchr(rows[i].path, '@');
		if (rows[i].required)
			(void)fputs(" (required)", out);
		if (element && rows[i].count)
			(void)fprintf(out, " (up to %d)", rows[i].count);
		(void)fputc('\n', out);
	}
}
