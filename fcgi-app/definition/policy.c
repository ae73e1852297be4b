/* SPDX-License-Identifier: MIT */
#include "definition/policy.h"

#include "base/text.h"
#include "definition/metadata.h"
#include "definition/policy_rule.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct check {
	const struct config *config;
	struct policy_report *report;
	bool text_only; /* looks at no file */
	char path[256]; /* of the element or attribute that is looked at */
	bool out_of_memory;
	bool exhausted; /* some file could not be looked at */
};

static void violate(struct check *check, const char *value, const char *fmt, ...) FORMAT(3, 4);
static void violate(struct check *check, const char *value, const char *fmt, ...)
{
	struct policy_report *report = check->report;
	if (report->count == POLICY_REPORT_MAX)
		return;
	struct policy_violation *v = &report->found[report->count++];
	va_list args;
	va_start(args, fmt);
	(void)snprintf(v->path, sizeof v->path, "%s", check->path);
	(void)snprintf(v->value, sizeof v->value, "%s", value);
	(void)vsnprintf(v->rule, sizeof v->rule, fmt, args);
	va_end(args);
	text_mask_malformed(v->path);
	text_mask_malformed(v->value);
	text_mask_malformed(v->rule);
}

static void policy_check_value(struct check *check, const struct policy_row *row,
	const struct xml_node *node, const char *text)
{
	const struct policy_value value = { check->config, row, node, text, check->text_only };
	const char *why = policy_rule_refusal(&value);
	if (why == hostpath_exhausted) {
		check->exhausted = true;
		return;
	}
	if (!why)
		return;
	char rule[160];
	policy_rule_describe(row, rule, sizeof rule);
	if (policy_rule_is_path(row->rule)) {
		/* Relative, as the client may have written it: where the root lies is private. */
		struct policy_place place = policy_rule_place(row->rule, check->config, node);
		const char *below = hostpath_below(place.root, text);
		text = below ? below : text;
	}
	violate(check, text, "%s%s%s", rule, *why ? ": " : "", why);
}

/* Extends the path by a step into an attribute or element; returns its length before. */
static size_t descend_path(struct check *check, const char *separator, const char *name)
{
	const char *const parts[] = { separator, name };
	size_t n = strlen(check->path);
	char *to = check->path + n;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		size_t room = (size_t)(check->path + sizeof check->path - 1 - to);
		to = mempcpy(to, parts[i], strnlen(parts[i], room));
	}
	*to = '\0';
	return n;
}

struct attribute_check {
	struct check *check;
	const struct xml_node *node;
};

static void policy_check_attribute(const char *name, const char *value, bool foreign, void *data)
{
	const struct attribute_check *attribute = data;
	struct check *check = attribute->check;
	if (check->report->count == POLICY_REPORT_MAX)
		return;
	size_t n = descend_path(check, "/@", name);
	const struct policy_row *row = foreign ? NULL : policy_row_find(check->path);
	if (row)
		policy_check_value(check, row, attribute->node, value);
	else
		violate(check, value, "this attribute is not allowed");
	check->path[n] = '\0';
}

/* An attribute that is missing is one that libvirt or its configuration chooses. */
static void policy_check_required(struct check *check, const struct xml_node *node)
{
	size_t n = strlen(check->path);
	for (const struct policy_row *const *row = policy_rows_required(); *row; row++) {
		const char *path = (*row)->path;
		if (strncmp(path, check->path, n) != 0 || strncmp(path + n, "/@", 2) != 0)
			continue;
		AUTO(free) char *value = xml_attr(node, path + n + 2);
		if (value)
			continue;
		(void)descend_path(check, "", path + n);
		violate(check, "", "this attribute is required");
		check->path[n] = '\0';
	}
}

static void policy_check_text(
	struct check *check, const struct policy_row *row, const struct xml_node *node)
{
	if (row->rule == RULE_NOTHING) {
		if (xml_has_text(node))
			violate(check, "", "no text is allowed here");
		return;
	}
	AUTO(free) char *text =
		policy_rule_may_be_padded(row->rule) ? xml_node_text(node) : xml_raw_text(node);
	if (!text)
		check->out_of_memory = true;
	else
		policy_check_value(check, row, node, text);
}

/* Are there more elements of this name, up to this one, than the row allows? */
static bool is_one_too_many(const struct xml_node *node, int allowed)
{
	const struct xml_node *parent = xml_parent(node);
	int seen = 0;
	for (const struct xml_node *n = parent ? xml_first(parent) : node; n; n = xml_sibling(n)) {
		seen += !strcmp(xml_name(n), xml_name(node));
		if (n == node || seen > allowed)
			break;
	}
	return seen > allowed;
}

/* Other namespaces are only stored; virtgate acts on the content of its own. */
static void policy_check_metadata(struct check *check, const struct xml_node *metadata)
{
	for (const struct xml_node *n = xml_first(metadata); n; n = xml_sibling(n)) {
		const char *uri = xml_uri(n);
		const char *why = uri && !strcmp(uri, METADATA_URI) ? metadata_refusal(n) : NULL;
		if (why)
			violate(check, xml_name(n), "%s: %s", METADATA_URI, why);
	}
}

/* As deep as a document may be, which xml.h bounds. */
static void policy_check_element(struct check *check, const struct xml_node *node)
{
	if (check->report->count == POLICY_REPORT_MAX)
		return;
	size_t n = descend_path(check, "/", xml_name(node));
	const struct policy_row *row = policy_row_find(check->path);
	int allowed = row && row->count ? row->count : 1;
	if (!row)
		violate(check, "", "this element is not allowed");
	else if (xml_is_foreign(node))
		violate(check, "", "an element here may not be in a namespace, nor declare one");
	else if (is_one_too_many(node, allowed))
		violate(check, "", "at most %d of these elements", allowed);
	else if (row->rule == RULE_OPAQUE)
		policy_check_metadata(check, node);
	else {
		struct attribute_check attribute = { check, node };
		if (xml_each_attr(node, policy_check_attribute, &attribute) < 0)
			check->out_of_memory = true;
		policy_check_required(check, node);
		policy_check_text(check, row, node);
		for (const struct xml_node *c = xml_first(node); c; c = xml_sibling(c))
			policy_check_element(check, c);
	}
	check->path[n] = '\0';
}

/*
 * What no row can say alone: a disk states its format, or QEMU would guess it from what a guest may
 * have written there.
 */
static void policy_check_formats(struct check *check, const struct xml_node *root)
{
	const struct xml_node *disk = xml_find(root, "devices/disk");
	(void)descend_path(check, "", "/domain/devices/disk/driver/@type");
	for (; disk; disk = xml_next(disk)) {
		const struct xml_node *driver = xml_child(disk, "driver");
		AUTO(free) char *format = driver ? xml_attr(driver, "type") : NULL;
		if (!format && xml_child(disk, "source"))
			violate(check, "", "a disk with a source must state its format");
	}
	check->path[0] = '\0';
}

static int policy_exhausted(struct err *err)
{
	(void)err_set(
		err, ERR_HOST_BUSY, "the VM's files cannot be checked now: %s", hostpath_exhausted);
	return err_hint(err, "retry; if it happens again, raise virtgate's limit of open files");
}

static int policy_check_document(struct check *check, const struct xml_node *root, struct err *err)
{
	check->report->count = 0;
	policy_check_element(check, root);
	policy_check_formats(check, root);
	if (check->out_of_memory)
		return err_memory(err);
	return check->exhausted ? policy_exhausted(err) : 0;
}

int policy_check(const struct xml *doc, const struct config *config, struct policy_report *ret,
	struct err *err)
{
	struct check check = { .config = config, .report = ret };
	return policy_check_document(&check, xml_root(doc), err);
}

int policy_check_unseen(const struct xml *doc, const struct config *config,
	struct policy_report *ret, struct err *err)
{
	struct check check = { .config = config, .report = ret, .text_only = true };
	return policy_check_document(&check, xml_root(doc), err);
}

/* Paths */

struct path_walk {
	const struct config *config;
	const struct policy_row *row;
	policy_path_fn *each;
	void *data;
	struct err *err;
};

static int policy_visit_path(struct xml_node *node, void *data)
{
	const struct path_walk *walk = data;
	const char *at = strchr(walk->row->path, '@');
	const char *attr = at ? at + 1 : NULL;
	AUTO(free) char *value = attr ? xml_attr(node, attr) : xml_raw_text(node);
	if (!value || !*value)
		return 0;
	struct policy_place place = policy_rule_place(walk->row->rule, walk->config, node);
	const struct policy_path path = {
		.where = walk->row->path,
		.root = place.root,
		.setting = place.setting,
		.kind = place.kind,
		.node = node,
		.attr = attr,
		.value = value,
	};
	return walk->each(&path, walk->data, walk->err);
}

int policy_each_path(const struct xml_node *domain, const struct config *config,
	policy_path_fn *each, void *data, struct err *err)
{
	struct xml_node *root = (struct xml_node *)(uintptr_t)domain;
	for (size_t i = 0; i < policy_row_count; i++) {
		const struct policy_row *row = &policy_rows[i];
		struct path_walk walk = { config, row, each, data, err };
		if (policy_rule_is_path(row->rule) &&
			xml_each_at(
				root, row->path + strlen("/domain/"), policy_visit_path, &walk) < 0)
			return -1;
	}
	return 0;
}

static int policy_recheck_path(const struct policy_path *path, void *data, struct err *err)
{
	const enum hostpath_kind *images = data;
	const char *below = hostpath_below(path->root, path->value);
	enum hostpath_kind kind = path->kind == HOSTPATH_IMAGE ? *images : path->kind;
	const char *why = below ? hostpath_refusal(path->root, path->value, kind) : NULL;
	if (!why)
		return 0;
	if (why == hostpath_exhausted)
		return policy_exhausted(err);
	if (why == hostpath_in_use)
		return err_set(
			err, ERR_STORAGE_UNAVAILABLE, "%s '%.200s': %s", path->where, below, why);
	return err_set(err, ERR_POLICY_DENIED, "the policy does not allow %s '%.200s': %s",
		path->where, below, why);
}

int policy_recheck(const struct xml_node *domain, const struct config *config,
	enum hostpath_kind images, struct err *err)
{
	if (config->policy == POLICY_OFF)
		return 0;
	return policy_each_path(domain, config, policy_recheck_path, &images, err);
}

void policy_print(FILE *out)
{
	(void)fputs("# What the XML of a domain or snapshot may contain. An element may stand once "
		    "below its parent\n# unless a number says how often. A disk with a source must "
		    "state its format.\n",
		out);
	for (size_t i = 0; i < policy_row_count; i++) {
		const struct policy_row *row = &policy_rows[i];
		char rule[160];
		policy_rule_describe(row, rule, sizeof rule);
		(void)fprintf(out, "%-52s %s", row->path, rule);
		if (row->required)
			(void)fputs(" (required)", out);
		if (row->count)
			(void)fprintf(out, " (up to %d)", row->count);
		(void)fputc('\n', out);
	}
}
