/* SPDX-License-Identifier: MIT */
#include "convert/qemu_device.h"

#include "base/text.h"

#include <ctype.h>
#include <string.h>

/* bootindex counts from 0, libvirt's boot order from 1. */
static int boot_order(struct qemu_list *list)
{
	const char *index = qemu_list_take(list, "bootindex");
	return index && isdigit((unsigned char)*index) ? (int)strtol(index, NULL, 10) + 1 : 0;
}

/* Disks */

/* The node that holds the file, or the file's own keys within the format's ("file."). */
static void read_file_node(struct qemu_list *list, const char *key, struct qemu_disk *disk)
{
	const char *file_name = qemu_list_take(list, key);
	disk->source = file_name ? qemu_path(file_name) : NULL;
}

/* What any node of a disk may say. False unless its driver is one of drivers. */
static bool read_node(struct qemu_list *list, const char *drivers, struct qemu_disk *disk)
{
	const char *driver = qemu_list_take(list, "driver");
	(void)qemu_list_take(list, "auto-read-only");
	(void)qemu_list_take(list, "discard");
	if (qemu_list_take_flag(list, "read-only"))
		disk->readonly = true;
	if (!driver || !text_is_word(drivers, '|', driver))
		return false;
	if (!disk->format)
		disk->format = strcmp(driver, "file") != 0 ? driver : "raw";
	return true;
}

/*
 * -blockdev builds an image of nodes: a format on a file, or the file alone. Never a format on a
 * format: that is no image we can keep, and nodes may name each other in a circle.
 */
static bool read_blockdev(struct qemu_reading *r, struct qemu_option *o, struct qemu_disk *disk)
{
	if (read_node(&o->list, "file", disk)) {
		read_file_node(&o->list, "filename", disk);
		return disk->source;
	}
	if (!read_node(&o->list, "qcow2|raw", disk))
		return false;
	const char *file = qemu_list_take(&o->list, "file");
	if (file) {
		struct qemu_option *below = qemu_find_backend(r, "blockdev", "node-name", file);
		if (!below || !read_node(&below->list, "file", disk))
			return false;
		read_file_node(&below->list, "filename", disk);
		qemu_say(below, QEMU_MAPPED, "the file of that disk");
		return disk->source;
	}
	const char *protocol = qemu_list_take(&o->list, "file.driver");
	read_file_node(&o->list, "file.filename", disk);
	return disk->source && (!protocol || !strcmp(protocol, "file"));
}

static int on_disk_device(struct qemu_reading *r, struct qemu_option *o, const char *arg)
{
	const char *id = qemu_list_take(&o->list, "drive");
	struct qemu_disk disk = { .boot_order = boot_order(&o->list) };
	const char *driver = qemu_list_look(&o->list, "driver");
	disk.bus = arg;
	if (driver && (strstr(driver, "-cd") || !strcmp(driver, "floppy")))
		disk.device = !strcmp(driver, "floppy") ? "floppy" : "cdrom";
	disk.serial = qemu_list_take(&o->list, "serial");
	(void)qemu_list_take(&o->list, "scsi");
	(void)qemu_list_take(&o->list, "write-cache");
	struct qemu_option *drive = qemu_find_backend(r, "drive", "id", id);
	if (drive) {
		(void)qemu_list_take(&drive->list, "if");
		qemu_read_image(&drive->list, &disk);
	} else {
		drive = qemu_find_backend(r, "blockdev", "node-name", id);
		if (drive && !read_blockdev(r, drive, &disk))
			return qemu_bad(r, drive, "only raw and qcow2 images in files can be kept");
	}
	if (!drive && id)
		return qemu_bad(r, o, "there is no such drive");
	if (qemu_add_disk(r, o, &disk) < 0)
		return -1;
	if (drive)
		qemu_say(drive, QEMU_MAPPED, "the image of disks[%zu]", r->guest->disk_count - 1);
	return 0;
}

/* Interfaces, shares, serial */

static int on_net_device(struct qemu_reading *r, struct qemu_option *o, const char *arg)
{
	const char *id = qemu_list_take(&o->list, "netdev");
	struct qemu_interface interface = {
		.model = arg,
		.mac = qemu_list_take(&o->list, "mac"),
		.boot_order = boot_order(&o->list),
	};
	static const char *const own[] = { "mq", "vectors", "romfile", "host_mtu",
		"rx_queue_size" };
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		(void)qemu_list_take(&o->list, own[i]);
	struct qemu_option *netdev = qemu_find_backend(r, "netdev", "id", id);
	if (!netdev)
		return qemu_bad(r, o, id ? "there is no such netdev" : "it is on no netdev");
	if (!qemu_read_netdev(&netdev->list, &interface)) {
		qemu_say(netdev, QEMU_UNMAPPED, "only user, tap and bridge can be kept");
		qemu_say(o, QEMU_UNMAPPED, "its netdev cannot be kept");
		return 0;
	}
	if (qemu_add_interface(r, o, &interface) < 0)
		return -1;
	qemu_say(netdev, QEMU_MAPPED, "interfaces[%zu]", r->guest->interface_count - 1);
	return 0;
}

static int on_fs_device(struct qemu_reading *r, struct qemu_option *o, const char *arg)
{
	(void)arg;
	struct qemu_option *fs =
		qemu_find_backend(r, "fsdev", "id", qemu_list_take(&o->list, "fsdev"));
	if (!fs)
		return qemu_bad(r, o, "there is no such fsdev");
	if (qemu_add_filesystem(r, o, &fs->list, qemu_list_take(&o->list, "mount_tag")) < 0)
		return -1;
	qemu_say(fs, o->item.outcome, "%s", o->item.text);
	return 0;
}

static int on_serial_device(struct qemu_reading *r, struct qemu_option *o, const char *arg)
{
	(void)arg;
	const char *id = qemu_list_take(&o->list, "chardev");
	const char *name = qemu_list_take(&o->list, "name");
	(void)qemu_list_take(&o->list, "nr");
	(void)qemu_list_take(&o->list, "index");
	if (name && !strcmp(name, "org.qemu.guest_agent.0")) {
		struct qemu_option *chardev = qemu_find_backend(r, "chardev", "id", id);
		r->guest->agent = true;
		if (chardev) {
			for (size_t i = 0; i < chardev->list.count; i++)
				chardev->list.item[i].taken = true;
			qemu_say(chardev, QEMU_DROPPED,
				"libvirt makes the agent's socket by itself");
		}
		qemu_say(o, QEMU_MAPPED, "the guest agent's channel");
		return 0;
	}
	if (name || r->has_serial) {
		qemu_say(o, QEMU_UNMAPPED, "one serial console and the agent's channel are kept");
		return 0;
	}
	char to[80];
	(void)snprintf(to, sizeof to, "chardev:%.64s", id ? id : "");
	return qemu_set_serial(r, o, to);
}

static int on_video_device(struct qemu_reading *r, struct qemu_option *o, const char *arg)
{
	return qemu_set_video(r, o, arg);
}

/* The rest */

static int on_input_device(struct qemu_reading *r, struct qemu_option *o, const char *arg)
{
	return qemu_add_input(r, o, arg);
}

static int on_rng_device(struct qemu_reading *r, struct qemu_option *o, const char *arg)
{
	(void)arg;
	struct qemu_option *object =
		qemu_find_backend(r, "object", "id", qemu_list_take(&o->list, "rng"));
	const char *file = object ? qemu_list_take(&object->list, "filename") : NULL;
	(void)qemu_list_take(&o->list, "max-bytes");
	(void)qemu_list_take(&o->list, "period");
	if (object)
		(void)qemu_list_take(&object->list, "qom-type");
	if (file && !text_is_word("/dev/urandom|/dev/random|/dev/hwrng", '|', file)) {
		qemu_say(o, QEMU_UNMAPPED, "random numbers come from /dev/urandom only");
		qemu_say(object, QEMU_UNMAPPED, "random numbers come from /dev/urandom only");
		return 0;
	}
	r->guest->rng = true;
	qemu_say(o, QEMU_MAPPED, "rng");
	if (object)
		qemu_say(object, QEMU_MAPPED, "rng from /dev/urandom");
	return 0;
}

static int on_watchdog_device(struct qemu_reading *r, struct qemu_option *o, const char *arg)
{
	(void)arg;
	return qemu_add_watchdog(r, o);
}

static int on_panic_device(struct qemu_reading *r, struct qemu_option *o, const char *arg)
{
	(void)arg;
	(void)qemu_list_take(&o->list, "ioport");
	r->guest->panic = true;
	qemu_say(o, QEMU_MAPPED, "panic");
	return 0;
}

static int on_own_device(struct qemu_reading *r, struct qemu_option *o, const char *arg)
{
	(void)r;
	for (size_t i = 0; i < o->list.count; i++)
		o->list.item[i].taken = true;
	qemu_say(o, QEMU_DROPPED, "%s", arg);
	return 0;
}

#define BALLOON "libvirt adds a balloon by itself"
#define CONTROLLER "libvirt adds controllers as devices need them"

/* By the driver's name; one that ends in - stands for all that begin so. */
static const struct driver {
	const char *names;
	int (*read)(struct qemu_reading *r, struct qemu_option *o, const char *arg);
	const char *arg, *help;
} drivers[] = {
	{ "virtio-blk|virtio-blk-", on_disk_device, "virtio", "a disk on virtio" },
	{ "scsi-hd|scsi-cd", on_disk_device, "scsi", "a disk on scsi" },
	{ "ide-hd|ide-cd", on_disk_device, "ide", "a disk on ide" },
	{ "usb-storage", on_disk_device, "usb", "a disk on usb" },
	{ "floppy", on_disk_device, "fdc", "a disk on fdc" },
	{ "virtio-net|virtio-net-", on_net_device, "virtio", "an interface of model virtio" },
	{ "e1000|e1000-", on_net_device, "e1000", "an interface of model e1000" },
	{ "e1000e", on_net_device, "e1000e", "an interface of model e1000e" },
	{ "rtl8139", on_net_device, "rtl8139", "an interface of model rtl8139" },
	{ "virtio-9p|virtio-9p-", on_fs_device, "", "a 9p share" },
	{ "isa-serial|pci-serial|virtconsole|virtserialport", on_serial_device, "",
		"the serial console, or the guest agent's channel" },
	{ "VGA", on_video_device, "vga", "video vga" },
	{ "cirrus-vga", on_video_device, "cirrus", "video cirrus" },
	{ "bochs-display", on_video_device, "bochs", "video bochs" },
	{ "virtio-vga|virtio-gpu|virtio-gpu-", on_video_device, "virtio", "video virtio" },
	{ "usb-tablet", on_input_device, "tablet usb", "a tablet on usb" },
	{ "usb-mouse", on_input_device, "mouse usb", "a mouse on usb" },
	{ "usb-kbd", on_input_device, "keyboard usb", "a keyboard on usb" },
	{ "virtio-tablet|virtio-tablet-", on_input_device, "tablet virtio", "a tablet on virtio" },
	{ "virtio-mouse|virtio-mouse-", on_input_device, "mouse virtio", "a mouse on virtio" },
	{ "virtio-keyboard|virtio-keyboard-", on_input_device, "keyboard virtio",
		"a keyboard on virtio" },
	{ "virtio-rng|virtio-rng-", on_rng_device, "", "random numbers from /dev/urandom" },
	{ "pvpanic", on_panic_device, "", "a device that tells of a guest's panic" },
	{ "i6300esb", on_watchdog_device, "", "a watchdog that resets the guest" },
	{ "virtio-balloon|virtio-balloon-", on_own_device, BALLOON, BALLOON },
	{ "virtio-serial|virtio-serial-|virtio-scsi|virtio-scsi-|ahci|ich9-ahci|ioh3420",
		on_own_device, CONTROLLER, CONTROLLER },
	{ "pcie-root-port|pci-bridge|pcie-pci-bridge|x3130-upstream|xio3130-downstream",
		on_own_device, CONTROLLER, CONTROLLER },
	{ "qemu-xhci|nec-usb-xhci|usb-ehci|piix3-usb-uhci|piix4-usb-uhci|ich9-usb-", on_own_device,
		CONTROLLER, CONTROLLER },
	{ "lsi|lsi53c895a|piix3-ide|isa-fdc", on_own_device, CONTROLLER, CONTROLLER },
};

static bool is_driver(const char *names, const char *name)
{
	for (const char *n = names; *n; n += strcspn(n, "|"), n += *n == '|') {
		size_t len = strcspn(n, "|");
		bool prefix = n[len - 1] == '-';
		if (!strncmp(n, name, len) && (prefix || strlen(name) == len))
			return true;
	}
	return false;
}

int qemu_read_device(struct qemu_reading *r, struct qemu_option *o)
{
	const char *name = qemu_list_look(&o->list, "driver");
	/* The place on a bus is libvirt's choice, and how old a virtio it is, the guest's. */
	static const char *const own[] = { "id", "bus", "addr", "multifunction", "port", "chassis",
		"disable-legacy", "disable-modern", "packed", "iommu_platform" };
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		(void)qemu_list_take(&o->list, own[i]);
	for (size_t i = 0; name && i < ARRAY_LEN(drivers); i++) {
		if (!is_driver(drivers[i].names, name))
			continue;
		int rc = drivers[i].read(r, o, drivers[i].arg);
		(void)qemu_list_take(&o->list, "driver");
		return rc;
	}
	for (size_t i = 0; i < o->list.count; i++)
		o->list.item[i].taken = true;
	qemu_say(o, QEMU_UNMAPPED, "virtgate has no such device");
	return 0;
}

void qemu_device_print(FILE *out)
{
	(void)fputs("| `-device` | outcome | to what, or why |\n|---|---|---|\n", out);
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
		const char *names = drivers[i].names;
		(void)fputs("| ", out);
		for (const char *n = names; *n; n += strcspn(n, "|"), n += *n == '|') {
			size_t len = strcspn(n, "|");
			(void)fprintf(out, "%s`%.*s%s`", n == names ? "" : ", ", (int)len, n,
				n[len - 1] == '-' ? "…" : "");
		}
		(void)fprintf(out, " | %s | %s |\n",
			drivers[i].read == on_own_device ? "dropped" : "mapped", drivers[i].help);
	}
}
