/* SPDX-License-Identifier: MIT */
#include "definition/pending.h"

#include "definition/metadata.h"

#include <string.h>

/* What says nothing of a definition: libvirt writes it for what runs, or in both as it likes. */
static const char dropped_elements[] = "|alias|seclabel|backingStore|mirror|privateData|";
static const struct {
	const char *element, *attribute;
} dropped_attributes[] = {
	{ "source", "index" }, { "target", "state" }, /* of a channel: is somebody there? */
	{ "target", "tray" }, { "console", "tty" },
	{ "graphics", "listen" }, /* stands in the element of that name, too */
};

/*
 * What libvirt chooses at the start where the definition leaves it open: by saying nothing, or by
 * this value. An attribute of NULL is the whole element.
 */
static const struct {
	const char *parent, *element, *attribute, *open;
} chosen[] = {
	{ "devices", "graphics", "port", "-1" },
	{ "devices", "graphics", "tlsPort", "-1" },
	{ "devices", "graphics", "websocket", "-1" },
	{ "graphics", "listen", NULL, NULL },
	{ "graphics", "listen", "address", NULL },
	{ "graphics", "listen", "socket", NULL },
	{ "devices", "interface", "type", "network" },
	{ "interface", "source", "portid", NULL },
	{ "interface", "source", "bridge", NULL },
	{ "interface", "source", "dev", NULL },
	{ "interface", "source", "mode", NULL },
	{ "interface", "target", NULL, NULL },
	{ "interface", "virtualport", NULL, NULL },
	{ "interface", "vlan", NULL, NULL },
	{ "interface", "bandwidth", NULL, NULL },
	{ "serial", "source", NULL, NULL },
	{ "parallel", "source", NULL, NULL },
	{ "console", "source", NULL, NULL },
	{ "channel", "source", NULL, NULL },
	{ "os", "loader", NULL, NULL }, /* by firmware='efi' */
	{ "os", "loader", "readonly", NULL },
	{ "os", "loader", "secure", NULL },
	{ "os", "loader", "type", NULL },
	{ "os", "nvram", NULL, NULL },
	{ "os", "nvram", "template", NULL },
	{ "domain", "os", "firmware", "efi" },
};

static bool is_dropped(const struct xml_node *node)
{
	const char *name = xml_name(node);
	size_t n = strlen(name);
	const struct xml_node *parent = xml_parent(node);
	/* Where a device sits on its bus; below <source> it is a device of the host. */
	if (!strcmp(name, "address"))
		return parent && !xml_is(parent, "source");
	for (const char *s = dropped_elements; (s = strstr(s, name)); s += n)
		if (s[-1] == '|' && s[n] == '|')
			return true;
	return false;
}

static bool is_dropped_attribute(const struct xml_node *node, const char *name)
{
	/* An empty drive has a format in its definition alone. */
	const struct xml_node *parent = xml_parent(node);
	if (xml_is(node, "driver") && !strcmp(name, "type") && parent &&
		!xml_child(parent, "source"))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(dropped_attributes); i++)
		if (xml_is(node, dropped_attributes[i].element) &&
			!strcmp(dropped_attributes[i].attribute, name))
			return true;
	return false;
}

static bool same_or_none(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* May libvirt have chosen it, by what the definition says of it (NULL: nothing)? */
static bool is_chosen(const struct xml_node *node, const char *attribute, const char *defined)
{
	const struct xml_node *parent = xml_parent(node);
	for (size_t i = 0; parent && i < ARRAY_LEN(chosen); i++)
		if (xml_is(node, chosen[i].element) && xml_is(parent, chosen[i].parent) &&
			same_or_none(chosen[i].attribute, attribute))
			return !defined || same_or_none(chosen[i].open, defined);
	return false;
}

struct attributes {
	const struct xml_node *node, *other;
	bool live; /* node is what runs, other the definition */
	bool same;
};

static void compare_attribute(const char *name, const char *value, bool foreign, void *data)
{
	struct attributes *c = data;
	AUTO(free) char *there = xml_attr(c->other, name);
	(void)foreign;
	if (is_dropped_attribute(c->node, name) || (there && !strcmp(there, value)))
		return;
	if (!is_chosen(c->live ? c->node : c->other, name, c->live ? there : value))
		c->same = false;
}

static bool same_attributes(const struct xml_node *live, const struct xml_node *definition)
{
	struct attributes there = { live, definition, true, true };
	struct attributes back = { definition, live, false, true };
	return !xml_each_attr(live, compare_attribute, &there) &&
		!xml_each_attr(definition, compare_attribute, &back) && there.same && back.same;
}

static bool same_text(const struct xml_node *live, const struct xml_node *definition)
{
	AUTO(free) char *a = live ? xml_raw_text(live) : strdup("");
	AUTO(free) char *b = definition ? xml_raw_text(definition) : strdup("");
	return a && b && !strcmp(a, b);
}

static const struct xml_node *skip_dropped(const struct xml_node *node)
{
	while (node && is_dropped(node))
		node = xml_sibling(node);
	return node;
}

/* The same, and past what the definition leaves to libvirt. */
static const struct xml_node *skip_chosen(
	const struct xml_node *node, const struct xml_node *definition)
{
	node = skip_dropped(node);
	while (node && is_chosen(node, NULL, NULL) && !xml_child(definition, xml_name(node)))
		node = skip_dropped(xml_sibling(node));
	return node;
}

/* As deep as a document may be, which xml.h bounds. */
static bool same_node(const struct xml_node *live, const struct xml_node *definition)
{
	if (strcmp(xml_name(live), xml_name(definition)) != 0 || !same_attributes(live, definition))
		return false;
	if (!xml_first(live) && !xml_first(definition))
		return same_text(live, definition) || !xml_has_text(definition);
	const struct xml_node *a = skip_chosen(xml_first(live), definition);
	const struct xml_node *b = skip_dropped(xml_first(definition));
	for (; a && b && same_node(a, b); b = skip_dropped(xml_sibling(b)))
		a = skip_chosen(xml_sibling(a), definition);
	return !a && !b;
}

/* Devices */

static enum pending_part part_of(const struct xml_node *device)
{
	static const struct {
		const char *name;
		enum pending_part part;
	} parts[] = {
		{ "disk", PENDING_DISKS },
		{ "interface", PENDING_INTERFACES },
		{ "graphics", PENDING_GRAPHICS },
	};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (xml_is(device, parts[i].name))
			return parts[i].part;
	return PENDING_DEVICES;
}

static const struct xml_node *next_of(const struct xml_node *device, enum pending_part part)
{
	while (device && part_of(device) != part)
		device = xml_sibling(device);
	return device;
}

static const struct xml_node *first_of(const struct xml_node *domain, enum pending_part part)
{
	const struct xml_node *devices = xml_child(domain, "devices");
	return next_of(devices ? xml_first(devices) : NULL, part);
}

/* From one on, to another. */
static const struct xml_node *find_same(const struct xml_node *from, const struct xml_node *end,
	const struct xml_node *defined, enum pending_part part)
{
	while (from && from != end && !same_node(from, defined))
		from = next_of(xml_sibling(from), part);
	return from == end ? NULL : from;
}

static size_t count_of(const struct xml_node *domain, enum pending_part part)
{
	size_t count = 0;
	for (const struct xml_node *n = first_of(domain, part); n;
		n = next_of(xml_sibling(n), part))
		count++;
	return count;
}

/*
 * As many, and each that is defined is there. Their order is nearly the same, so each is looked for
 * where the last one ended; but libvirt puts controllers that it added itself elsewhere.
 */
static bool same_devices(
	const struct xml_node *live, const struct xml_node *definition, enum pending_part part)
{
	const struct xml_node *first = first_of(live, part);
	const struct xml_node *at = first;
	if (count_of(live, part) != count_of(definition, part))
		return false;
	for (const struct xml_node *n = first_of(definition, part); n;
		n = next_of(xml_sibling(n), part)) {
		const struct xml_node *found = find_same(at, NULL, n, part);
		if (!found)
			found = find_same(first, at, n, part);
		if (!found)
			return false;
		at = next_of(xml_sibling(found), part);
	}
	return true;
}

/* The rest */

static bool same_at(
	const struct xml_node *live, const struct xml_node *definition, const char *name)
{
	return same_text(xml_child(live, name), xml_child(definition, name));
}

static bool same_labels(const struct xml_node *live, const struct xml_node *definition)
{
	AUTO(json_free) struct json *a = metadata_labels(live);
	AUTO(json_free) struct json *b = metadata_labels(definition);
	AUTO(free) char *a_text = NULL;
	AUTO(free) char *b_text = NULL;
	size_t len = 0;
	struct err ignored;
	return !json_text(a, &a_text, &len, &ignored) && !json_text(b, &b_text, &len, &ignored) &&
		!strcmp(a_text, b_text);
}

static bool same_vcpus(const struct xml_node *live, const struct xml_node *definition)
{
	const struct xml_node *a = xml_child(live, "vcpu");
	const struct xml_node *b = xml_child(definition, "vcpu");
	AUTO(free) char *a_now = a ? xml_attr(a, "current") : NULL;
	AUTO(free) char *b_now = b ? xml_attr(b, "current") : NULL;
	return same_text(a, b) && same_or_none(a_now, b_now);
}

/* QEMU's driver rounds up to whole MiB when it starts. */
static int64_t memory_mib(const struct xml_node *domain)
{
	enum { KIB = 1024 };
	char kib[32];
	xml_copy_text(domain, "memory", kib, sizeof kib);
	return (strtoll(kib, NULL, 10) + KIB - 1) / KIB;
}

static bool same_boot(const struct xml_node *live, const struct xml_node *definition)
{
	const struct xml_node *a = xml_child(live, "os");
	const struct xml_node *b = xml_child(definition, "os");
	return !a == !b && (!a || same_node(a, b));
}

static bool same_part(
	const struct xml_node *live, const struct xml_node *definition, enum pending_part part)
{
	switch (part) {
	case PENDING_TITLE:
		return same_at(live, definition, "title");
	case PENDING_DESCRIPTION:
		return same_at(live, definition, "description");
	case PENDING_LABELS:
		return same_labels(live, definition);
	case PENDING_VCPUS:
		return same_vcpus(live, definition);
	case PENDING_MEMORY:
		return memory_mib(live) == memory_mib(definition);
	case PENDING_BOOT:
		return same_boot(live, definition);
	case PENDING_DISKS:
	case PENDING_INTERFACES:
	case PENDING_GRAPHICS:
	case PENDING_DEVICES:
		return same_devices(live, definition, part);
	case PENDING_COUNT:
		break;
	}
	return true;
}

const char *pending_name(enum pending_part part)
{
	static const char *const names[] = {
		[PENDING_TITLE] = "title",
		[PENDING_DESCRIPTION] = "description",
		[PENDING_LABELS] = "labels",
		[PENDING_VCPUS] = "vcpus",
		[PENDING_MEMORY] = "memory_kib",
		[PENDING_BOOT] = "boot",
		[PENDING_DISKS] = "disks",
		[PENDING_INTERFACES] = "interfaces",
		[PENDING_GRAPHICS] = "graphics",
		[PENDING_DEVICES] = "devices",
	};
	_Static_assert(ARRAY_LEN(names) == PENDING_COUNT, "a name per part");
	return names[part];
}

unsigned pending_parts(const struct xml_node *live, const struct xml_node *definition)
{
	unsigned parts = 0;
	for (int part = 0; part < PENDING_COUNT; part++)
		if (!same_part(live, definition, (enum pending_part)part))
			parts |= 1U << part;
	return parts;
}
