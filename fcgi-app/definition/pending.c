/* SPDX-License-Identifier: MIT */
#include "definition/pending.h"

#include "definition/metadata.h"

#include <string.h>

/* Not part of what was defined: libvirt adds it to the running domain, or to both as it chooses. */
static const char dropped_elements[] = "|alias|seclabel|backingStore|mirror|privateData|";
static const struct {
	const char *element, *attribute;
} dropped_attributes[] = {
	{ "source", "index" }, { "target", "state" }, /* of a channel: is it connected? */
	{ "target", "tray" }, { "console", "tty" },
	{ "graphics", "listen" }, /* repeats the element of that name */
};

/*
 * What libvirt chooses at the start if the definition leaves it open, by not having it or by having
 * the value `open`. Attribute NULL: the whole element.
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
	/* The place of a device on its bus; below <source>, an address names a device of the host.
	 */
	if (!strcmp(name, "address"))
		return parent && !xml_is(parent, "source");
	for (const char *s = dropped_elements; (s = strstr(s, name)); s += n)
		if (s[-1] == '|' && s[n] == '|')
			return true;
	return false;
}

static bool is_dropped_attribute(const struct xml_node *node, const char *name)
{
	/* Only in the definition does an empty drive have a format. */
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

/* May libvirt have chosen it, if the definition has this value (NULL: has it not)? */
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

/* Skips, too, what the definition leaves to libvirt. */
static const struct xml_node *skip_chosen(
	const struct xml_node *node, const struct xml_node *definition)
{
	node = skip_dropped(node);
	while (node && is_chosen(node, NULL, NULL) && !xml_child(definition, xml_name(node)))
		node = skip_dropped(xml_sibling(node));
	return node;
}

/* Recurses as deep as the document, which xml.h bounds. */
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

static enum pending_part device_part(const struct xml_node *device)
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

static const struct xml_node *next_device(const struct xml_node *device, enum pending_part part)
{
	while (device && device_part(device) != part)
		device = xml_sibling(device);
	return device;
}

static const struct xml_node *first_device(const struct xml_node *domain, enum pending_part part)
{
	const struct xml_node *devices = xml_child(domain, "devices");
	return next_device(devices ? xml_first(devices) : NULL, part);
}

/* Searches from one device to another, which is excluded. */
static const struct xml_node *find_same_device(const struct xml_node *from,
	const struct xml_node *end, const struct xml_node *defined, enum pending_part part)
{
	while (from && from != end && !same_node(from, defined))
		from = next_device(xml_sibling(from), part);
	return from == end ? NULL : from;
}

static size_t count_devices(const struct xml_node *domain, enum pending_part part)
{
	size_t count = 0;
	for (const struct xml_node *n = first_device(domain, part); n;
		n = next_device(xml_sibling(n), part))
		count++;
	return count;
}

/*
 * Are there as many, and is each defined device in the running domain? The orders are nearly the
 * same, so each search starts where the last one ended; but libvirt inserts the controllers that it
 * adds anywhere.
 */
static bool same_devices(
	const struct xml_node *live, const struct xml_node *definition, enum pending_part part)
{
	const struct xml_node *first = first_device(live, part);
	const struct xml_node *at = first;
	if (count_devices(live, part) != count_devices(definition, part))
		return false;
	for (const struct xml_node *n = first_device(definition, part); n;
		n = next_device(xml_sibling(n), part)) {
		const struct xml_node *found = find_same_device(at, NULL, n, part);
		if (!found)
			found = find_same_device(first, at, n, part);
		if (!found)
			return false;
		at = next_device(xml_sibling(found), part);
	}
	return true;
}

/* The rest */

static bool same_title(const struct xml_node *live, const struct xml_node *definition)
{
	return same_text(xml_child(live, "title"), xml_child(definition, "title"));
}

static bool same_description(const struct xml_node *live, const struct xml_node *definition)
{
	return same_text(xml_child(live, "description"), xml_child(definition, "description"));
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

/* libvirt's QEMU driver rounds up to whole MiB at the start. */
static int64_t memory_mib(const struct xml_node *domain)
{
	enum { KIB = 1024 };
	char kib[32];
	xml_copy_text(domain, "memory", kib, sizeof kib);
	return (strtoll(kib, NULL, 10) + KIB - 1) / KIB;
}

static bool same_memory(const struct xml_node *live, const struct xml_node *definition)
{
	return memory_mib(live) == memory_mib(definition);
}

static bool same_boot(const struct xml_node *live, const struct xml_node *definition)
{
	const struct xml_node *a = xml_child(live, "os");
	const struct xml_node *b = xml_child(definition, "os");
	return !a == !b && (!a || same_node(a, b));
}

/* The parts without a row are devices. */
static bool (*const comparisons[PENDING_COUNT])(
	const struct xml_node *live, const struct xml_node *definition) = {
	[PENDING_TITLE] = same_title,
	[PENDING_DESCRIPTION] = same_description,
	[PENDING_LABELS] = same_labels,
	[PENDING_VCPUS] = same_vcpus,
	[PENDING_MEMORY] = same_memory,
	[PENDING_BOOT] = same_boot,
};

unsigned pending_parts(const struct xml_node *live, const struct xml_node *definition)
{
	unsigned parts = 0;
	for (unsigned part = 0; part < PENDING_COUNT; part++) {
		bool same = comparisons[part]
			? comparisons[part](live, definition)
			: same_devices(live, definition, (enum pending_part)part);
		parts |= same ? 0 : 1U << part;
	}
	return parts;
}

const char *pending_name(enum pending_part part)
{
	static const char *const names[] = { PENDING_PARTS(NAMED_ROW, NAMED_ROW) };
	return names[part];
}
