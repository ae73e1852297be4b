/* SPDX-License-Identifier: MIT */
#include "definition/policy_table.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

const struct policy_row policy_rows[] = {
/* Where a device sits on its bus. */
#define ADDRESS(device) \
	{ device "/address", RULE_NOTHING }, \
		{ device "/address/@type", RULE_WORDS, "pci|drive|virtio-serial|usb|isa" }, \
		{ device "/address/@domain", RULE_HEX, .max = 0 }, \
		{ device "/address/@bus", RULE_HEX, .max = 255 }, \
		{ device "/address/@slot", RULE_HEX, .max = 31 }, \
		{ device "/address/@function", RULE_HEX, .max = 7 }, \
		{ device "/address/@multifunction", RULE_WORDS, "on|off" }, \
		{ device "/address/@controller", RULE_NUMBER, .max = 31 }, \
		{ device "/address/@target", RULE_NUMBER, .max = 255 }, \
		{ device "/address/@unit", RULE_NUMBER, .max = 16383 }, \
		{ device "/address/@port", RULE_TOKEN, .max = 16 }, \
		{ device "/alias", RULE_NOTHING }, \
	{ \
		device "/alias/@name", RULE_TOKEN, .max = 64 \
	}
/* A serial port or a console. */
#define CHARDEV(device) \
	{ device, RULE_NOTHING, .count = 4 }, { device "/@type", RULE_WORDS, "pty" }, \
		{ device "/target", RULE_NOTHING }, \
		{ device "/target/@type", RULE_WORDS, "serial|virtio|isa-serial|pci-serial" }, \
		{ device "/target/@port", RULE_NUMBER, .max = 7 }, \
		{ device "/target/model", RULE_NOTHING }, \
		{ device "/target/model/@name", RULE_WORDS, \
			"isa-serial|pci-serial|virtconsole|16550a" }, \
		{ device "/log", RULE_NOTHING }, { device "/log/@file", RULE_LOG }, \
		{ device "/log/@append", RULE_WORDS, "on|off" }, ADDRESS(device)

	{ "/domain", RULE_NOTHING },
	{ "/domain/@type", RULE_WORDS, "kvm|qemu|test" },
	{ "/domain/name", RULE_NAME },
	{ "/domain/uuid", RULE_UUID },
	{ "/domain/title", RULE_TEXT, .max = 256 },
	{ "/domain/description", RULE_TEXT, .max = 8192 },
	{ "/domain/metadata", RULE_OPAQUE },
	{ "/domain/memory", RULE_SIZE, .max = 1LL << 30 },
	{ "/domain/memory/@unit", RULE_TOKEN, .max = 5 },
	{ "/domain/currentMemory", RULE_SIZE, .max = 1LL << 30 },
	{ "/domain/currentMemory/@unit", RULE_TOKEN, .max = 5 },
	{ "/domain/vcpu", RULE_NUMBER, .min = 1, .max = 256 },
	{ "/domain/vcpu/@placement", RULE_WORDS, "static" },
	{ "/domain/vcpu/@current", RULE_NUMBER, .min = 1, .max = 256 },
	{ "/domain/on_poweroff", RULE_WORDS, "destroy|restart|preserve" },
	{ "/domain/on_reboot", RULE_WORDS, "destroy|restart|preserve" },
	{ "/domain/on_crash", RULE_WORDS, "destroy|restart|preserve" },
	{ "/domain/os", RULE_NOTHING },
	{ "/domain/os/@firmware", RULE_WORDS, "bios|efi" },
	{ "/domain/os/type", RULE_WORDS, "hvm" },
	{ "/domain/os/type/@arch", RULE_WORDS, "i686|x86_64|aarch64|riscv64" },
	{ "/domain/os/type/@machine", RULE_TOKEN, .max = 64 },
	{ "/domain/os/kernel", RULE_KERNEL },
	{ "/domain/os/initrd", RULE_KERNEL },
	{ "/domain/os/cmdline", RULE_TEXT, .max = 4096 },
	{ "/domain/os/boot", RULE_NOTHING, .count = 4 },
	{ "/domain/os/boot/@dev", RULE_WORDS, "hd|cdrom|network|fd" },
	{ "/domain/os/bootmenu", RULE_NOTHING },
	{ "/domain/os/bootmenu/@enable", RULE_WORDS, "yes|no" },
	{ "/domain/os/bootmenu/@timeout", RULE_NUMBER, .max = 65535 },
	{ "/domain/features", RULE_NOTHING },
	{ "/domain/features/acpi", RULE_NOTHING },
	{ "/domain/features/apic", RULE_NOTHING },
	{ "/domain/features/pae", RULE_NOTHING },
	{ "/domain/features/vmport", RULE_NOTHING },
	{ "/domain/features/vmport/@state", RULE_WORDS, "on|off" },
	{ "/domain/cpu", RULE_NOTHING },
	{ "/domain/cpu/@mode", RULE_WORDS, "host-model|host-passthrough|maximum|custom" },
	{ "/domain/cpu/@match", RULE_WORDS, "minimum|exact|strict" },
	{ "/domain/cpu/@check", RULE_WORDS, "none|partial|full" },
	{ "/domain/cpu/@migratable", RULE_WORDS, "on|off" },
	{ "/domain/cpu/model", RULE_TOKEN, .max = 64 },
	{ "/domain/cpu/model/@fallback", RULE_WORDS, "allow|forbid" },
	{ "/domain/cpu/topology", RULE_NOTHING },
	{ "/domain/cpu/topology/@sockets", RULE_NUMBER, .min = 1, .max = 256 },
	{ "/domain/cpu/topology/@dies", RULE_NUMBER, .min = 1, .max = 256 },
	{ "/domain/cpu/topology/@cores", RULE_NUMBER, .min = 1, .max = 256 },
	{ "/domain/cpu/topology/@threads", RULE_NUMBER, .min = 1, .max = 256 },
	{ "/domain/clock", RULE_NOTHING },
	{ "/domain/clock/@offset", RULE_WORDS, "utc|localtime" },
	{ "/domain/clock/timer", RULE_NOTHING, .count = 8 },
	{ "/domain/clock/timer/@name", RULE_WORDS, "rtc|pit|hpet|tsc|kvmclock|hypervclock" },
	{ "/domain/clock/timer/@tickpolicy", RULE_WORDS, "delay|catchup|merge|discard" },
	{ "/domain/clock/timer/@present", RULE_WORDS, "yes|no" },
	{ "/domain/pm", RULE_NOTHING },
	{ "/domain/pm/suspend-to-mem", RULE_NOTHING },
	{ "/domain/pm/suspend-to-mem/@enabled", RULE_WORDS, "yes|no" },
	{ "/domain/pm/suspend-to-disk", RULE_NOTHING },
	{ "/domain/pm/suspend-to-disk/@enabled", RULE_WORDS, "yes|no" },

	{ "/domain/devices", RULE_NOTHING },
	{ "/domain/devices/disk", RULE_NOTHING, .count = 32 },
	{ "/domain/devices/disk/@type", RULE_WORDS, "file" },
	{ "/domain/devices/disk/@device", RULE_WORDS, "disk|cdrom|floppy" },
	{ "/domain/devices/disk/driver", RULE_NOTHING },
	{ "/domain/devices/disk/driver/@name", RULE_WORDS, "qemu" },
	{ "/domain/devices/disk/driver/@type", RULE_WORDS, "raw|qcow2" },
	{ "/domain/devices/disk/driver/@cache", RULE_WORDS,
		"default|none|writethrough|writeback|directsync|unsafe" },
	{ "/domain/devices/disk/driver/@io", RULE_WORDS, "threads|native|io_uring" },
	{ "/domain/devices/disk/driver/@discard", RULE_WORDS, "unmap|ignore" },
	{ "/domain/devices/disk/driver/@detect_zeroes", RULE_WORDS, "on|off|unmap" },
	{ "/domain/devices/disk/source", RULE_NOTHING },
	{ "/domain/devices/disk/source/@file", RULE_IMAGE },
	{ "/domain/devices/disk/target", RULE_NOTHING },
	{ "/domain/devices/disk/target/@dev", RULE_DISK, .required = true },
	{ "/domain/devices/disk/target/@bus", RULE_WORDS, "virtio|ide|sata|scsi|usb|fdc" },
	{ "/domain/devices/disk/readonly", RULE_NOTHING },
	{ "/domain/devices/disk/backingStore", RULE_NOTHING },
	{ "/domain/devices/disk/serial", RULE_TOKEN, .max = 36 },
	{ "/domain/devices/disk/boot", RULE_NOTHING },
	{ "/domain/devices/disk/boot/@order", RULE_NUMBER, .min = 1, .max = 64 },
	ADDRESS("/domain/devices/disk"),
	{ "/domain/devices/controller", RULE_NOTHING, .count = 64 },
	{ "/domain/devices/controller/@type", RULE_WORDS,
		"pci|ide|sata|scsi|usb|virtio-serial|fdc" },
	{ "/domain/devices/controller/@index", RULE_NUMBER, .max = 63 },
	{ "/domain/devices/controller/@model", RULE_TOKEN, .max = 32 },
	{ "/domain/devices/controller/@ports", RULE_NUMBER, .max = 31 },
	{ "/domain/devices/controller/master", RULE_NOTHING },
	{ "/domain/devices/controller/master/@startport", RULE_NUMBER, .max = 15 },
	{ "/domain/devices/controller/model", RULE_NOTHING },
	{ "/domain/devices/controller/model/@name", RULE_TOKEN, .max = 32 },
	{ "/domain/devices/controller/target", RULE_NOTHING },
	{ "/domain/devices/controller/target/@chassis", RULE_NUMBER, .max = 255 },
	{ "/domain/devices/controller/target/@port", RULE_HEX, .max = 255 },
	{ "/domain/devices/controller/target/@hotplug", RULE_WORDS, "on|off" },
	ADDRESS("/domain/devices/controller"),
	{ "/domain/devices/interface", RULE_NOTHING, .count = 16 },
	{ "/domain/devices/interface/@type", RULE_WORDS, "network|bridge", .required = true },
	{ "/domain/devices/interface/mac", RULE_NOTHING },
	{ "/domain/devices/interface/mac/@address", RULE_MAC },
	{ "/domain/devices/interface/source", RULE_NOTHING },
	{ "/domain/devices/interface/source/@network", RULE_NETWORK },
	{ "/domain/devices/interface/source/@bridge", RULE_BRIDGE },
	{ "/domain/devices/interface/model", RULE_NOTHING },
	{ "/domain/devices/interface/model/@type", RULE_WORDS,
		"virtio|virtio-transitional|virtio-non-transitional|e1000|e1000e|rtl8139" },
	{ "/domain/devices/interface/driver", RULE_NOTHING },
	{ "/domain/devices/interface/driver/@name", RULE_WORDS, "qemu|vhost" },
	{ "/domain/devices/interface/driver/@txmode", RULE_WORDS, "iothread|timer" },
	{ "/domain/devices/interface/driver/@ioeventfd", RULE_WORDS, "on|off" },
	{ "/domain/devices/interface/driver/@event_idx", RULE_WORDS, "on|off" },
	{ "/domain/devices/interface/driver/@queues", RULE_NUMBER, .min = 1, .max = 16 },
	{ "/domain/devices/interface/link", RULE_NOTHING },
	{ "/domain/devices/interface/link/@state", RULE_WORDS, "up|down" },
	{ "/domain/devices/interface/boot", RULE_NOTHING },
	{ "/domain/devices/interface/boot/@order", RULE_NUMBER, .min = 1, .max = 64 },
	ADDRESS("/domain/devices/interface"),
	{ "/domain/devices/filesystem", RULE_NOTHING, .count = 8 },
	{ "/domain/devices/filesystem/@type", RULE_WORDS, "mount" },
	{ "/domain/devices/filesystem/@accessmode", RULE_WORDS, "mapped", .required = true },
	{ "/domain/devices/filesystem/@fmode", RULE_TOKEN, .max = 4 },
	{ "/domain/devices/filesystem/@dmode", RULE_TOKEN, .max = 4 },
	{ "/domain/devices/filesystem/driver", RULE_NOTHING },
	{ "/domain/devices/filesystem/driver/@type", RULE_WORDS, "path" },
	{ "/domain/devices/filesystem/source", RULE_NOTHING },
	{ "/domain/devices/filesystem/source/@dir", RULE_SHARE },
	{ "/domain/devices/filesystem/target", RULE_NOTHING },
	{ "/domain/devices/filesystem/target/@dir", RULE_TEXT, .max = 31 },
	{ "/domain/devices/filesystem/readonly", RULE_NOTHING },
	ADDRESS("/domain/devices/filesystem"),
	CHARDEV("/domain/devices/serial"),
	CHARDEV("/domain/devices/console"),
	{ "/domain/devices/channel", RULE_NOTHING, .count = 4 },
	{ "/domain/devices/channel/@type", RULE_WORDS, "unix" },
	{ "/domain/devices/channel/source", RULE_NOTHING },
	{ "/domain/devices/channel/source/@mode", RULE_WORDS, "bind" },
	{ "/domain/devices/channel/target", RULE_NOTHING },
	{ "/domain/devices/channel/target/@type", RULE_WORDS, "virtio" },
	{ "/domain/devices/channel/target/@name", RULE_WORDS, "org.qemu.guest_agent.0" },
	ADDRESS("/domain/devices/channel"),
	{ "/domain/devices/graphics", RULE_NOTHING },
	{ "/domain/devices/graphics/@type", RULE_WORDS, "vnc" },
	{ "/domain/devices/graphics/@port", RULE_WORDS, "-1" },
	{ "/domain/devices/graphics/@autoport", RULE_WORDS, "yes" },
	{ "/domain/devices/graphics/@websocket", RULE_WORDS, "-1" },
	{ "/domain/devices/graphics/@listen", RULE_WORDS, "127.0.0.1|::1" },
	{ "/domain/devices/graphics/listen", RULE_NOTHING },
	{ "/domain/devices/graphics/listen/@type", RULE_WORDS, "address", .required = true },
	{ "/domain/devices/graphics/listen/@address", RULE_WORDS, "127.0.0.1|::1",
		.required = true },
	{ "/domain/devices/video", RULE_NOTHING, .count = 4 },
	{ "/domain/devices/video/model", RULE_NOTHING },
	{ "/domain/devices/video/model/@type", RULE_WORDS, "cirrus|vga|virtio|bochs|none" },
	{ "/domain/devices/video/model/@vram", RULE_NUMBER, .max = 1 << 20 },
	{ "/domain/devices/video/model/@heads", RULE_NUMBER, .min = 1, .max = 4 },
	{ "/domain/devices/video/model/@primary", RULE_WORDS, "yes|no" },
	ADDRESS("/domain/devices/video"),
	{ "/domain/devices/input", RULE_NOTHING, .count = 8 },
	{ "/domain/devices/input/@type", RULE_WORDS, "mouse|keyboard|tablet" },
	{ "/domain/devices/input/@bus", RULE_WORDS, "ps2|usb|virtio" },
	ADDRESS("/domain/devices/input"),
	{ "/domain/devices/memballoon", RULE_NOTHING },
	{ "/domain/devices/memballoon/@model", RULE_WORDS, "virtio|none" },
	ADDRESS("/domain/devices/memballoon"),
	{ "/domain/devices/rng", RULE_NOTHING, .count = 4 },
	{ "/domain/devices/rng/@model", RULE_WORDS, "virtio" },
	{ "/domain/devices/rng/backend", RULE_WORDS, "/dev/urandom|/dev/random" },
	{ "/domain/devices/rng/backend/@model", RULE_WORDS, "random" },
	ADDRESS("/domain/devices/rng"),
	{ "/domain/devices/watchdog", RULE_NOTHING },
	{ "/domain/devices/watchdog/@model", RULE_WORDS, "i6300esb|itco|diag288" },
	{ "/domain/devices/watchdog/@action", RULE_WORDS, "reset|poweroff|pause|none" },
	ADDRESS("/domain/devices/watchdog"),
	{ "/domain/devices/panic", RULE_NOTHING },
	{ "/domain/devices/panic/@model", RULE_WORDS, "isa|pvpanic" },
	{ "/domain/devices/audio", RULE_NOTHING },
	{ "/domain/devices/audio/@id", RULE_NUMBER, .min = 1, .max = 1 },
	{ "/domain/devices/audio/@type", RULE_WORDS, "none" },

	{ "/domainsnapshot", RULE_NOTHING },
	{ "/domainsnapshot/name", RULE_NAME },
	{ "/domainsnapshot/description", RULE_TEXT, .max = 1000 },
	{ "/domainsnapshot/memory", RULE_NOTHING },
	{ "/domainsnapshot/memory/@snapshot", RULE_WORDS, "internal|no", .required = true },
	{ "/domainsnapshot/disks", RULE_NOTHING },
	{ "/domainsnapshot/disks/disk", RULE_NOTHING, .count = 32 },
	{ "/domainsnapshot/disks/disk/@name", RULE_DISK, .required = true },
	{ "/domainsnapshot/disks/disk/@snapshot", RULE_WORDS, "internal|no", .required = true },
};

const size_t policy_row_count = ARRAY_LEN(policy_rows);

enum { REQUIRED_MAX = 15 };
static const struct policy_row *sorted[ARRAY_LEN(policy_rows)]; /* by path */
static const struct policy_row *required[REQUIRED_MAX + 1];     /* ends with NULL */

static int compare_rows(const void *a, const void *b)
{
	const struct policy_row *const *left = a;
	const struct policy_row *const *right = b;
	return strcmp((*left)->path, (*right)->path);
}

static int compare_path(const void *path, const void *row)
{
	return strcmp(path, (*(const struct policy_row *const *)row)->path);
}

static void index_rows(void)
{
	size_t count = 0;
	for (size_t i = 0; i < ARRAY_LEN(policy_rows); i++) {
		sorted[i] = &policy_rows[i];
		if (!policy_rows[i].required)
			continue;
		assert(count < REQUIRED_MAX);
		required[count++] = &policy_rows[i];
	}
	qsort(sorted, ARRAY_LEN(sorted), sizeof(const struct policy_row *), compare_rows);
}

static void policy_table_index(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	(void)pthread_once(&once, index_rows);
}

const struct policy_row *policy_row_find(const char *path)
{
	policy_table_index();
	const struct policy_row *const *found = bsearch(
		path, sorted, ARRAY_LEN(sorted), sizeof(const struct policy_row *), compare_path);
	return found ? *found : NULL;
}

const struct policy_row *const *policy_rows_required(void)
{
	policy_table_index();
	return required;
}
