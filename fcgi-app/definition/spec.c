/* SPDX-License-Identifier: MIT */
#include "definition/spec.h"

#include "base/text.h"
#include "definition/metadata.h"
#include "files/qcow2.h"

#include <stdio.h>
#include <string.h>

/* The longest path on the host; the policy decides which paths are allowed. */
enum { PATH_MAX_BYTES = 1023 };

#define DISK_BUSES "virtio|sata|scsi|ide|usb|fdc"

static const struct field disk_fields[] = {
	{ "source", .type = FIELD_TEXT, .max = PATH_MAX_BYTES },
	{ "format", .type = FIELD_WORD, .words = "qcow2|raw" },
	{ "device", .type = FIELD_WORD, .words = "disk|cdrom|floppy" },
	{ "bus", .type = FIELD_WORD, .words = DISK_BUSES },
	{ "target", .type = FIELD_TEXT, .max = 4 },
	{ "readonly", .type = FIELD_FLAG },
	{ "serial", .type = FIELD_TEXT, .max = 36 },
	{ "boot_order", .type = FIELD_NUMBER, .min = 1, .max = 64 },
	{ "capacity_bytes", .type = FIELD_NUMBER, .min = 1 << 20, .max = QCOW2_CAPACITY_MAX,
		.says = "virtgate makes an empty image of this size; the file must not exist" },
	{ 0 },
};

static const struct field interface_fields[] = {
	{ "network", .type = FIELD_TEXT, .max = 64 },
	{ "bridge", .type = FIELD_TEXT, .max = 15 },
	{ "mac", .type = FIELD_TEXT, .max = 17 },
	{ "model", .type = FIELD_WORD, .words = "virtio|e1000|e1000e|rtl8139" },
	{ "boot_order", .type = FIELD_NUMBER, .min = 1, .max = 64 },
	{ 0 },
};

static const struct field filesystem_fields[] = {
	{ "source", .type = FIELD_TEXT, .required = true, .max = PATH_MAX_BYTES },
	{ "target", .type = FIELD_TEXT, .required = true, .max = 31 },
	{ "readonly", .type = FIELD_FLAG },
	{ "fmode", .type = FIELD_TEXT, .max = 4 },
	{ "dmode", .type = FIELD_TEXT, .max = 4 },
	{ 0 },
};

static const struct field graphics_fields[] = {
	{ "type", .type = FIELD_WORD, .required = true, .words = "vnc|none" },
	{ 0 },
};

static const struct field serial_fields[] = {
	{ "type", .type = FIELD_WORD, .required = true, .words = "pty|none" },
	{ "log", .type = FIELD_TEXT, .max = PATH_MAX_BYTES },
	{ "append", .type = FIELD_FLAG },
	{ 0 },
};

const struct field spec_fields[] = {
	{ "template", .type = FIELD_TEXT, .max = 64 },
	{ "xml", .type = FIELD_TEXT, .max = XML_BYTES_MAX, .markup = true },
	{ "persistent", .type = FIELD_FLAG },
	{ "start", .type = FIELD_FLAG },
	{ "carrier_disk", .type = FIELD_FLAG },
	{ "name", .type = FIELD_TEXT, .max = 63 },
	{ "title", .type = FIELD_TEXT, .max = 256 },
	{ "description", .type = FIELD_TEXT, .max = 8192 },
	{ "memory_kib", .type = FIELD_NUMBER, .min = 1024, .max = 1LL << 30 },
	{ "vcpus", .type = FIELD_NUMBER, .min = 1, .max = 256 },
	{ "kernel", .type = FIELD_TEXT, .max = PATH_MAX_BYTES },
	{ "initrd", .type = FIELD_TEXT, .max = PATH_MAX_BYTES },
	{ "cmdline", .type = FIELD_TEXT, .max = 4096 },
	{ "disks", .type = FIELD_LIST, .max = 16, .of = disk_fields },
	{ "interfaces", .type = FIELD_LIST, .max = 16, .of = interface_fields },
	{ "filesystems", .type = FIELD_LIST, .max = 8, .of = filesystem_fields },
	{ "graphics", .type = FIELD_OBJECT, .of = graphics_fields },
	{ "serial", .type = FIELD_OBJECT, .of = serial_fields },
	{ "labels", .type = FIELD_LABELS, .max = METADATA_LABELS_MAX },
	{ 0 },
};

/* A field becomes the attribute, or the text if attr is NULL, of a child (NULL: of itself). */
struct place {
	const char *field, *element, *attr;
};

static const struct place disk_places[] = {
	{ "device", NULL, "device" },
	{ "format", "driver", "type" },
	{ "source", "source", "file" },
	{ "target", "target", "dev" },
	{ "bus", "target", "bus" },
	{ "readonly", "readonly", NULL },
	{ "serial", "serial", NULL },
	{ "boot_order", "boot", "order" },
};

static const struct place interface_places[] = {
	{ "network", "source", "network" },
	{ "bridge", "source", "bridge" },
	{ "mac", "mac", "address" },
	{ "model", "model", "type" },
	{ "boot_order", "boot", "order" },
};

static const struct place filesystem_places[] = {
	{ "fmode", NULL, "fmode" },
	{ "dmode", NULL, "dmode" },
	{ "source", "source", "dir" },
	{ "target", "target", "dir" },
	{ "readonly", "readonly", NULL },
};

static const struct place serial_places[] = {
	{ "log", "log", "file" },
};

static const struct place top_places[] = {
	{ "name", "name", NULL },
	{ "title", "title", NULL },
	{ "description", "description", NULL },
	{ "memory_kib", "memory", NULL },
	{ "vcpus", "vcpu", NULL },
};

static const struct place os_places[] = {
	{ "kernel", "kernel", NULL },
	{ "initrd", "initrd", NULL },
	{ "cmdline", "cmdline", NULL },
};

static struct xml_node *ensure_child(struct xml_node *parent, const char *name)
{
	struct xml_node *child = xml_child(parent, name);
	return child ? child : xml_add(parent, name, NULL);
}

/* Adds an element with these attributes. NULL: memory is out, as for a parent that is NULL. */
static struct xml_node *add_element(
	struct xml_node *parent, const char *name, const char *const attributes[][2])
{
	struct xml_node *node = parent ? xml_add(parent, name, NULL) : NULL;
	for (size_t i = 0; node && attributes[i][0]; i++)
		if (xml_set_attr(node, attributes[i][0], attributes[i][1]) < 0)
			return NULL;
	return node;
}
#define ATTRIBUTES(...) ((const char *const[][2]){ __VA_ARGS__, { NULL, NULL } })

/* Text is NULL for a flag that is false: then the element is left out. */
static int put_field(struct xml_node *node, const struct place *place, const char *text)
{
	if (!text)
		return 0;
	struct xml_node *to = place->element ? ensure_child(node, place->element) : node;
	if (!to)
		return -1;
	if (place->attr)
		return xml_set_attr(to, place->attr, text);
	return *text ? xml_set_text(to, text) : 0;
}

/* Puts the fields that the object has into their places. */
static int put_fields(struct xml_node *node, const struct place *places, size_t count,
	const struct json *object, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		char number[24];
		const struct json *value = json_member(object, places[i].field);
		if (!value)
			continue;
		const char *text = json_kind_of(value) == JSON_IS_BOOL
			? (json_get_bool(value) ? "" : NULL)
			: json_scalar_text(value, number, sizeof number);
		if (put_field(node, &places[i], text) < 0)
			return err_memory(err);
	}
	return 0;
}

#define PUT_FIELDS(node, places, object, err) \
	put_fields(node, places, ARRAY_LEN(places), object, err)

static void remove_children(struct xml_node *parent, const char *name)
{
	for (struct xml_node *n; (n = xml_child(parent, name));)
		xml_remove(n);
}

static const char *spec_text(const struct json *object, const char *name, const char *preset)
{
	size_t len = 0;
	const struct json *value = json_member(object, name);
	return value ? json_get_string(value, &len) : preset;
}

/* Disks */

static const char *disk_bus(const struct json *disk)
{
	const char *device = spec_text(disk, "device", "disk");
	const char *preset = !strcmp(device, "cdrom") ? "sata"
		: !strcmp(device, "floppy")           ? "fdc"
						      : "virtio";
	return spec_text(disk, "bus", preset);
}

/* Guests order disks by these names: vda, vdb on virtio. */
static const char *target_prefix(const char *bus)
{
	static const char *const prefixes[][2] = { { "virtio", "vd" }, { "ide", "hd" },
		{ "fdc", "fd" } };
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (!strcmp(prefixes[i][0], bus))
			return prefixes[i][1];
	return "sd";
}

static bool is_target_taken(
	const struct xml_node *devices, const struct json *disks, const char *target)
{
	for (size_t i = 0; i < json_length(disks); i++)
		if (!strcmp(spec_text(json_item(disks, i), "target", ""), target))
			return true;
	for (struct xml_node *n = xml_child(devices, "disk"); n; n = xml_next(n)) {
		const struct xml_node *at = xml_child(n, "target");
		AUTO(free) char *dev = at ? xml_attr(at, "dev") : NULL;
		if (dev && !strcmp(dev, target))
			return true;
	}
	return false;
}

/* The first free name on the bus; a spec has fewer disks than there are letters. */
static void choose_target(const struct xml_node *devices, const struct json *disks, const char *bus,
	char ret[static 4])
{
	(void)snprintf(ret, 4, "%.2sa", target_prefix(bus));
	while (is_target_taken(devices, disks, ret) && ret[2] < 'z')
		ret[2]++;
}

/* What the fields of a disk may not say together: the first broken rule is reported. */
static int check_disk(const struct json *disk, size_t i, struct err *err)
{
	const struct json *capacity = json_member(disk, "capacity_bytes");
	const char *device = spec_text(disk, "device", "disk");
	const char *bus = disk_bus(disk);
	bool source = json_member(disk, "source");
	bool plain = !strcmp(device, "disk");
	bool floppy = !strcmp(device, "floppy");
	bool cdrom = !strcmp(device, "cdrom");
	const struct {
		bool broken;
		const char *field, *rule;
	} rules[] = {
		{ capacity && json_get_int(capacity) % QCOW2_SECTOR, "capacity_bytes",
			"must be a multiple of 512" },
		{ capacity && !source, "source", "an image that virtgate makes needs a path" },
		{ capacity && !plain, "capacity_bytes",
			"virtgate makes no image for a cdrom or floppy" },
		{ source && !capacity && !json_member(disk, "format"), "format",
			"a disk with a source must state its format, qcow2 or raw" },
		{ !source && plain, "source", "only a cdrom or floppy may be empty" },
		{ floppy != !strcmp(bus, "fdc"), "bus",
			"a floppy must be on fdc, and other disks must not" },
		{ cdrom && !strcmp(bus, "virtio"), "bus",
			"a cdrom must be on sata, scsi, ide or usb" },
	};
	for (size_t k = 0; k < ARRAY_LEN(rules); k++)
		if (rules[k].broken)
			return err_set(err, ERR_INVALID_SPEC, "disks[%zu].%s: %s", i,
				rules[k].field, rules[k].rule);
	return 0;
}
_Static_assert(QCOW2_SECTOR == 512, "stated in check_disk()");

static int add_disk(struct xml_node *devices, const struct json *disks, size_t i, struct err *err)
{
	const struct json *disk = json_item(disks, i);
	const char *bus = disk_bus(disk);
	bool made = json_member(disk, "capacity_bytes");
	char target[4];
	if (check_disk(disk, i, err) < 0)
		return -1;
	choose_target(devices, disks, bus, target);
	struct xml_node *node =
		add_element(devices, "disk", ATTRIBUTES({ "type", "file" }, { "device", "disk" }));
	if (!add_element(node, "target", ATTRIBUTES({ "dev", target }, { "bus", bus })) ||
		(made && !add_element(node, "driver", ATTRIBUTES({ "type", "qcow2" }))))
		return err_memory(err);
	return PUT_FIELDS(node, disk_places, disk, err);
}

/* On a PC, every guest has a driver for IDE or SATA. */
static const char *plainest_bus(const struct xml_node *domain)
{
	const struct xml_node *type = xml_find(domain, "os/type");
	AUTO(free) char *arch = type ? xml_attr(type, "arch") : NULL;
	AUTO(free) char *machine = type ? xml_attr(type, "machine") : NULL;
	if (arch && !text_is_word("x86_64|i686", '|', arch))
		return "virtio";
	return machine && strstr(machine, "q35") ? "sata" : "ide";
}

int spec_add_disk(struct xml_node *domain, const char *path, struct err *err)
{
	char target[4];
	const char *bus = plainest_bus(domain);
	struct xml_node *devices = ensure_child(domain, "devices");
	if (!devices)
		return err_memory(err);
	choose_target(devices, NULL, bus, target);
	struct xml_node *disk =
		add_element(devices, "disk", ATTRIBUTES({ "type", "file" }, { "device", "disk" }));
	if (!add_element(disk, "driver", ATTRIBUTES({ "name", "qemu" }, { "type", "qcow2" })) ||
		!add_element(disk, "source", ATTRIBUTES({ "file", path })) ||
		!add_element(disk, "target", ATTRIBUTES({ "dev", target }, { "bus", bus })))
		return err_memory(err);
	return 0;
}

/* Interfaces, filesystems */

static int add_interface(
	struct xml_node *devices, const struct json *interfaces, size_t i, struct err *err)
{
	const struct json *interface = json_item(interfaces, i);
	bool network = json_member(interface, "network");
	if (network == (json_member(interface, "bridge") != NULL))
		return err_set(err, ERR_INVALID_SPEC,
			"interfaces[%zu]: must have either network or bridge", i);
	struct xml_node *node = add_element(
		devices, "interface", ATTRIBUTES({ "type", network ? "network" : "bridge" }));
	if (!add_element(node, "model", ATTRIBUTES({ "type", "virtio" })))
		return err_memory(err);
	return PUT_FIELDS(node, interface_places, interface, err);
}

static int add_filesystem(
	struct xml_node *devices, const struct json *filesystems, size_t i, struct err *err)
{
	struct xml_node *node = add_element(
		devices, "filesystem", ATTRIBUTES({ "type", "mount" }, { "accessmode", "mapped" }));
	if (!node)
		return err_memory(err);
	return PUT_FIELDS(node, filesystem_places, json_item(filesystems, i), err);
}

static const struct list {
	const char *field, *element;
	int (*add)(struct xml_node *devices, const struct json *list, size_t i, struct err *err);
} lists[] = {
	{ "disks", "disk", add_disk },
	{ "interfaces", "interface", add_interface },
	{ "filesystems", "filesystem", add_filesystem },
};

static int apply_list(
	const struct json *spec, const struct list *list, struct xml_node *devices, struct err *err)
{
	const struct json *items = json_member(spec, list->field);
	if (!items)
		return 0;
	remove_children(devices, list->element);
	for (size_t i = 0; i < json_length(items); i++)
		if (list->add(devices, items, i, err) < 0)
			return -1;
	return 0;
}

/* Graphics and serial */

static int add_graphics(struct xml_node *devices, struct err *err)
{
	struct xml_node *node = add_element(devices, "graphics",
		ATTRIBUTES({ "type", "vnc" }, { "port", "-1" }, { "autoport", "yes" },
			{ "websocket", "-1" }));
	if (!add_element(
		    node, "listen", ATTRIBUTES({ "type", "address" }, { "address", "127.0.0.1" })))
		return err_memory(err);
	return 0;
}

static int apply_graphics(const struct json *spec, struct xml_node *devices, struct err *err)
{
	const struct json *graphics = json_member(spec, "graphics");
	if (!graphics)
		return 0;
	remove_children(devices, "graphics");
	return strcmp(spec_text(graphics, "type", ""), "none") ? add_graphics(devices, err) : 0;
}

static int add_serial(struct xml_node *devices, const struct json *serial, struct err *err)
{
	const struct json *append = json_member(serial, "append");
	struct xml_node *node = add_element(devices, "serial", ATTRIBUTES({ "type", "pty" }));
	if (!node)
		return err_memory(err);
	if (PUT_FIELDS(node, serial_places, serial, err) < 0)
		return -1;
	struct xml_node *log = xml_child(node, "log");
	if (append && !log)
		return err_set(err, ERR_INVALID_SPEC, "serial.append: needs a log");
	if (append && xml_set_attr(log, "append", json_get_bool(append) ? "on" : "off") < 0)
		return err_memory(err);
	return 0;
}

/* libvirt repeats the serial port as a <console>, which is replaced with it. */
static int apply_serial(const struct json *spec, struct xml_node *devices, struct err *err)
{
	const struct json *serial = json_member(spec, "serial");
	if (!serial)
		return 0;
	bool none = !strcmp(spec_text(serial, "type", ""), "none");
	if (none && json_length(serial) > 1)
		return err_set(err, ERR_INVALID_SPEC, "serial: type none allows no other field");
	remove_children(devices, "serial");
	remove_children(devices, "console");
	return none ? 0 : add_serial(devices, serial, err);
}

static int apply_os(const struct json *spec, struct xml_node *domain, struct err *err)
{
	bool given = false;
	for (size_t i = 0; i < ARRAY_LEN(os_places); i++)
		given = given || json_member(spec, os_places[i].field);
	if (!given)
		return 0;
	struct xml_node *os = ensure_child(domain, "os");
	if (!os)
		return err_memory(err);
	if (PUT_FIELDS(os, os_places, spec, err) < 0)
		return -1;
	return xml_child(os, "kernel")
		? 0
		: err_set(err, ERR_INVALID_SPEC, "kernel: initrd and cmdline need a kernel");
}

/* libvirt has the current values apart from the maxima; a spec sets both to the same. */
static int apply_size(const struct json *spec, struct xml_node *domain, struct err *err)
{
	struct xml_node *memory = xml_child(domain, "memory");
	struct xml_node *vcpu = xml_child(domain, "vcpu");
	if (json_member(spec, "memory_kib")) {
		remove_children(domain, "currentMemory");
		if (memory && xml_set_attr(memory, "unit", "KiB") < 0)
			return err_memory(err);
	}
	if (json_member(spec, "vcpus") && vcpu)
		xml_remove_attr(vcpu, "current");
	return 0;
}

int spec_apply(const struct json *spec, struct xml_node *domain, struct err *err)
{
	const struct json *labels = json_member(spec, "labels");
	struct xml_node *devices = ensure_child(domain, "devices");
	if (!devices)
		return err_memory(err);
	if (PUT_FIELDS(domain, top_places, spec, err) < 0 || apply_size(spec, domain, err) < 0 ||
		apply_os(spec, domain, err) < 0 || apply_graphics(spec, devices, err) < 0 ||
		apply_serial(spec, devices, err) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (apply_list(spec, &lists[i], devices, err) < 0)
			return -1;
	return labels ? metadata_set_labels(domain, labels, err) : 0;
}

static int build_base(struct xml_node *domain, struct err *err)
{
	/* In the usual order; spec_apply() fills the empty ones. */
	bool added = xml_add(domain, "name", NULL) && xml_add(domain, "memory", NULL) &&
		xml_add(domain, "vcpu", "1");
	struct xml_node *os = xml_add(domain, "os", NULL);
	struct xml_node *features = xml_add(domain, "features", NULL);
	struct xml_node *devices = xml_add(domain, "devices", NULL);
	if (!added || !os || !features || !devices || xml_set_attr(domain, "type", "kvm") < 0 ||
		!xml_add(os, "type", "hvm") || !xml_add(features, "acpi", NULL) ||
		!xml_add(features, "apic", NULL))
		return err_memory(err);
	if (add_serial(devices, NULL, err) < 0)
		return -1;
	return add_graphics(devices, err);
}

int spec_base(const struct json *spec, struct xml **ret, struct err *err)
{
	static const char *const needed[] = { "name", "memory_kib" };
	for (size_t i = 0; i < ARRAY_LEN(needed); i++)
		if (!json_member(spec, needed[i]))
			return err_set(err, ERR_INVALID_SPEC,
				"%s: this field is missing; a spec without template or xml needs "
				"it",
				needed[i]);
	AUTO(xml_free) struct xml *doc = xml_new("domain");
	if (!doc)
		return err_memory(err);
	if (build_base(xml_root(doc), err) < 0)
		return -1;
	*ret = TAKE(doc);
	return 0;
}
