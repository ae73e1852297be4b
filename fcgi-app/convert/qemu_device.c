/* SPDX-License-Identifier: MIT */
#include "convert/qemu_device.h"

#include "base/text.h"

#include <ctype.h>
#include <string.h>

struct driver;
typedef int driver_reader(
	struct qemu_reading *r, struct qemu_option *o, const struct driver *driver);

/* The drivers of -device. */
struct driver {
	const char
		*names; /* separated by |; one that ends in - stands for all that begin with it */
	driver_reader *read; /* NULL: the device is dropped */
	const char *help;    /* what it becomes, or why it is dropped */
	const char *bus;     /* of a disk or an input device */
	const char *model;   /* of an interface or of video; the type of an input device */
	const char *ignore;  /* properties that libvirt sets by itself, separated by |; or NULL */
};

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
	qemu_list_ignore(list, "auto-read-only|discard");
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

static int read_disk_device(
	struct qemu_reading *r, struct qemu_option *o, const struct driver *driver)
{
	const char *id = qemu_list_take(&o->list, "drive");
	struct qemu_disk disk = { .boot_order = boot_order(&o->list) };
	const char *name = qemu_list_look(&o->list, "driver");
	disk.bus = driver->bus;
	if (name && (strstr(name, "-cd") || !strcmp(name, "floppy")))
		disk.device = !strcmp(name, "floppy") ? "floppy" : "cdrom";
	disk.serial = qemu_list_take(&o->list, "serial");
	struct qemu_option *drive = qemu_find_backend(r, "drive", "id", id);
	if (drive) {
		(void)qemu_list_take(&drive->list, "if");
		qemu_read_image(&drive->list, &disk);
	} else {
		drive = qemu_find_backend(r, "blockdev", "node-name", id);
		if (drive && !read_blockdev(r, drive, &disk))
			return qemu_bad(
				r, drive, "virtgate supports raw and qcow2 images in files only");
	}
	if (!drive && id)
		return qemu_bad(r, o, "there is no drive of this id");
	if (qemu_add_disk(r, o, &disk) < 0)
		return -1;
	if (drive)
		qemu_say(drive, QEMU_MAPPED, "the image of disks[%zu]", r->guest->disk_count - 1);
	return 0;
}

/* Interfaces, shares, serial */

static int read_net_device(
	struct qemu_reading *r, struct qemu_option *o, const struct driver *driver)
{
	const char *id = qemu_list_take(&o->list, "netdev");
	struct qemu_interface interface = {
		.model = driver->model,
		.mac = qemu_list_take(&o->list, "mac"),
		.boot_order = boot_order(&o->list),
	};
	struct qemu_option *netdev = qemu_find_backend(r, "netdev", "id", id);
	if (!netdev)
		return qemu_bad(
			r, o, id ? "there is no netdev of this id" : "the netdev is missing");
	if (!qemu_read_netdev(&netdev->list, &interface)) {
		qemu_say(netdev, QEMU_UNMAPPED, "virtgate supports user, tap and bridge only");
		qemu_say(o, QEMU_UNMAPPED, "its netdev is not supported");
		return 0;
	}
	if (qemu_add_interface(r, o, &interface) < 0)
		return -1;
	qemu_say(netdev, QEMU_MAPPED, "interfaces[%zu]", r->guest->interface_count - 1);
	return 0;
}

static int read_fs_device(
	struct qemu_reading *r, struct qemu_option *o, const struct driver *driver)
{
	(void)driver;
	struct qemu_option *fs =
		qemu_find_backend(r, "fsdev", "id", qemu_list_take(&o->list, "fsdev"));
	if (!fs)
		return qemu_bad(r, o, "there is no fsdev of this id");
	if (qemu_add_filesystem(r, o, &fs->list, qemu_list_take(&o->list, "mount_tag")) < 0)
		return -1;
	qemu_say(fs, o->item.outcome, "%s", o->item.text);
	return 0;
}

static int read_serial_device(
	struct qemu_reading *r, struct qemu_option *o, const struct driver *driver)
{
	(void)driver;
	const char *id = qemu_list_take(&o->list, "chardev");
	const char *name = qemu_list_take(&o->list, "name");
	if (name && !strcmp(name, "org.qemu.guest_agent.0")) {
		struct qemu_option *chardev = qemu_find_backend(r, "chardev", "id", id);
		r->guest->agent = true;
		if (chardev) {
			qemu_list_ignore_all(&chardev->list);
			qemu_say(chardev, QEMU_DROPPED, "libvirt makes the agent's socket itself");
		}
		qemu_say(o, QEMU_MAPPED, "the guest agent's channel");
		return 0;
	}
	if (name || r->has_serial) {
		qemu_say(o, QEMU_UNMAPPED,
			"virtgate supports one serial console and the agent's channel");
		return 0;
	}
	return qemu_set_serial_chardev(r, o, id);
}

/* The rest */

static int read_rng_device(
	struct qemu_reading *r, struct qemu_option *o, const struct driver *driver)
{
	(void)driver;
	struct qemu_option *object =
		qemu_find_backend(r, "object", "id", qemu_list_take(&o->list, "rng"));
	const char *file = object ? qemu_list_take(&object->list, "filename") : NULL;
	if (object)
		(void)qemu_list_take(&object->list, "qom-type");
	if (file && !text_is_word("/dev/urandom|/dev/random|/dev/hwrng", '|', file)) {
		qemu_say(o, QEMU_UNMAPPED, "virtgate supports /dev/urandom as the only source");
		qemu_say(
			object, QEMU_UNMAPPED, "virtgate supports /dev/urandom as the only source");
		return 0;
	}
	r->guest->rng = true;
	qemu_say(o, QEMU_MAPPED, "rng");
	if (object)
		qemu_say(object, QEMU_MAPPED, "rng from /dev/urandom");
	return 0;
}

static int read_panic_device(
	struct qemu_reading *r, struct qemu_option *o, const struct driver *driver)
{
	(void)driver;
	r->guest->panic = true;
	qemu_say(o, QEMU_MAPPED, "panic");
	return 0;
}

static int read_video_device(
	struct qemu_reading *r, struct qemu_option *o, const struct driver *driver)
{
	return qemu_set_video(r, o, driver->model);
}

static int read_input_device(
	struct qemu_reading *r, struct qemu_option *o, const struct driver *driver)
{
	return qemu_add_input(r, o, driver->model, driver->bus);
}

static int read_watchdog_device(
	struct qemu_reading *r, struct qemu_option *o, const struct driver *driver)
{
	(void)driver;
	return qemu_add_watchdog(r, o);
}

#define BALLOON "libvirt adds a balloon itself"
#define CONTROLLER "libvirt adds controllers as devices need them"
#define DISK_IGNORE "scsi|write-cache"
#define NET_IGNORE "mq|vectors|romfile|host_mtu|rx_queue_size"

static const struct driver drivers[] = {
	{ "virtio-blk|virtio-blk-", read_disk_device, "a disk on virtio", .bus = "virtio",
		.ignore = DISK_IGNORE },
	{ "scsi-hd|scsi-cd", read_disk_device, "a disk on scsi", .bus = "scsi",
		.ignore = DISK_IGNORE },
	{ "ide-hd|ide-cd", read_disk_device, "a disk on ide", .bus = "ide", .ignore = DISK_IGNORE },
	{ "usb-storage", read_disk_device, "a disk on usb", .bus = "usb", .ignore = DISK_IGNORE },
	{ "floppy", read_disk_device, "a disk on fdc", .bus = "fdc", .ignore = DISK_IGNORE },
	{ "virtio-net|virtio-net-", read_net_device, "an interface of model virtio",
		.model = "virtio", .ignore = NET_IGNORE },
	{ "e1000|e1000-", read_net_device, "an interface of model e1000", .model = "e1000",
		.ignore = NET_IGNORE },
	{ "e1000e", read_net_device, "an interface of model e1000e", .model = "e1000e",
		.ignore = NET_IGNORE },
	{ "rtl8139", read_net_device, "an interface of model rtl8139", .model = "rtl8139",
		.ignore = NET_IGNORE },
	{ "virtio-9p|virtio-9p-", read_fs_device, "a 9p share" },
	{ "isa-serial|pci-serial|virtconsole|virtserialport", read_serial_device,
		"the serial console, or the guest agent's channel", .ignore = "nr|index" },
	{ "VGA", read_video_device, "video vga", .model = "vga" },
	{ "cirrus-vga", read_video_device, "video cirrus", .model = "cirrus" },
	{ "bochs-display", read_video_device, "video bochs", .model = "bochs" },
	{ "virtio-vga|virtio-gpu|virtio-gpu-", read_video_device, "video virtio",
		.model = "virtio" },
	{ "usb-tablet", read_input_device, "a tablet on usb", .model = "tablet", .bus = "usb" },
	{ "usb-mouse", read_input_device, "a mouse on usb", .model = "mouse", .bus = "usb" },
	{ "usb-kbd", read_input_device, "a keyboard on usb", .model = "keyboard", .bus = "usb" },
	{ "virtio-tablet|virtio-tablet-", read_input_device, "a tablet on virtio",
		.model = "tablet", .bus = "virtio" },
	{ "virtio-mouse|virtio-mouse-", read_input_device, "a mouse on virtio", .model = "mouse",
		.bus = "virtio" },
	{ "virtio-keyboard|virtio-keyboard-", read_input_device, "a keyboard on virtio",
		.model = "keyboard", .bus = "virtio" },
	{ "virtio-rng|virtio-rng-", read_rng_device, "random numbers from /dev/urandom",
		.ignore = "max-bytes|period" },
	{ "pvpanic", read_panic_device, "a device that reports a guest's panic",
		.ignore = "ioport" },
	{ "i6300esb", read_watchdog_device, "a watchdog that resets the guest" },
	{ "virtio-balloon|virtio-balloon-", NULL, BALLOON },
	{ "virtio-serial|virtio-serial-|virtio-scsi|virtio-scsi-|ahci|ich9-ahci|ioh3420", NULL,
		CONTROLLER },
	{ "pcie-root-port|pci-bridge|pcie-pci-bridge|x3130-upstream|xio3130-downstream", NULL,
		CONTROLLER },
	{ "qemu-xhci|nec-usb-xhci|usb-ehci|piix3-usb-uhci|piix4-usb-uhci|ich9-usb-", NULL,
		CONTROLLER },
	{ "lsi|lsi53c895a|piix3-ide|isa-fdc", NULL, CONTROLLER },
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
	for (size_t i = 0; name && i < ARRAY_LEN(drivers); i++) {
		const struct driver *driver = &drivers[i];
		if (!is_driver(driver->names, name))
			continue;
		if (!driver->read) {
			qemu_list_ignore_all(&o->list);
			qemu_say(o, QEMU_DROPPED, "%s", driver->help);
			return 0;
		}
		if (driver->ignore)
			qemu_list_ignore(&o->list, driver->ignore);
		int rc = driver->read(r, o, driver);
		(void)qemu_list_take(&o->list, "driver");
		return rc;
	}
	qemu_list_ignore_all(&o->list);
	qemu_say(o, QEMU_UNMAPPED, "virtgate does not support this device");
	return 0;
}

void qemu_device_print(FILE *out)
{
	(void)fputs("| `-device` | outcome | to what, or why |\n|---|---|---|\n", out);
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
		qemu_print_row(out, "", drivers[i].names, drivers[i].read ? "mapped" : "dropped",
			drivers[i].help);
}
