/* SPDX-License-Identifier: MIT */
#include "definition/policy_rule.h"

#include "base/text.h"
#include "base/uuid.h"
#include "definition/metadata.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The rule's description is the whole reason. */
static const char *refuse_unless(bool allowed)
{
	return allowed ? NULL : "";
}

static const char *nothing_refusal(const struct policy_value *value)
{
	return refuse_unless(!*value->text);
}

static const char *words_refusal(const struct policy_value *value)
{
	return refuse_unless(text_is_word(value->row->arg, '|', value->text));
}

static void describe_words(const struct policy_row *row, char *ret, size_t size)
{
	const char *few = strchr(row->arg, '|') ? "one of" : "only";
	(void)snprintf(ret, size, "%s %s", few, row->arg);
}

/* strtoll() takes white space, signs and octal numbers, too. */
static bool is_number(const char *text, bool hex_allowed, int64_t min, int64_t max)
{
	char *end = NULL;
	bool hex = hex_allowed && !strncmp(text, "0x", 2);
	if (!isxdigit((unsigned char)text[hex ? 2 : 0]))
		return false;
	errno = 0;
	long long n = strtoll(text, &end, hex ? 16 : 10);
	return !errno && end != text && !*end && n >= min && n <= max;
}

static const char *number_refusal(const struct policy_value *value)
{
	const struct policy_row *row = value->row;
	return refuse_unless(is_number(value->text, row->rule == RULE_HEX, row->min, row->max));
}

static void describe_number(const struct policy_row *row, char *ret, size_t size)
{
	long long min = row->min;
	long long max = row->max;
	if (min == max)
		(void)snprintf(ret, size, "only %lld", min);
	else
		(void)snprintf(ret, size, "a number from %lld to %lld", min, max);
}

static const char *token_refusal(const struct policy_value *value)
{
	static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					 "0123456789._+-:";
	size_t n = strspn(value->text, characters);
	return refuse_unless(n && !value->text[n] && n <= (size_t)value->row->max);
}

static void describe_token(const struct policy_row *row, char *ret, size_t size)
{
	(void)snprintf(ret, size,
		"1 to %lld of the characters A-Z a-z 0-9 . _ + - :", (long long)row->max);
}

static const char *text_refusal(const struct policy_value *value)
{
	return refuse_unless(
		strlen(value->text) <= (size_t)value->row->max && text_is_plain(value->text));
}

static void describe_text(const struct policy_row *row, char *ret, size_t size)
{
	(void)snprintf(ret, size, "at most %lld bytes, " TEXT_PLAIN_RULE, (long long)row->max);
}

bool policy_read_size(const char *value, const char *unit, uint64_t *ret_bytes)
{
	/* libvirt's units (formatdomain.html, "Memory Allocation"). */
	static const struct {
		const char *name;
		uint64_t bytes;
	} units[] = {
		{ "b", 1 },
		{ "bytes", 1 },
		{ "KB", 1000 },
		{ "k", 1024 },
		{ "KiB", 1024 },
		{ "MB", 1000000 },
		{ "M", 1 << 20 },
		{ "MiB", 1 << 20 },
		{ "GB", 1000000000 },
		{ "G", 1 << 30 },
		{ "GiB", 1 << 30 },
	};
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strcmp(units[i].name, unit ? unit : "KiB") != 0)
			continue;
		if (!is_number(value, false, 0, (int64_t)(INT64_MAX / units[i].bytes)))
			return false;
		*ret_bytes = strtoull(value, NULL, 10) * units[i].bytes;
		return true;
	}
	return false;
}

static const char *size_refusal(const struct policy_value *value)
{
	uint64_t bytes = 0;
	AUTO(free) char *unit = xml_attr(value->node, "unit");
	return refuse_unless(policy_read_size(value->text, unit, &bytes) && bytes > 0 &&
		bytes <= (uint64_t)value->row->max * 1024);
}

static void describe_size(const struct policy_row *row, char *ret, size_t size)
{
	(void)snprintf(ret, size, "a size of at most %lld KiB, in units of up to GiB",
		(long long)row->max);
}

static const char *name_refusal(const struct policy_value *value)
{
	return refuse_unless(text_is_name(value->text));
}

static const char *uuid_refusal(const struct policy_value *value)
{
	return refuse_unless(uuid_is(value->text));
}

static const char *mac_refusal(const struct policy_value *value)
{
	size_t n = strlen(value->text);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)value->text[i];
		if (i % 3 == 2 ? c != ':' : !isxdigit(c))
			return "";
	}
	return refuse_unless(n == strlen("52:54:00:00:00:00"));
}

static const char *disk_refusal(const struct policy_value *value)
{
	static const char buses[] = "hd|sd|vd|fd";
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
	char bus[3] = "";
	(void)snprintf(bus, sizeof bus, "%s", value->text);
	if (!text_is_word(buses, '|', bus))
		return "";
	size_t n = strspn(value->text + 2, letters);
	return refuse_unless((n == 1 || n == 2) && !value->text[2 + n]);
}

static const char *network_refusal(const struct policy_value *value)
{
	return refuse_unless(text_is_word(value->config->networks, ',', value->text));
}

static const char *bridge_refusal(const struct policy_value *value)
{
	return refuse_unless(text_is_word(value->config->bridges, ',', value->text));
}

static const char *path_refusal(const struct policy_value *value);

static const struct rule {
	const char *(*refusal)(const struct policy_value *value); /* NULL: anything is allowed */
	void (*describe)(const struct policy_row *row, char *ret, size_t size);
	const char *description; /* where describe() is NULL: it is the same for all rows */
	bool padded;             /* policy_rule_may_be_padded() */
	size_t root;             /* of a path: the directory's member of struct config, */
	const char *setting;     /* and its name as a setting */
} rules[] = {
	[RULE_NOTHING] = { nothing_refusal, .description = "" },
	[RULE_WORDS] = { words_refusal, describe_words },
	[RULE_NUMBER] = { number_refusal, describe_number, .padded = true },
	[RULE_HEX] = { number_refusal, describe_number },
	[RULE_TOKEN] = { token_refusal, describe_token },
	[RULE_TEXT] = { text_refusal, describe_text, .padded = true },
	[RULE_SIZE] = { size_refusal, describe_size, .padded = true },
	[RULE_NAME] = { name_refusal, .description = TEXT_NAME_RULE, .padded = true },
	[RULE_UUID] = { uuid_refusal, .description = "a UUID", .padded = true },
	[RULE_MAC] = { mac_refusal, .description = "a MAC address such as 52:54:00:12:34:56" },
	[RULE_DISK] = { disk_refusal,
		.description = "hd, sd, vd or fd and then one or two letters from a to z" },
	[RULE_NETWORK] = { network_refusal,
		.description = "a network that VIRTGATE_NETWORKS lists" },
	[RULE_BRIDGE] = { bridge_refusal, .description = "a bridge that VIRTGATE_BRIDGES lists" },
	[RULE_KERNEL] = { path_refusal, .description = "a file beneath VIRTGATE_IMAGES",
		.root = offsetof(struct config, images), .setting = "VIRTGATE_IMAGES" },
	[RULE_IMAGE] = { path_refusal,
		.description = "an image beneath VIRTGATE_IMAGES, like all its backing files",
		.root = offsetof(struct config, images), .setting = "VIRTGATE_IMAGES" },
	[RULE_SHARE] = { path_refusal, .description = "a directory beneath VIRTGATE_SHARES",
		.root = offsetof(struct config, shares), .setting = "VIRTGATE_SHARES" },
	[RULE_LOG] = { path_refusal,
		.description = "a log's name, which virtgate puts beneath VIRTGATE_LOGS",
		.root = offsetof(struct config, logs), .setting = "VIRTGATE_LOGS" },
	[RULE_OPAQUE] = { .description =
				  "anything: libvirt only stores it; the namespace " METADATA_URI
				  " is virtgate's own" },
};
_Static_assert(ARRAY_LEN(rules) == RULE_COUNT, "a row for each rule");

const char *policy_rule_refusal(const struct policy_value *value)
{
	const struct rule *rule = &rules[value->row->rule];
	return rule->refusal ? rule->refusal(value) : NULL;
}

void policy_rule_describe(const struct policy_row *row, char *ret, size_t size)
{
	const struct rule *rule = &rules[row->rule];
	if (rule->describe)
		rule->describe(row, ret, size);
	else
		(void)snprintf(ret, size, "%s", rule->description);
}

bool policy_rule_may_be_padded(enum policy_rule rule)
{
	return rules[rule].padded;
}

/* Paths */

bool policy_rule_is_path(enum policy_rule rule)
{
	return rules[rule].setting;
}

/* Only a qcow2 image leads elsewhere by its header; the content of any other is data. */
static bool is_qcow2_source(const struct xml_node *source)
{
	const struct xml_node *driver = xml_child(xml_parent(source), "driver");
	AUTO(free) char *format = driver ? xml_attr(driver, "type") : NULL;
	return format && !strcmp(format, "qcow2");
}

struct policy_place policy_rule_place(
	enum policy_rule rule, const struct config *config, const struct xml_node *node)
{
	const char *member = (const char *)config + rules[rule].root;
	struct policy_place place = { *(const char *const *)(const void *)member,
		rules[rule].setting, HOSTPATH_FILE };
	if (rule == RULE_SHARE)
		place.kind = HOSTPATH_DIRECTORY;
	else if (rule == RULE_LOG)
		place.kind = HOSTPATH_NEW_FILE;
	else if (rule == RULE_IMAGE && is_qcow2_source(node))
		place.kind = HOSTPATH_IMAGE;
	return place;
}

/* Is it the image of a disk that virtgate is about to make? Then there is no file to look at. */
static bool is_to_be_made(const struct policy_value *value)
{
	const struct xml_node *root = value->node;
	for (const struct xml_node *up; (up = xml_parent(root));)
		root = up;
	return value->row->rule == RULE_IMAGE && metadata_has_disk(root, value->text);
}

static const char *path_refusal(const struct policy_value *value)
{
	enum policy_rule rule = value->row->rule;
	struct policy_place place = policy_rule_place(rule, value->config, value->node);
	bool made = is_to_be_made(value);
	if (made)
		place.kind = HOSTPATH_FILE;
	const char *why = value->text_only ? hostpath_text_refusal(place.root, value->text)
					   : hostpath_refusal(place.root, value->text, place.kind);
	if (why)
		return why;
	if (rule == RULE_IMAGE && !made && !value->text_only && place.kind == HOSTPATH_FILE) {
		int qcow2 = hostpath_is_qcow2(place.root, value->text);
		if (qcow2)
			return qcow2 < 0 ? hostpath_exhausted
					 : "it is a qcow2 image, and its format says raw";
	}
	if (rule == RULE_KERNEL && strchr(value->text, ','))
		return "it has a comma, at which QEMU splits the option";
	return NULL;
}
