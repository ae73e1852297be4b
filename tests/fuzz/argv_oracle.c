/* SPDX-License-Identifier: MIT */
#include "argv_oracle.h"

#include "argv_words.h"

#include <ctype.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum judgement {
	FREE,     /* only the guest sees it, or nobody */
	LABEL,    /* letters, digits and . _ + - : as in ids, which no path or command has */
	NUMBER,   /* begins like one, and goes on with letters and digits: 0x1f, 64k */
	SWITCH,   /* on, off, true or false */
	WORDS,    /* one of arg, separated by | */
	PATTERN,  /* one of arg, with wildcards that match no slash: chosen by libvirt */
	BENEATH,  /* a path beneath one of the directories in arg: images, shares, logs, firmware */
	LOOPBACK, /* 127.0.0.1 or [::1], and a display */
};

/* The options, and the property that a first word without '=' is the value of. */
static const struct option {
	const char *name;
	enum { ALONE, WHOLE, PROPERTIES } form;
	const char *first;
} options[] = {
	{ "-S", ALONE },
	{ "-accel", PROPERTIES, "accel" },
	{ "-append", WHOLE },
	{ "-audiodev", PROPERTIES, "driver" },
	{ "-bios", WHOLE },
	{ "-blockdev", PROPERTIES, "driver" },
	{ "-boot", PROPERTIES, "order" },
	{ "-chardev", PROPERTIES, "backend" },
	{ "-cpu", PROPERTIES, "model" },
	{ "-device", PROPERTIES, "driver" },
	{ "-display", WHOLE },
	{ "-fsdev", PROPERTIES, "fsdriver" },
	{ "-global", WHOLE },
	{ "-initrd", WHOLE },
	{ "-kernel", WHOLE },
	{ "-m", PROPERTIES, "size" },
	{ "-machine", PROPERTIES, "type" },
	{ "-mon", PROPERTIES, "chardev" },
	{ "-msg", PROPERTIES, "timestamp" },
	{ "-name", PROPERTIES, "guest" },
	{ "-netdev", PROPERTIES, "type" },
	{ "-no-acpi", ALONE },
	{ "-no-hpet", ALONE },
	{ "-no-reboot", ALONE },
	{ "-no-shutdown", ALONE },
	{ "-no-user-config", ALONE },
	{ "-nodefaults", ALONE },
	{ "-object", PROPERTIES, "qom-type" },
	{ "-overcommit", PROPERTIES, "mem-lock" },
	{ "-rtc", PROPERTIES, "base" },
	{ "-sandbox", PROPERTIES, "enable" },
	{ "-smp", PROPERTIES, "cpus" },
	{ "-usb", ALONE },
	{ "-uuid", WHOLE },
	{ "-vnc", PROPERTIES, "addr" },
	{ "-watchdog-action", WHOLE },
};

/* Named by libvirt after the VM's id, which is -1 for one that does not run, and its name. */
#define OWN_DIR "/var/lib/libvirt/qemu/domain--1-*"
#define OWN_CHANNEL "/var/lib/libvirt/qemu/channel/target/domain--1-*"

/*
 * Values: of environment variables, options ("" stands for a whole value) and properties. Where
 * there are several rows one must fit.
 */
static const struct row {
	const char *option, *key; /* "*": any key that is a label */
	enum judgement judgement;
	const char *arg;
} rows[] = {
	{ "environment", "HOME", PATTERN, OWN_DIR },
	{ "environment", "LC_ALL", WORDS, "C" },
	/* libvirtd's own, as tests/e2e/libvirtd sets it. */
	{ "environment", "PATH", WORDS,
		"/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin" },
	{ "environment", "XDG_CACHE_HOME", PATTERN, OWN_DIR "/.cache" },
	{ "environment", "XDG_CONFIG_HOME", PATTERN, OWN_DIR "/.config" },
	{ "environment", "XDG_DATA_HOME", PATTERN, OWN_DIR "/.local/share" },
	{ "emulator", "", PATTERN, "/usr/bin/qemu-system-*" },

	{ "-accel", "accel", WORDS, "kvm|tcg" },
	{ "-append", "", FREE },
	{ "-audiodev", "driver", WORDS, "none" },
	{ "-audiodev", "id", LABEL },
	{ "-bios", "", BENEATH, "firmware" },
	{ "-blockdev", "aio", WORDS, "threads|native|io_uring" },
	{ "-blockdev", "auto-read-only", SWITCH },
	{ "-blockdev", "backing", WORDS, "null" },
	{ "-blockdev", "cache.direct", SWITCH },
	{ "-blockdev", "cache.no-flush", SWITCH },
	{ "-blockdev", "detect-zeroes", WORDS, "on|off|unmap" },
	{ "-blockdev", "discard", WORDS, "unmap|ignore" },
	{ "-blockdev", "driver", WORDS, "file|raw|qcow2" },
	{ "-blockdev", "file", LABEL },
	{ "-blockdev", "filename", BENEATH, "images|firmware|nvram" },
	{ "-blockdev", "node-name", LABEL },
	{ "-blockdev", "read-only", SWITCH },
	{ "-boot", "menu", SWITCH },
	{ "-boot", "order", LABEL },
	{ "-boot", "splash-time", NUMBER },
	{ "-boot", "strict", SWITCH },
	{ "-chardev", "backend", WORDS, "pty|socket" },
	{ "-chardev", "id", LABEL },
	{ "-chardev", "logappend", SWITCH },
	{ "-chardev", "logfile", BENEATH, "logs" },
	{ "-chardev", "path", PATTERN,
		OWN_DIR "/monitor.sock|" OWN_CHANNEL "/org.qemu.guest_agent.0|" OWN_CHANNEL
			"/vioser-[0-9]*-[0-9]*-[0-9]*.sock" },
	{ "-chardev", "server", WORDS, "on" },
	{ "-chardev", "wait", SWITCH },
	{ "-cpu", "*", LABEL },
	{ "-display", "", WORDS, "none" },
	{ "-fsdev", "dmode", NUMBER },
	{ "-fsdev", "fmode", NUMBER },
	{ "-fsdev", "fsdriver", WORDS, "local" },
	{ "-fsdev", "id", LABEL },
	{ "-fsdev", "path", BENEATH, "shares" },
	{ "-fsdev", "readonly", SWITCH },
	{ "-fsdev", "security_model", WORDS, "mapped" },
	{ "-global", "", PATTERN,
		"ICH9-LPC.*acpi*hotplug*=o*|PIIX4_PM.acpi*hotplug*=o*|ICH9-LPC.disable_s?=?|PIIX4_"
		"PM.disable_s?=?|kvm-pit.lost_tick_policy=*|"
		"isa-fdc.bootindex?=*" },
	{ "-initrd", "", BENEATH, "images" },
	{ "-kernel", "", BENEATH, "images" },
	{ "-m", "size", NUMBER },
	{ "-machine", "dump-guest-core", SWITCH },
	{ "-machine", "hpet", SWITCH },
	{ "-machine", "memory-backend", LABEL },
	{ "-machine", "pflash0", LABEL },
	{ "-machine", "pflash1", LABEL },
	{ "-machine", "type", LABEL },
	{ "-machine", "usb", SWITCH },
	{ "-machine", "vmport", SWITCH },
	{ "-mon", "chardev", WORDS, "charmonitor" },
	{ "-mon", "id", LABEL },
	{ "-mon", "mode", WORDS, "control" },
	{ "-msg", "timestamp", SWITCH },
	{ "-name", "debug-threads", SWITCH },
	{ "-name", "guest", LABEL },
	{ "-netdev", "fd", NUMBER },
	{ "-netdev", "id", LABEL },
	{ "-netdev", "type", WORDS, "tap" },
	{ "-object", "file", PATTERN, OWN_DIR "/master-key.aes" },
	{ "-object", "filename", WORDS, "/dev/urandom|/dev/random" },
	{ "-object", "format", WORDS, "raw" },
	{ "-object", "id", LABEL },
	{ "-object", "qom-type", WORDS, "memory-backend-ram|rng-random|secret" },
	{ "-object", "size", NUMBER },
	{ "-overcommit", "mem-lock", SWITCH },
	{ "-rtc", "base", WORDS, "utc|localtime" },
	{ "-rtc", "driftfix", WORDS, "slew" },
	{ "-sandbox", "elevateprivileges", WORDS, "deny" },
	{ "-sandbox", "enable", WORDS, "on" },
	{ "-sandbox", "obsolete", WORDS, "deny" },
	{ "-sandbox", "resourcecontrol", WORDS, "deny" },
	{ "-sandbox", "spawn", WORDS, "deny" },
	{ "-smp", "*", NUMBER },
	{ "-uuid", "", LABEL },
	{ "-vnc", "addr", LOOPBACK },
	{ "-vnc", "audiodev", LABEL },
	{ "-vnc", "websocket", NUMBER },
	{ "-watchdog-action", "", WORDS, "reset|poweroff|pause|none" },

	/*
	 * Devices that exist only in the guest. What they stand on is said by other options, but
	 * for the likes of vfio-pci, usb-host, scsi-block and vhost-user, which are not here.
	 */
	{ "-device", "driver", PATTERN,
		/* buses */
		"ahci|am53c974|dc-390|ich9-ahci|ich9-usb-*|ioh3420|i82801b11-bridge|isa-fdc|lsi|"
		"megasas|"
		"mptsas1068|nec-usb-xhci|pci-bridge|pci-ohci|pcie-pci-bridge|pcie-root-port|"
		"piix3-usb-uhci|piix4-usb-uhci|pvscsi|spapr-pci-host-bridge|spapr-vscsi|pxb|pxb-"
		"pcie|qemu-xhci|usb-ehci|"
		"vt82c686b-usb-uhci|x3130-upstream|xio3130-downstream|virtio-scsi-pci*|"
		"virtio-serial-pci*" },
	{ "-device", "driver", PATTERN,
		/* disks, interfaces, shares */
		"floppy|ide-cd|ide-hd|scsi-cd|scsi-hd|usb-storage|virtio-blk-pci*|e1000|e1000e|"
		"rtl8139|virtio-net-pci*|virtio-9p-pci*" },
	{ "-device", "driver", PATTERN,
		/* what a user has */
		"isa-serial|pci-serial|usb-hub|virtconsole|virtserialport|usb-kbd|usb-mouse|usb-"
		"tablet|"
		"virtio-keyboard-pci|virtio-mouse-pci|virtio-tablet-pci|VGA|bochs-display|"
		"cirrus-vga|secondary-vga|virtio-gpu-pci|virtio-vga" },
	{ "-device", "driver", PATTERN,
		/* and the rest */
		"i6300esb|pvpanic|virtio-balloon-pci*|virtio-rng-pci*" },
	{ "-device", "addr", LABEL },
	{ "-device", "bootindex", NUMBER },
	{ "-device", "bus", LABEL },
	{ "-device", "bus_nr", NUMBER },
	{ "-device", "channel", NUMBER },
	{ "-device", "chardev", LABEL },
	{ "-device", "chassis", NUMBER },
	{ "-device", "chassis_nr", NUMBER },
	{ "-device", "device_id", LABEL },
	{ "-device", "drive", LABEL },
	{ "-device", "event_idx", SWITCH },
	{ "-device", "firstport", NUMBER },
	{ "-device", "fsdev", LABEL },
	{ "-device", "host_mtu", NUMBER },
	{ "-device", "hotplug", SWITCH },
	{ "-device", "id", LABEL },
	{ "-device", "index", NUMBER },
	{ "-device", "ioeventfd", SWITCH },
	{ "-device", "iobase", NUMBER },
	{ "-device", "irq", NUMBER },
	{ "-device", "lun", NUMBER },
	{ "-device", "mac", LABEL },
	{ "-device", "masterbus", LABEL },
	{ "-device", "max_outputs", NUMBER },
	{ "-device", "max_ports", NUMBER },
	{ "-device", "mount_tag", FREE },
	{ "-device", "mq", SWITCH },
	{ "-device", "multifunction", SWITCH },
	{ "-device", "name", WORDS, "org.qemu.guest_agent.0" },
	{ "-device", "netdev", LABEL },
	{ "-device", "nr", NUMBER },
	{ "-device", "p2", NUMBER },
	{ "-device", "p3", NUMBER },
	{ "-device", "port", LABEL },
	{ "-device", "reg", NUMBER },
	{ "-device", "removable", SWITCH },
	{ "-device", "rng", LABEL },
	{ "-device", "scsi-id", NUMBER },
	{ "-device", "serial", LABEL },
	{ "-device", "tx", WORDS, "bh|timer" },
	{ "-device", "unit", NUMBER },
	{ "-device", "vectors", NUMBER },
	{ "-device", "vgamem", NUMBER },
	{ "-device", "vgamem_mb", NUMBER },
	{ "-device", "write-cache", SWITCH },
};

struct judge {
	const struct argv_world *world;
	char *why;
	/* Block nodes whose file is a trap: fine as raw data, but not as an image. */
	char trapped[64][64];
	size_t trapped_count;
};

static bool refuse(const struct judge *judge, const char *fmt, ...) FORMAT(2, 3);
static bool refuse(const struct judge *judge, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(judge->why, ARGV_WHY_SIZE, fmt, args);
	va_end(args);
	return false;
}

/* Values */

static bool is_label(const char *value)
{
	for (const char *s = value; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("._+-:", *s))
			return false;
	return *value;
}

static bool is_number(const char *value)
{
	const char *s = value + (*value == '-');
	bool digit = isdigit((unsigned char)*s);
	while (isalnum((unsigned char)*s))
		s++;
	return digit && !*s;
}

static bool is_pattern(const char *patterns, const char *value)
{
	char pattern[128];
	for (size_t n; *patterns; patterns += n + (patterns[n] == '|')) {
		n = strcspn(patterns, "|");
		(void)snprintf(pattern, sizeof pattern, "%.*s", (int)n, patterns);
		if (!fnmatch(pattern, value, FNM_PATHNAME | FNM_NOESCAPE))
			return true;
	}
	return false;
}

static bool climbs(const char *path)
{
	const char *s = strstr(path, "/..");
	while (s && s[3] && s[3] != '/')
		s = strstr(s + 3, "/..");
	return s;
}

/* Where a path leads; of one that does not exist (yet) the directories that do. */
static bool resolve(const char *path, char ret[static PATH_MAX])
{
	char dir[PATH_MAX];
	(void)snprintf(dir, sizeof dir, "%s", path);
	while (!realpath(dir, ret)) {
		char *slash = strrchr(dir, '/');
		if (!slash || slash == dir)
			return false;
		*slash = '\0';
	}
	size_t n = strlen(ret);
	const char *rest = path + strlen(dir);
	return !climbs(rest) && snprintf(ret + n, PATH_MAX - n, "%s", rest) < PATH_MAX - (int)n;
}

static bool is_beneath(const char *directory, const char *path)
{
	char root[PATH_MAX];
	char real[PATH_MAX];
	if (path[0] != '/' || !resolve(directory, root) || !resolve(path, real))
		return false;
	size_t n = strlen(root);
	return !strncmp(root, real, n) && real[n] == '/' && real[n + 1];
}

static bool is_beneath_one(const struct argv_world *world, const char *names, const char *path)
{
	const struct {
		const char *name, *directory;
	} places[] = {
		{ "images", world->images },
		{ "shares", world->shares },
		{ "logs", world->logs },
		{ "firmware", "/usr/share" },
		{ "nvram", "/var/lib/libvirt/qemu/nvram" },
	};
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (text_is_word(names, '|', places[i].name) &&
			is_beneath(places[i].directory, path))
			return true;
	return false;
}

static bool is_loopback(const char *value)
{
	static const char *const hosts[] = { "127.0.0.1:", "[::1]:" };
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		size_t n = strlen(hosts[i]);
		if (!strncmp(value, hosts[i], n))
			return is_number(value + n);
	}
	return false;
}

static bool is_allowed(const struct argv_world *world, const struct row *row, const char *value)
{
	switch (row->judgement) {
	case FREE:
		return true;
	case LABEL:
		return is_label(value);
	case NUMBER:
		return is_number(value);
	case SWITCH:
		return text_is_word("on|off|true|false", '|', value);
	case WORDS:
		return text_is_word(row->arg, '|', value);
	case PATTERN:
		return is_pattern(row->arg, value);
	case BENEATH:
		return is_beneath_one(world, row->arg, value);
	case LOOPBACK:
		return is_loopback(value);
	}
	return false;
}

static bool judge_value(
	const struct judge *judge, const char *option, const char *key, const char *value)
{
	bool known = false;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *row = &rows[i];
		bool any = !strcmp(row->key, "*") && is_label(key);
		if (strcmp(row->option, option) != 0 || (!any && strcmp(row->key, key) != 0))
			continue;
		if (is_allowed(judge->world, row, value))
			return true;
		known = true;
	}
	return refuse(judge, "%s %s='%.200s' is not %s", option, key, value,
		known ? "allowed" : "known to be harmless");
}

/* An image format reads the header of its file, and opens what that names. */
static bool judge_node(struct judge *judge, const struct pairs *pairs)
{
	const char *name = strrchr(pairs_find(pairs, "filename"), '/');
	bool raw = text_is_word("file|raw", '|', pairs_find(pairs, "driver"));
	bool trapped = name && text_is_word(judge->world->traps, '|', name + 1);
	for (size_t i = 0; i < judge->trapped_count; i++)
		trapped = trapped || !strcmp(judge->trapped[i], pairs_find(pairs, "file"));
	if (!trapped)
		return true;
	if (!raw || judge->trapped_count == ARRAY_LEN(judge->trapped))
		return refuse(judge, "-blockdev '%s' follows a header that leads out",
			pairs_find(pairs, "node-name"));
	(void)snprintf(judge->trapped[judge->trapped_count++], sizeof judge->trapped[0], "%s",
		pairs_find(pairs, "node-name"));
	return true;
}

static bool judge_properties(struct judge *judge, const struct option *option, const char *text)
{
	AUTO_PAIRS struct pairs pairs = { 0 };
	if (!pairs_read(&pairs, option->first, text))
		return refuse(judge, "%s '%.200s' cannot be read", option->name, text);
	for (size_t i = 0; i < pairs.count; i++)
		if (!judge_value(judge, option->name, pairs.list[i].key, pairs.list[i].value))
			return false;
	return strcmp(option->name, "-blockdev") != 0 || judge_node(judge, &pairs);
}

static bool judge_option(struct judge *judge, const char *name, char **rest)
{
	const struct option *option = NULL;
	char *value = NULL;
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (!strcmp(options[i].name, name))
			option = &options[i];
	if (!option)
		return refuse(judge, "'%.200s' is no option that is known to be harmless", name);
	if (option->form == ALONE)
		return true;
	*rest = argv_take_word(*rest, &value);
	return option->form == WHOLE ? judge_value(judge, name, "", value)
				     : judge_properties(judge, option, value);
}

bool argv_stays_within(
	const char *command, const struct argv_world *world, char why[static ARGV_WHY_SIZE])
{
	AUTO(free) char *copy = strdup(command);
	struct judge judge = { .world = world, .why = why };
	bool emulator = false;
	char *word = NULL;
	for (char *rest = copy; rest && *rest;) {
		rest = argv_take_word(rest, &word);
		char *equals = emulator ? NULL : strchr(word, '=');
		if (equals)
			*equals = '\0';
		bool harmless = equals ? judge_value(&judge, "environment", word, equals + 1)
			: emulator     ? judge_option(&judge, word, &rest)
				       : judge_value(&judge, "emulator", "", word);
		if (!harmless)
			return false;
		emulator = emulator || !equals;
	}
	return emulator || refuse(&judge, "no program is run");
}
