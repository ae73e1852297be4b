/* SPDX-License-Identifier: MIT */
#include "vm/detail.h"

#include "definition/metadata.h"
#include "storage/local.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

struct read_args {
	const struct hypervisor *hypervisor;
	const char *images;
	const char *ref;
	struct vm_detail detail;
};

static char *attr_at(const struct xml_node *node, const char *child, const char *name)
{
	const struct xml_node *at = xml_child(node, child);
	return at ? xml_attr(at, name) : NULL;
}

/* A number from 1 on; 0: none. */
static int number_of(const char *text)
{
	long value = text ? strtol(text, NULL, 10) : 0;
	return value > 0 && value <= INT32_MAX ? (int)value : 0;
}

static int attr_number(const struct xml_node *node, const char *name)
{
	AUTO(free) char *text = xml_attr(node, name);
	return number_of(text);
}

/* The devices of a kind: their number, and room for them. */
static void *room_for(const struct xml_node *devices, const char *kind, size_t size, size_t *ret)
{
	*ret = 0;
	const struct xml_node *n = devices ? xml_child(devices, kind) : NULL;
	for (; n && *ret < VM_DEVICES_MAX; n = xml_next(n))
		++*ret;
	return calloc(*ret + 1, size);
}

/* Disks */

/* Where a disk of any type (file, block, dir, network, volume) keeps its content. */
static char *read_source(const struct xml_node *disk)
{
	static const char *const attributes[] = { "file", "dev", "dir", "name", "volume" };
	char *value = NULL;
	for (size_t i = 0; !value && i < ARRAY_LEN(attributes); i++)
		value = attr_at(disk, "source", attributes[i]);
	return value;
}

static void read_disk(
	const struct xml_node *node, const struct read_args *args, struct vm_disk *ret)
{
	ret->target = attr_at(node, "target", "dev");
	ret->bus = attr_at(node, "target", "bus");
	ret->device = xml_attr(node, "device");
	ret->format = attr_at(node, "driver", "type");
	ret->readonly = xml_child(node, "readonly");
	ret->source = read_source(node);
	struct local_size size = { -1, -1 };
	if (ret->source) {
		size = local_measure(args->hypervisor, args->images, ret->source, ret->format);
		const char *shown = local_shown(args->images, ret->source);
		memmove(ret->source, shown, strlen(shown) + 1);
	}
	ret->capacity = size.capacity;
	ret->allocation = size.allocation;
}

/* Interfaces */

static void read_interface(const struct xml_node *node, bool active, struct vm_interface *ret)
{
	ret->mac = attr_at(node, "mac", "address");
	ret->model = attr_at(node, "model", "type");
	ret->network = attr_at(node, "source", "network");
	ret->bridge = attr_at(node, "source", "bridge");
	ret->target = active ? attr_at(node, "target", "dev") : NULL;
}

static void add_address(struct vm_interface *interface, const struct vm_address *address)
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
			add_address(interface, address);
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
 * Neither enters the monitor. Leases are those of libvirt's own networks. A source that fails, or
 * that the driver lacks, knows none.
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

static void read_graphics(const struct xml_node *node, bool active, struct vm_graphics *ret)
{
	ret->type = xml_attr(node, "type");
	ret->listen = xml_attr(node, "listen");
	if (!ret->listen)
		ret->listen = attr_at(node, "listen", "address");
	ret->port = active ? attr_number(node, "port") : 0;
	ret->websocket = active ? attr_number(node, "websocket") : 0;
}

/* All of it */

static int read_devices(const struct xml_node *domain, const struct read_args *args,
	struct vm_detail *ret, struct err *err)
{
	const struct xml_node *devices = xml_child(domain, "devices");
	bool active = ret->vm.active;
	ret->disks = room_for(devices, "disk", sizeof *ret->disks, &ret->disk_count);
	ret->interfaces =
		room_for(devices, "interface", sizeof *ret->interfaces, &ret->interface_count);
	ret->graphics = room_for(devices, "graphics", sizeof *ret->graphics, &ret->graphics_count);
	if (!ret->disks || !ret->interfaces || !ret->graphics)
		return err_memory(err);
	const struct xml_node *n = devices ? xml_child(devices, "disk") : NULL;
	for (size_t i = 0; i < ret->disk_count; i++, n = xml_next(n))
		read_disk(n, args, &ret->disks[i]);
	n = devices ? xml_child(devices, "interface") : NULL;
	for (size_t i = 0; i < ret->interface_count; i++, n = xml_next(n))
		read_interface(n, active, &ret->interfaces[i]);
	n = devices ? xml_child(devices, "graphics") : NULL;
	for (size_t i = 0; i < ret->graphics_count; i++, n = xml_next(n))
		read_graphics(n, active, &ret->graphics[i]);
	return 0;
}

static bool is_agent(const struct xml_node *channel)
{
	AUTO(free) char *name = attr_at(channel, "target", "name");
	AUTO(free) char *state = attr_at(channel, "target", "state");
	return name && state && !strcmp(name, "org.qemu.guest_agent.0") &&
		!strcmp(state, "connected");
}

static bool has_agent(const struct xml_node *domain)
{
	const struct xml_node *n = xml_find(domain, "devices/channel");
	while (n && !is_agent(n))
		n = xml_next(n);
	return n;
}

static char *text_of(const struct xml_node *domain, const char *name)
{
	const struct xml_node *node = xml_child(domain, name);
	return node ? xml_raw_text(node) : NULL;
}

/* live is NULL of a VM that does not run. */
static int describe(const struct xml_node *live, const struct xml_node *definition,
	const struct read_args *args, struct vm_detail *ret, struct err *err)
{
	const struct xml_node *shown = live ? live : definition;
	AUTO(free) char *vcpus = text_of(shown, "vcpu");
	ret->vcpus_maximum = number_of(vcpus);
	ret->title = text_of(definition, "title");
	ret->description = text_of(definition, "description");
	ret->labels = metadata_labels(definition);
	ret->agent = live && has_agent(live);
	ret->pending = live && ret->vm.persistent ? pending_parts(live, definition) : 0;
	return read_devices(shown, args, ret, err);
}

/*
 * Of a VM that runs at most 12 calls, however much it has, and none that enters QEMU's monitor: 2
 * to find it, 6 of domain_read(), 2 for XML, 2 for addresses.
 */
static int read_detail(struct lease *lease, void *data, struct err *err)
{
	struct read_args *args = data;
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
	if (describe(live ? xml_root(live) : NULL, xml_root(definition), args, &detail, err) < 0)
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
	struct read_args args = {
		.hypervisor = host->hypervisor,
		.images = images,
		.ref = ref,
	};
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
