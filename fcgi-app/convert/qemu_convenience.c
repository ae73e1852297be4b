/* SPDX-License-Identifier: MIT */
#include "convert/qemu_convenience.h"

#include "base/text.h"

#include <string.h>

int qemu_read_drive(struct qemu_reading *r, struct qemu_option *o)
{
	static const char *const buses[][2] = { { "virtio", "virtio" }, { "ide", "ide" },
		{ "scsi", "scsi" }, { "floppy", "fdc" } };
	const char *interface = qemu_list_look(&o->list, "if");
	struct qemu_disk disk = { 0 };
	if (interface && !strcmp(interface, "none"))
		return 0; /* a -device refers to it */
	if (interface && text_is_word("pflash|sd|mtd|xen", '|', interface)) {
		qemu_say(o, QEMU_UNMAPPED, "virtgate does not allow a drive of this interface");
		return 0;
	}
	qemu_list_ignore(&o->list, "if|id|index");
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
int qemu_read_image_file(struct qemu_reading *r, struct qemu_option *o)
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

static const char *nic_model(struct qemu_list *list)
{
	const char *model = qemu_list_take(list, "model");
	if (!model)
		return "e1000"; /* QEMU's own default on a PC */
	return !strncmp(model, "virtio", strlen("virtio")) ? "virtio" : model;
}

int qemu_read_nic(struct qemu_reading *r, struct qemu_option *o)
{
	struct qemu_interface interface = { 0 };
	const char *type = qemu_list_look(&o->list, "type");
	if (type && !strcmp(type, "none")) {
		(void)qemu_list_take(&o->list, "type");
		qemu_say(o, QEMU_MAPPED, "no interface");
		return 0;
	}
	interface.model = nic_model(&o->list);
	interface.mac = qemu_list_take(&o->list, "mac");
	if (qemu_read_netdev(&o->list, &interface))
		return qemu_add_interface(r, o, &interface);
	qemu_say(o, QEMU_UNMAPPED, "virtgate supports user, tap and bridge only");
	return 0;
}

/* -net nic and -net user meet on a hub: the first makes the interface, the second its network. */
int qemu_read_net(struct qemu_reading *r, struct qemu_option *o)
{
	struct qemu_interface *last = r->guest->interface_count
		? &r->guest->interfaces[r->guest->interface_count - 1]
		: NULL;
	const char *type = qemu_list_look(&o->list, "type");
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
		qemu_say(o, QEMU_UNMAPPED, "virtgate supports user, tap and bridge only");
		return 0;
	}
	if (last)
		last->bridge = on.bridge;
	qemu_say(o, last ? QEMU_MAPPED : QEMU_UNMAPPED,
		last ? "network of the interface before" : "there is no -net nic before it");
	return 0;
}

int qemu_read_virtfs(struct qemu_reading *r, struct qemu_option *o)
{
	return qemu_add_filesystem(r, o, &o->list, qemu_list_take(&o->list, "mount_tag"));
}

/* "stdio", "file:PATH", "chardev:ID", each perhaps behind "mon:". */
int qemu_read_serial(struct qemu_reading *r, struct qemu_option *o)
{
	const char *to =
		o->value + (!strncmp(o->value, "mon:", strlen("mon:")) ? strlen("mon:") : 0);
	if (r->has_serial) {
		qemu_say(o, QEMU_UNMAPPED, "virtgate supports one serial console");
		return 0;
	}
	if (!strncmp(to, "chardev:", strlen("chardev:")))
		return qemu_set_serial_chardev(r, o, to + strlen("chardev:"));
	r->has_serial = true;
	if (!strncmp(to, "file:", strlen("file:"))) {
		r->guest->serial_log = to + strlen("file:");
	} else if (!strcmp(to, "none")) {
		r->guest->no_serial = true;
	} else if (!text_is_word("stdio|pty|null|vc", '|', to)) {
		qemu_say(o, QEMU_UNMAPPED, "virtgate supports stdio, pty, file and none only");
		return 0;
	}
	qemu_say(o, QEMU_MAPPED, r->guest->no_serial ? "no serial console" : "serial console");
	return 0;
}

int qemu_read_display(struct qemu_reading *r, struct qemu_option *o)
{
	const char *type = qemu_list_take(&o->list, "type");
	r->guest->no_graphics = type && text_is_word("none|curses", '|', type);
	qemu_list_ignore_all(&o->list); /* they are about QEMU's window */
	qemu_say(o, QEMU_MAPPED, r->guest->no_graphics ? "no graphics" : "VNC on the loopback");
	return 0;
}

int qemu_read_vnc(struct qemu_reading *r, struct qemu_option *o)
{
	r->guest->no_graphics = !strcmp(o->value, "none");
	qemu_say(o, QEMU_MAPPED,
		r->guest->no_graphics ? "no graphics"
				      : "VNC on the loopback; libvirt chooses the port");
	return 0;
}

int qemu_read_vga(struct qemu_reading *r, struct qemu_option *o)
{
	static const char *const models[][2] = { { "std", "vga" }, { "cirrus", "cirrus" },
		{ "virtio", "virtio" }, { "none", "none" } };
	for (size_t i = 0; i < ARRAY_LEN(models); i++)
		if (!strcmp(o->value, models[i][0]))
			return qemu_set_video(r, o, models[i][1]);
	qemu_say(o, QEMU_UNMAPPED, "virtgate supports std, cirrus, virtio and none only");
	return 0;
}

int qemu_read_usbdevice(struct qemu_reading *r, struct qemu_option *o)
{
	if (text_is_word("tablet|mouse|keyboard", '|', o->value))
		return qemu_add_input(r, o, o->value, "usb");
	qemu_say(o, QEMU_UNMAPPED, "virtgate supports tablet, mouse and keyboard only");
	return 0;
}

int qemu_read_watchdog(struct qemu_reading *r, struct qemu_option *o)
{
	if (strcmp(o->value, "i6300esb") == 0)
		return qemu_add_watchdog(r, o);
	qemu_say(o, QEMU_UNMAPPED, "virtgate supports i6300esb only");
	return 0;
}
