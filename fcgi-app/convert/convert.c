/* SPDX-License-Identifier: MIT */
#include "convert/convert.h"

#include "definition/spec.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

void conversion_done(struct conversion *conversion)
{
	qemu_argv_done(&conversion->argv);
	json_free(conversion->spec);
	free(conversion->xml);
}

/* The spec */

/* Replaces what text_is_name() does not allow. */
static void make_nameable(char *name)
{
	for (char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && (c == name || !strchr("._+-", *c)))
			*c = c == name ? 'x' : '-';
}

/* The name of the command line, or one made from the kernel's file name. */
static void choose_name(const struct qemu_guest *guest, char *ret, size_t size)
{
	const char *from = guest->name ? guest->name : guest->kernel ? guest->kernel : "converted";
	const char *slash = strrchr(from, '/');
	if (!guest->name && slash)
		from = slash + 1;
	(void)snprintf(ret, size, "%s", from);
	if (guest->name)
		return; /* a bad name is an error */
	make_nameable(ret);
}

static void put_text(struct json *object, const char *name, const char *value)
{
	if (value)
		json_put_string(object, name, value);
}

/* The first word of a list in the settings. */
static struct json *first_word(const char *list)
{
	char first[64];
	(void)snprintf(first, sizeof first, "%.*s", (int)strcspn(list, ","), list);
	return json_string(first);
}

static struct json *disk_json(const struct qemu_disk *disk)
{
	struct json *o = json_new_object();
	put_text(o, "source", disk->source);
	put_text(o, "format", disk->format);
	put_text(o, "device", disk->device);
	put_text(o, "bus", disk->bus);
	put_text(o, "serial", disk->serial);
	if (disk->readonly)
		json_put_bool(o, "readonly", true);
	if (disk->boot_order)
		json_put_int(o, "boot_order", disk->boot_order);
	return o;
}

static struct json *interface_json(
	const struct qemu_interface *interface, const struct config *config)
{
	struct json *o = json_new_object();
	if (!interface->bridge)
		json_put(o, "network", first_word(config->networks));
	else if (*interface->bridge)
		json_put_string(o, "bridge", interface->bridge);
	else
		json_put(o, "bridge", first_word(config->bridges));
	put_text(o, "mac", interface->mac);
	put_text(o, "model", interface->model);
	if (interface->boot_order)
		json_put_int(o, "boot_order", interface->boot_order);
	return o;
}

static struct json *filesystem_json(const struct qemu_filesystem *fs)
{
	struct json *o = json_new_object();
	put_text(o, "source", fs->source);
	put_text(o, "target", fs->target);
	if (fs->readonly)
		json_put_bool(o, "readonly", true);
	return o;
}

static void put_devices(
	struct json *spec, const struct qemu_guest *guest, const struct config *config)
{
	struct json *disks = json_new_array();
	struct json *interfaces = json_new_array();
	struct json *filesystems = json_new_array();
	for (size_t i = 0; i < guest->disk_count; i++)
		json_push(disks, disk_json(&guest->disks[i]));
	for (size_t i = 0; i < guest->interface_count; i++)
		json_push(interfaces, interface_json(&guest->interfaces[i], config));
	for (size_t i = 0; i < guest->filesystem_count; i++)
		json_push(filesystems, filesystem_json(&guest->filesystems[i]));
	json_put(spec, "disks", disks);
	json_put(spec, "interfaces", interfaces);
	json_put(spec, "filesystems", filesystems);
}

/* virtgate chooses where a log lies, as UUID@NAME (serial_log.h): the name is what is left. */
static void put_log(struct json *serial, const char *path)
{
	char name[64];
	const char *slash = strrchr(path, '/');
	const char *at = strrchr(slash ? slash : path, '@');
	(void)snprintf(name, sizeof name, "%s", at ? at + 1 : slash ? slash + 1 : path);
	make_nameable(name);
	json_put_string(serial, "log", *name ? name : "serial.log");
}

static void put_consoles(struct json *spec, const struct qemu_guest *guest)
{
	struct json *graphics = json_new_object();
	struct json *serial = json_new_object();
	json_put_string(graphics, "type", guest->no_graphics ? "none" : "vnc");
	json_put_string(serial, "type", guest->no_serial ? "none" : "pty");
	if (!guest->no_serial && guest->serial_log)
		put_log(serial, guest->serial_log);
	json_put(spec, "graphics", graphics);
	json_put(spec, "serial", serial);
}

static struct json *make_spec(const struct qemu_guest *guest, const struct config *config)
{
	char name[64];
	struct json *spec = json_new_object();
	choose_name(guest, name, sizeof name);
	json_put_string(spec, "name", name);
	json_put_int(spec, "memory_kib", guest->memory_kib);
	if (guest->vcpus)
		json_put_int(spec, "vcpus", guest->vcpus);
	put_text(spec, "kernel", guest->kernel);
	put_text(spec, "initrd", guest->initrd);
	put_text(spec, "cmdline", guest->cmdline && *guest->cmdline ? guest->cmdline : NULL);
	put_devices(spec, guest, config);
	put_consoles(spec, guest);
	return spec;
}

/* What a spec cannot express */

struct extra {
	struct conversion *to;
	struct xml_node *domain, *devices;
	int failed;
};

static void extra_lack(struct extra *x, const char *what)
{
	if (x->to->lack_count < CONVERT_LACKS_MAX)
		x->to->lacks[x->to->lack_count++] = what;
}

static struct xml_node *extra_add(struct extra *x, struct xml_node *parent, const char *name,
	const char *text, const char *lacked)
{
	struct xml_node *node = parent ? xml_add(parent, name, text) : NULL;
	if (!node)
		x->failed = -1;
	if (lacked)
		extra_lack(x, lacked);
	return node;
}

static void extra_set(struct extra *x, struct xml_node *node, const char *attr, const char *value)
{
	if (!node || xml_set_attr(node, attr, value) < 0)
		x->failed = -1;
}

static void extra_set_number(struct extra *x, struct xml_node *node, const char *attr, int n)
{
	char text[16];
	(void)snprintf(text, sizeof text, "%d", n);
	extra_set(x, node, attr, text);
}

static void put_machine(struct extra *x, const struct qemu_guest *guest)
{
	struct xml_node *type = xml_find(x->domain, "os/type");
	extra_set(x, x->domain, "type", guest->kvm ? "kvm" : "qemu");
	if (!guest->kvm)
		extra_lack(x, "type qemu");
	extra_set(x, type, "arch", guest->arch);
	if (guest->machine) {
		extra_set(x, type, "machine", guest->machine);
		extra_lack(x, "machine");
	}
	if (guest->uuid)
		(void)extra_add(x, x->domain, "uuid", guest->uuid, "uuid");
	if (guest->no_reboot)
		(void)extra_add(x, x->domain, "on_reboot", "destroy", "on_reboot");
	struct xml_node *acpi = xml_find(x->domain, "features/acpi");
	if (guest->no_acpi && acpi) {
		xml_remove(acpi);
		extra_lack(x, "no ACPI");
	}
}

static void put_cpu(struct extra *x, const struct qemu_guest *guest)
{
	bool topology = guest->sockets || guest->cores || guest->threads;
	if (!guest->cpu_mode && !topology)
		return;
	struct xml_node *cpu = extra_add(x, x->domain, "cpu", NULL, "cpu");
	if (guest->cpu_mode)
		extra_set(x, cpu, "mode", guest->cpu_mode);
	if (guest->cpu_model) {
		struct xml_node *model = extra_add(x, cpu, "model", guest->cpu_model, NULL);
		extra_set(x, cpu, "match", "exact");
		extra_set(x, model, "fallback", "forbid");
	}
	if (!topology)
		return;
	struct xml_node *t = extra_add(x, cpu, "topology", NULL, NULL);
	extra_set_number(x, t, "sockets", guest->sockets ? guest->sockets : 1);
	extra_set_number(x, t, "cores", guest->cores ? guest->cores : 1);
	extra_set_number(x, t, "threads", guest->threads ? guest->threads : 1);
}

static void put_clock(struct extra *x, const struct qemu_guest *guest)
{
	if (!guest->localtime && !guest->no_hpet)
		return;
	struct xml_node *clock = extra_add(x, x->domain, "clock", NULL, "clock");
	extra_set(x, clock, "offset", guest->localtime ? "localtime" : "utc");
	if (!guest->no_hpet)
		return;
	struct xml_node *timer = extra_add(x, clock, "timer", NULL, NULL);
	extra_set(x, timer, "name", "hpet");
	extra_set(x, timer, "present", "no");
}

/* libvirt takes a boot order of devices or one of kinds, not both. */
static void put_boot(struct extra *x, const struct qemu_guest *guest)
{
	static const char *const devices[] = {
		['a'] = "fd", ['c'] = "hd", ['d'] = "cdrom", ['n'] = "network"
	};
	struct xml_node *os = xml_child(x->domain, "os");
	bool own_order = false;
	for (size_t i = 0; i < guest->disk_count; i++)
		own_order = own_order || guest->disks[i].boot_order;
	for (size_t i = 0; i < guest->interface_count; i++)
		own_order = own_order || guest->interfaces[i].boot_order;
	for (const char *c = guest->boot; c && *c && !own_order; c++)
		if ((unsigned char)*c < ARRAY_LEN(devices) && devices[(unsigned char)*c])
			extra_set(x,
				extra_add(x, os, "boot", NULL, c == guest->boot ? "boot" : NULL),
				"dev", devices[(unsigned char)*c]);
}

static void put_inputs(struct extra *x, const struct qemu_guest *guest)
{
	for (size_t i = 0; i < guest->input_count; i++) {
		struct xml_node *input =
			extra_add(x, x->devices, "input", NULL, i ? NULL : "input");
		extra_set(x, input, "type", guest->inputs[i].type);
		extra_set(x, input, "bus", guest->inputs[i].bus);
	}
}

static void put_disk_drivers(struct extra *x, const struct qemu_guest *guest)
{
	struct xml_node *disk = xml_child(x->devices, "disk");
	bool any = false;
	for (size_t i = 0; disk && i < guest->disk_count; i++, disk = xml_next(disk)) {
		const struct qemu_disk *from = &guest->disks[i];
		const struct {
			const char *attr, *value;
		} parts[] = { { "cache", from->cache }, { "io", from->io },
			{ "discard", from->discard } };
		for (size_t j = 0; j < ARRAY_LEN(parts); j++) {
			if (!parts[j].value)
				continue;
			extra_set(x, xml_child(disk, "driver"), parts[j].attr, parts[j].value);
			any = true;
		}
	}
	if (any)
		extra_lack(x, "disk driver");
}

static void put_others(struct extra *x, const struct qemu_guest *guest)
{
	if (guest->video) {
		struct xml_node *video = extra_add(x, x->devices, "video", NULL, "video");
		extra_set(x, extra_add(x, video, "model", NULL, NULL), "type", guest->video);
	}
	if (guest->rng) {
		struct xml_node *rng = extra_add(x, x->devices, "rng", NULL, "rng");
		extra_set(x, rng, "model", "virtio");
		extra_set(x, extra_add(x, rng, "backend", "/dev/urandom", NULL), "model", "random");
	}
	if (guest->watchdog) {
		struct xml_node *watchdog = extra_add(x, x->devices, "watchdog", NULL, "watchdog");
		extra_set(x, watchdog, "model", "i6300esb");
		extra_set(x, watchdog, "action", "reset");
	}
	if (guest->panic)
		extra_set(x, extra_add(x, x->devices, "panic", NULL, "panic"), "model", "isa");
	if (guest->agent) {
		struct xml_node *channel = extra_add(x, x->devices, "channel", NULL, "channel");
		struct xml_node *target = extra_add(x, channel, "target", NULL, NULL);
		extra_set(x, channel, "type", "unix");
		extra_set(x, target, "type", "virtio");
		extra_set(x, target, "name", "org.qemu.guest_agent.0");
	}
}

static int put_extras(struct conversion *to, struct xml_node *domain, struct err *err)
{
	const struct qemu_guest *guest = &to->argv.guest;
	struct extra x = { to, domain, xml_child(domain, "devices"), 0 };
	put_machine(&x, guest);
	put_cpu(&x, guest);
	put_clock(&x, guest);
	put_boot(&x, guest);
	put_inputs(&x, guest);
	put_disk_drivers(&x, guest);
	put_others(&x, guest);
	return x.failed ? err_memory(err) : 0;
}

static int convert_guest(
	struct conversion *to, const struct config *config, bool files, struct err *err)
{
	to->spec = make_spec(&to->argv.guest, config);
	if (field_check_object(spec_fields, to->spec, err) < 0) {
		err->kind = ERR_INVALID_SPEC; /* the command line is wrong, not the request */
		return -1;
	}
	AUTO_DOMAIN_XML struct domain_xml domain = { 0 };
	if (spec_base(to->spec, &domain.doc, err) < 0 ||
		spec_apply(to->spec, xml_root(domain.doc), err) < 0 ||
		put_extras(to, xml_root(domain.doc), err) < 0)
		return -1;
	to->xml = xml_text(domain.doc);
	if (!to->xml)
		return err_memory(err);
	if (domain_xml_settle(&domain, config, err) < 0)
		return -1;
	return files ? policy_check(domain.doc, config, &to->report, err)
		     : policy_check_unseen(domain.doc, config, &to->report, err);
}

int convert_qemu_argv(const struct config *config, bool files, const char *const *words,
	size_t count, struct conversion *ret, struct err *err)
{
	struct conversion made = { 0 };
	if (qemu_argv_read(words, count, &made.argv, err) < 0)
		return -1;
	if (convert_guest(&made, config, files, err) < 0) {
		conversion_done(&made);
		return -1;
	}
	*ret = made;
	return 0;
}
