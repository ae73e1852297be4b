/* SPDX-License-Identifier: MIT */
#include "vm/detail.h"

#include "definition/metadata.h"
#include "storage/local.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* What devices are read for. */
struct detail_reading {
	const struct hypervisor *hypervisor;
	const char *images;
	bool active;
};

static char *child_attr(const struct xml_node *node, const char *child, const char *name)
{
	const struct xml_node *at = xml_child(node, child);
	return at ? xml_attr(at, name) : NULL;
}

static char *child_text(const struct xml_node *node, const char *child)
{
	const struct xml_node *at = xml_child(node, child);
	return at ? xml_raw_text(at) : NULL;
}

/* 0: the text is no positive number, or NULL. The text is freed. */
static int take_positive(char *text)
{
	long value = text ? strtol(text, NULL, 10) : 0;
	free(text);
	return value > 0 && value <= INT32_MAX ? (int)value : 0;
}

/* Disks */

/* Where a disk of type file, block, dir, network or volume keeps its content. */
static char *disk_source(const struct xml_node *disk)
{
	static const char *const attributes[] = { "file", "dev", "dir", "name", "volume" };
	char *value = NULL;
	for (size_t i = 0; !value && i < ARRAY_LEN(attributes); i++)
		value = child_attr(disk, "source", attributes[i]);
	return value;
}

static void detail_read_disk(
	const struct xml_node *node, const struct detail_reading *reading, void *ret)
{
	struct vm_disk *disk = ret;
	disk->target = child_attr(node, "target", "dev");
	disk->bus = child_attr(node, "target", "bus");
	disk->device = xml_attr(node, "device");
	disk->format = child_attr(node, "driver", "type");
	disk->readonly = xml_child(node, "readonly");
	disk->source = disk_source(node);
	struct local_size size = { -1, -1 };
	if (disk->source) {
		size = local_measure(
			reading->hypervisor, reading->images, disk->source, disk->format);
		const char *shown = local_shown(reading->images, disk->source);
		memmove(disk->source, shown, strlen(shown) + 1);
	}
	disk->capacity = size.capacity;
	disk->allocation = size.allocation;
}

/* Interfaces */

static void detail_read_interface(
	const struct xml_node *node, const struct detail_reading *reading, void *ret)
{
	struct vm_interface *interface = ret;
	interface->mac = child_attr(node, "mac", "address");
	interface->model = child_attr(node, "model", "type");
	interface->network = child_attr(node, "source", "network");
	interface->bridge = child_attr(node, "source", "bridge");
	interface->target = reading->active ? child_attr(node, "target", "dev") : NULL;
}

static void interface_add_address(struct vm_interface *interface, const struct vm_address *address)
{
	for (size_t i = 0; i < interface->address_count; i++) {
		struct vm_address *known = &interface->addresses[i];
		if (strcmp(known->text, address->text) != 0)
			continue;
		if (address->source < known->source)
			*known = *address;
		return;
	}
	if (interface->address_count < VM_ADDRESSES_MAX)
		interface->addresses[interface->address_count++] = *address;
}

void detail_add_address(struct vm_detail *detail, const char *mac, const struct vm_address *address)
{
	for (size_t i = 0; i < detail->interface_count; i++) {
		struct vm_interface *interface = &detail->interfaces[i];
		if (interface->mac && !strcasecmp(interface->mac, mac))
			interface_add_address(interface, address);
	}
}

static void on_address(const char *mac, const struct vm_address *address, void *data)
{
	detail_add_address(data, mac, address);
}

static bool has_network(const struct vm_detail *detail)
{
	for (size_t i = 0; i < detail->interface_count; i++)
		if (detail->interfaces[i].network)
			return true;
	return false;
}

/*
 * Neither source enters QEMU's monitor; only libvirt's own networks have leases. A source that
 * fails, or that the driver lacks, counts as one that knows no address.
 */
static int read_addresses(
	struct lease *lease, virDomainPtr dom, struct vm_detail *detail, struct err *err)
{
	static const enum address_source sources[] = { ADDRESS_BY_LEASE, ADDRESS_BY_ARP };
	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		if (sources[i] == ADDRESS_BY_LEASE && !has_network(detail))
			continue;
		if (!addresses_each(dom, sources[i], on_address, detail))
			continue;
		(void)virt_fail(lease, VIRT_READ, err);
		if (lease->broken)
			return -1;
	}
	return 0;
}

/* Graphics */

static void detail_read_graphics(
	const struct xml_node *node, const struct detail_reading *reading, void *ret)
{
	struct vm_graphics *graphics = ret;
	graphics->type = xml_attr(node, "type");
	graphics->listen = xml_attr(node, "listen");
	if (!graphics->listen)
		graphics->listen = child_attr(node, "listen", "address");
	if (!reading->active)
		return;
	graphics->port = take_positive(xml_attr(node, "port"));
	graphics->websocket = take_positive(xml_attr(node, "websocket"));
}

/* All devices */

/* An array of the devices of a kind, each read by read_device(); NULL: memory. */
static void *read_each_device(const struct xml_node *domain, const char *kind, size_t size,
	void (*read_device)(
		const struct xml_node *node, const struct detail_reading *reading, void *ret),
	const struct detail_reading *reading, size_t *ret_count)
{
	char path[32];
	size_t count = 0;
	(void)snprintf(path, sizeof path, "devices/%s", kind);
	const struct xml_node *first = xml_find(domain, path);
	for (const struct xml_node *n = first; n && count < VM_DEVICES_MAX; n = xml_next(n))
		count++;
	char *devices = calloc(count + 1, size);
	for (size_t i = 0; devices && i < count; i++, first = xml_next(first))
		read_device(first, reading, devices + i * size);
	*ret_count = count;
	return devices;
}

static int detail_read_devices(const struct xml_node *domain, const struct detail_reading *reading,
	struct vm_detail *ret, struct err *err)
{
	ret->disks = read_each_device(
		domain, "disk", sizeof *ret->disks, detail_read_disk, reading, &ret->disk_count);
	ret->interfaces = read_each_device(domain, "interface", sizeof *ret->interfaces,
		detail_read_interface, reading, &ret->interface_count);
	ret->graphics = read_each_device(domain, "graphics", sizeof *ret->graphics,
		detail_read_graphics, reading, &ret->graphics_count);
	return ret->disks && ret->interfaces && ret->graphics ? 0 : err_memory(err);
}

static bool has_connected_agent(const struct xml_node *domain)
{
	const struct xml_node *n = xml_find(domain, "devices/channel");
	for (; n; n = xml_next(n)) {
		AUTO(free) char *name = child_attr(n, "target", "name");
		AUTO(free) char *state = child_attr(n, "target", "state");
		if (name && state && !strcmp(name, "org.qemu.guest_agent.0") &&
			!strcmp(state, "connected"))
			return true;
	}
	return false;
}

/* live is NULL if the VM is off. */
static int detail_read_domain(const struct xml_node *live, const struct xml_node *definition,
	const struct detail_reading *reading, struct vm_detail *ret, struct err *err)
{
	const struct xml_node *shown = live ? live : definition;
	ret->vcpus_maximum = take_positive(child_text(shown, "vcpu"));
	ret->title = child_text(definition, "title");
	ret->description = child_text(definition, "description");
	ret->labels = metadata_labels(definition);
	ret->agent = live && has_connected_agent(live);
	ret->pending = live && ret->vm.persistent ? pending_parts(live, definition) : 0;
	return detail_read_devices(shown, reading, ret, err);
}

struct detail_args {
	const char *images;
	const char *ref;
	struct vm_detail detail;
};

/*
 * At most 12 RPCs for a VM that runs, however many devices it has, and none that enters QEMU's
 * monitor: 2 to find the VM, 6 of domain_read(), 2 for XML, 2 for addresses.
 */
static int read_detail(struct lease *lease, void *data, struct err *err)
{
	struct detail_args *args = data;
	AUTO_DETAIL struct vm_detail detail = { .id = -1 };
	AUTO(virDomainFree) virDomainPtr dom = NULL;
	AUTO(xml_free) struct xml *definition = NULL;
	AUTO(xml_free) struct xml *live = NULL;
	if (domain_lookup(lease, args->ref, &dom, err) < 0 ||
		domain_read(lease, dom, &detail.vm, err) < 0)
		return -1;
	if (detail.vm.active)
		detail.id = (int)virDomainGetID(dom);
	AUTO(free) char *xml = NULL;
	if (domain_read_xml_text(lease, dom, VIR_DOMAIN_XML_INACTIVE, &xml, err) < 0 ||
		domain_version_of(&detail.vm, xml, detail.version, err) < 0 ||
		xml_parse_trusted(xml, &definition, err) < 0)
		return -1;
	if (detail.vm.active && domain_read_xml(lease, dom, 0, &live, err) < 0)
		return -1;
	const struct detail_reading reading = { lease->hypervisor, args->images, detail.vm.active };
	if (detail_read_domain(
		    live ? xml_root(live) : NULL, xml_root(definition), &reading, &detail, err) < 0)
		return -1;
	if (live && detail.interface_count && read_addresses(lease, dom, &detail, err) < 0)
		return -1;
	args->detail = detail;
	detail = (struct vm_detail){ 0 };
	return 0;
}

int detail_read(struct host *host, const char *images, const char *ref, struct vm_detail *ret,
	struct err *err)
{
	struct detail_args args = { .images = images, .ref = ref };
	if (lease_read(host->hypervisor, read_detail, &args, err) < 0)
		return -1;
	*ret = args.detail;
	return 0;
}

void detail_done(struct vm_detail *detail)
{
	for (size_t i = 0; i < detail->disk_count && detail->disks; i++) {
		struct vm_disk *d = &detail->disks[i];
		char *const texts[] = { d->target, d->bus, d->device, d->format, d->source };
		for (size_t t = 0; t < ARRAY_LEN(texts); t++)
			free(texts[t]);
	}
	for (size_t i = 0; i < detail->interface_count && detail->interfaces; i++) {
		struct vm_interface *n = &detail->interfaces[i];
		char *const texts[] = { n->mac, n->model, n->network, n->bridge, n->target };
		for (size_t t = 0; t < ARRAY_LEN(texts); t++)
			free(texts[t]);
	}
	for (size_t i = 0; i < detail->graphics_count && detail->graphics; i++) {
		free(detail->graphics[i].type);
		free(detail->graphics[i].listen);
	}
	free(detail->disks);
	free(detail->interfaces);
	free(detail->graphics);
	free(detail->title);
	free(detail->description);
	json_free(detail->labels);
}
