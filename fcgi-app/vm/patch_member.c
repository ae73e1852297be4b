/* SPDX-License-Identifier: MIT */
#include "vm/patch_member.h"

#include "definition/metadata.h"
#include "definition/policy_rule.h"

#include <stdio.h>
#include <string.h>

static const char *const member_names[] = { PATCH_MEMBERS(NAMED_ROW, NAMED_ROW) };
_Static_assert(ARRAY_LEN(member_names) == PATCH_MEMBER_COUNT, "a name per member");

const char *patch_member_name(enum patch_member member)
{
	return member_names[member];
}

/* The bounds are those of a spec. */
const struct field patch_fields[] = {
	{ "autostart", .type = FIELD_FLAG, .says = "starts with the host" },
	{ "vcpus", .type = FIELD_NUMBER, .min = 1, .max = 256, .example = "2" },
	{ "memory_kib", .type = FIELD_NUMBER, .min = 1024, .max = 1LL << 30, .example = "131072" },
	{ "title", .type = FIELD_TEXT, .max = 256, .nullable = true, .says = "one line" },
	{ "description", .type = FIELD_TEXT, .max = 8192, .nullable = true },
	{ "labels", .type = FIELD_LABELS, .max = METADATA_LABELS_MAX, .nullable = true,
		.says = "a label that is null is removed" },
	{ 0 },
};

/* Reading */

static int64_t parse_number(const char *text, int64_t missing)
{
	return text ? strtoll(text, NULL, 10) : missing;
}

/* A guest has at most `max`, and `now` of these at the moment: fewer vcpus, a smaller balloon. */
struct amount {
	int64_t now, max;
};

static struct amount read_vcpus(const struct xml_node *domain)
{
	const struct xml_node *vcpu = xml_child(domain, "vcpu");
	AUTO(free) char *max = vcpu ? xml_node_text(vcpu) : NULL;
	AUTO(free) char *current = vcpu ? xml_attr(vcpu, "current") : NULL;
	struct amount vcpus = { .max = parse_number(max, 1) };
	vcpus.now = parse_number(current, vcpus.max);
	return vcpus;
}

/* In KiB; -1: missing or malformed. */
static int64_t read_kib(const struct xml_node *node)
{
	uint64_t bytes = 0;
	AUTO(free) char *text = node ? xml_node_text(node) : NULL;
	AUTO(free) char *unit = node ? xml_attr(node, "unit") : NULL;
	return text && policy_read_size(text, unit, &bytes) ? (int64_t)(bytes / 1024) : -1;
}

static struct amount read_memory_kib(const struct xml_node *domain)
{
	const struct xml_node *current = xml_child(domain, "currentMemory");
	struct amount memory = { .max = read_kib(xml_child(domain, "memory")) };
	memory.now = current ? read_kib(current) : memory.max;
	return memory;
}

/* The value as a text to compare; NULL: memory. The caller frees it. */
static char *member_text(enum patch_member member, const struct xml_node *domain)
{
	char *text = NULL;
	const struct xml_node *child = NULL;
	struct err err;
	switch (member) {
	case PATCH_MEMORY_KIB:
		return asprintf(&text, "%lld", (long long)read_memory_kib(domain).now) < 0 ? NULL
											   : text;
	case PATCH_VCPUS:
		return asprintf(&text, "%lld", (long long)read_vcpus(domain).now) < 0 ? NULL : text;
	case PATCH_TITLE:
	case PATCH_DESCRIPTION:
		child = xml_child(domain, member_names[member]);
		return child ? xml_raw_text(child) : strdup("");
	case PATCH_LABELS:
		if (metadata_element(domain, &text, &err) < 0)
			return NULL;
		return text ? text : strdup("");
	case PATCH_MEMBER_COUNT:
		break;
	}
	return NULL;
}

bool patch_member_is_same(
	enum patch_member member, const struct xml_node *a, const struct xml_node *b)
{
	AUTO(free) char *text_a = member_text(member, a);
	AUTO(free) char *text_b = member_text(member, b);
	return text_a && text_b && !strcmp(text_a, text_b);
}

/* Editing */

static int set_child_text(
	struct xml_node *domain, const char *name, const char *text, struct err *err)
{
	struct xml_node *child = xml_child(domain, name);
	bool failed = child ? xml_set_text(child, text) < 0 : !xml_add(domain, name, text);
	return failed ? err_memory(err) : 0;
}

static int edit_text(
	struct xml_node *domain, const char *name, const struct json *value, struct err *err)
{
	size_t len = 0;
	if (json_kind_of(value) != JSON_IS_NULL)
		return set_child_text(domain, name, json_get_string(value, &len), err);
	struct xml_node *child = xml_child(domain, name);
	if (child)
		xml_remove(child);
	return 0;
}

static int check_one_line(const char *member, const struct json *value, struct err *err)
{
	size_t len = 0;
	if (json_kind_of(value) == JSON_IS_NULL || !strchr(json_get_string(value, &len), '\n'))
		return 0;
	return err_set(err, ERR_INVALID_SPEC, "%s: must be one line", member);
}

/* A definition that divides its total among parts would not fit a new total. */
static int check_undivided(const struct xml_node *domain, const char *member, struct err *err)
{
	static const char *const parts[][2] = {
		{ "cpu/numa", "NUMA cells" },
		{ "devices/memory", "memory modules" },
	};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (xml_find(domain, parts[i][0])) {
			(void)err_set(err, ERR_UNSUPPORTED,
				"%s: the definition divides the total among %s", member,
				parts[i][1]);
			return err_hint(err, "replace the definition as a whole");
		}
	return 0;
}

static int check_topology(const struct xml_node *domain, int64_t vcpus, struct err *err)
{
	static const char *const levels[] = { "sockets", "dies", "cores", "threads" };
	const struct xml_node *topology = xml_find(domain, "cpu/topology");
	int64_t product = 1;
	for (size_t i = 0; topology && i < ARRAY_LEN(levels); i++) {
		AUTO(free) char *count = xml_attr(topology, levels[i]);
		product *= parse_number(count, 1);
	}
	if (!topology || !product || product == vcpus)
		return 0;
	(void)err_set(err, ERR_INVALID_SPEC,
		"vcpus: the definition's CPU topology is for %lld, not %lld", (long long)product,
		(long long)vcpus);
	return err_hint(err, "replace the definition by one with a topology that fits");
}

static int check_live_max(const char *member, int64_t asked, int64_t max, struct err *err)
{
	if (asked <= max)
		return 0;
	(void)err_set(err, ERR_INVALID_SPEC,
		"%s: the running guest can have at most %lld, not %lld", member, (long long)max,
		(long long)asked);
	return err_hint(err, "apply=config raises the maximum at the next start");
}

static int edit_vcpus(struct xml_node *domain, bool live, int64_t vcpus, struct err *err)
{
	char number[24];
	struct amount is = read_vcpus(domain);
	struct xml_node *vcpu = xml_child(domain, "vcpu");
	(void)snprintf(number, sizeof number, "%lld", (long long)vcpus);
	if (is.now == vcpus && (live || is.max == vcpus))
		return 0;
	if (live) {
		if (check_live_max("vcpus", vcpus, is.max, err) < 0)
			return -1;
		return vcpu && !xml_set_attr(vcpu, "current", number) ? 0 : err_memory(err);
	}
	if (check_undivided(domain, "vcpus", err) < 0 || check_topology(domain, vcpus, err) < 0 ||
		set_child_text(domain, "vcpu", number, err) < 0)
		return -1;
	xml_remove_attr(xml_child(domain, "vcpu"), "current");
	for (struct xml_node *n; (n = xml_child(domain, "vcpus"));)
		xml_remove(n); /* which of the former vcpus are online */
	return 0;
}

static int set_kib(struct xml_node *domain, const char *name, int64_t kib, struct err *err)
{
	char number[24];
	(void)snprintf(number, sizeof number, "%lld", (long long)kib);
	if (set_child_text(domain, name, number, err) < 0)
		return -1;
	return xml_set_attr(xml_child(domain, name), "unit", "KiB") < 0 ? err_memory(err) : 0;
}

/* The QEMU driver rounds up to whole MiB: a value that was rounded so before is no change. */
static bool is_same_memory(int64_t is, int64_t asked)
{
	return is == asked || is == (asked + 1023) / 1024 * 1024;
}

static int edit_live_memory(struct xml_node *domain, int64_t kib, int64_t max, struct err *err)
{
	const struct xml_node *balloon = xml_find(domain, "devices/memballoon");
	AUTO(free) char *model = balloon ? xml_attr(balloon, "model") : NULL;
	if (check_live_max("memory_kib", kib, max, err) < 0)
		return -1;
	if (!model || !strcmp(model, "none"))
		return err_set(err, ERR_UNSUPPORTED,
			"memory_kib: cannot be changed while the guest runs: the VM has no balloon "
			"device");
	return set_kib(domain, "currentMemory", kib, err);
}

static int edit_memory(struct xml_node *domain, bool live, int64_t kib, struct err *err)
{
	struct amount is = read_memory_kib(domain);
	if (is_same_memory(is.now, kib) && (live || is_same_memory(is.max, kib)))
		return 0;
	if (live)
		return edit_live_memory(domain, kib, is.max, err);
	if (check_undivided(domain, "memory_kib", err) < 0 ||
		set_kib(domain, "memory", kib, err) < 0)
		return -1;
	return set_kib(domain, "currentMemory", kib, err);
}

int patch_member_edit(enum patch_member member, bool live, struct xml_node *domain,
	const struct json *value, struct err *err)
{
	switch (member) {
	case PATCH_MEMORY_KIB:
		return edit_memory(domain, live, json_get_int(value), err);
	case PATCH_VCPUS:
		return edit_vcpus(domain, live, json_get_int(value), err);
	case PATCH_TITLE:
		if (check_one_line(member_names[member], value, err) < 0)
			return -1;
		return edit_text(domain, member_names[member], value, err);
	case PATCH_DESCRIPTION:
		return edit_text(domain, member_names[member], value, err);
	case PATCH_LABELS:
		return metadata_merge_labels(domain, value, err);
	case PATCH_MEMBER_COUNT:
		break;
	}
	return 0;
}

/* The running guest */

static int push_text(virDomainPtr dom, int type, const struct xml_node *child)
{
	AUTO(free) char *text = child ? xml_raw_text(child) : NULL;
	return virDomainSetMetadata(dom, type, text, NULL, NULL, VIR_DOMAIN_AFFECT_LIVE);
}

static int push_labels(virDomainPtr dom, const struct xml_node *domain)
{
	struct err err;
	AUTO(free) char *element = NULL;
	if (metadata_element(domain, &element, &err) < 0)
		return -1;
	return virDomainSetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, element, METADATA_PREFIX,
		METADATA_URI, VIR_DOMAIN_AFFECT_LIVE);
}

int patch_member_push(enum patch_member member, virDomainPtr dom, const struct xml_node *domain)
{
	switch (member) {
	case PATCH_MEMORY_KIB:
		return virDomainSetMemoryFlags(
			dom, (unsigned long)read_memory_kib(domain).now, VIR_DOMAIN_AFFECT_LIVE);
	case PATCH_VCPUS:
		return virDomainSetVcpusFlags(
			dom, (unsigned)read_vcpus(domain).now, VIR_DOMAIN_AFFECT_LIVE);
	case PATCH_TITLE:
		return push_text(dom, VIR_DOMAIN_METADATA_TITLE, xml_child(domain, "title"));
	case PATCH_DESCRIPTION:
		return push_text(
			dom, VIR_DOMAIN_METADATA_DESCRIPTION, xml_child(domain, "description"));
	case PATCH_LABELS:
		return push_labels(dom, domain);
	case PATCH_MEMBER_COUNT:
		break;
	}
	return 0;
}
