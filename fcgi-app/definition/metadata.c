/* SPDX-License-Identifier: MIT */
#include "definition/metadata.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

static bool is_ours(const struct xml_node *node, const char *name)
{
	const char *uri = xml_uri(node);
	return uri && !strcmp(uri, METADATA_URI) && !strcmp(xml_name(node), name);
}

/* Labels */

static void remove_ours(struct xml_node *metadata)
{
	for (struct xml_node *n = xml_first(metadata), *next; n; n = next) {
		next = xml_sibling(n);
		if (is_ours(n, "vm"))
			xml_remove(n);
	}
}

static int add_label(const char *name, const struct json *value, void *data)
{
	size_t len = 0;
	struct xml_node *label = xml_add(data, "label", json_get_string(value, &len));
	return label ? xml_set_attr(label, "name", name) : -1;
}

int metadata_set_labels(struct xml_node *domain, const struct json *labels, struct err *err)
{
	struct xml_node *metadata = xml_child(domain, "metadata");
	if (!metadata)
		metadata = xml_add(domain, "metadata", NULL);
	if (!metadata)
		return err_memory(err);
	remove_ours(metadata);
	if (!json_length(labels))
		return 0;
	struct xml_node *vm = xml_add_foreign(metadata, METADATA_PREFIX, METADATA_URI, "vm");
	return vm && !json_each(labels, add_label, vm) ? 0 : err_memory(err);
}

/* Appends a text to the block, and frees it; NULL: the text is NULL. */
static const char *put_text(char **end, char *text)
{
	AUTO(free) char *own = text;
	char *at = *end;
	if (own)
		*end = stpcpy(at, own) + 1;
	return own ? at : NULL;
}

/* size bounds the texts: they are no longer than the XML that contains them. */
static struct labels *copy_labels(const struct xml_node *vm, size_t size)
{
	size_t count = 0;
	for (const struct xml_node *n = xml_child(vm, "label"); n; n = xml_next(n))
		count++;
	struct labels *labels = calloc(1, sizeof *labels + count * sizeof labels->label[0] + size);
	if (!labels)
		return NULL;
	char *end = (char *)&labels->label[count];
	for (const struct xml_node *n = xml_child(vm, "label"); n; n = xml_next(n)) {
		struct label *label = &labels->label[labels->count];
		label->name = put_text(&end, xml_attr(n, "name"));
		label->text = put_text(&end, xml_raw_text(n));
		labels->count += label->name && label->text;
	}
	labels->holders = 1;
	return labels;
}

int metadata_read_labels(const char *element, struct labels **ret, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	if (xml_parse_trusted(element, &doc, err) < 0)
		return -1;
	struct labels *labels = NULL;
	if (xml_is(xml_root(doc), "vm") && xml_child(xml_root(doc), "label")) {
		labels = copy_labels(xml_root(doc), strlen(element));
		if (!labels)
			return err_memory(err);
	}
	*ret = labels;
	return 0;
}

struct labels *labels_share(struct labels *labels)
{
	if (labels)
		(void)atomic_fetch_add(&labels->holders, 1);
	return labels;
}

void labels_give(struct labels *labels)
{
	if (labels && atomic_fetch_sub(&labels->holders, 1) == 1)
		free(labels);
}

/* Merging */

static struct xml_node *find_ours(const struct xml_node *domain)
{
	const struct xml_node *metadata = xml_child(domain, "metadata");
	for (struct xml_node *n = metadata ? xml_first(metadata) : NULL; n; n = xml_sibling(n))
		if (is_ours(n, "vm"))
			return n;
	return NULL;
}

static struct xml_node *ensure_ours(struct xml_node *domain)
{
	struct xml_node *vm = find_ours(domain);
	struct xml_node *metadata = xml_child(domain, "metadata");
	if (!vm && !metadata)
		metadata = xml_add(domain, "metadata", NULL);
	if (vm || !metadata)
		return vm;
	return xml_add_foreign(metadata, METADATA_PREFIX, METADATA_URI, "vm");
}

/* Removes our element if it is empty, and then <metadata> if that is. */
static void remove_if_empty(struct xml_node *domain)
{
	struct xml_node *metadata = xml_child(domain, "metadata");
	struct xml_node *vm = find_ours(domain);
	if (!vm || xml_first(vm))
		return;
	xml_remove(vm);
	if (!xml_first(metadata))
		xml_remove(metadata);
}

/* The label of this name (NULL: any). */
static struct xml_node *find_label(const struct xml_node *vm, const char *name)
{
	for (struct xml_node *n = xml_first(vm); n; n = xml_sibling(n)) {
		AUTO(free) char *is = is_ours(n, "label") ? xml_attr(n, "name") : NULL;
		if (is && (!name || !strcmp(is, name)))
			return n;
	}
	return NULL;
}

static int merge_label(const char *name, const struct json *value, void *data)
{
	struct xml_node *vm = data;
	struct xml_node *label = find_label(vm, name);
	size_t len = 0;
	if (json_kind_of(value) != JSON_IS_NULL)
		return label ? xml_set_text(label, json_get_string(value, &len))
			     : add_label(name, value, vm);
	if (label)
		xml_remove(label);
	return 0;
}

static size_t count_labels(const struct xml_node *vm)
{
	size_t count = 0;
	for (const struct xml_node *n = xml_first(vm); n; n = xml_sibling(n))
		count += is_ours(n, "label");
	return count;
}

static int is_set(const char *name, const struct json *value, void *data)
{
	(void)name;
	(void)data;
	return json_kind_of(value) != JSON_IS_NULL;
}

int metadata_merge_labels(struct xml_node *domain, const struct json *labels, struct err *err)
{
	bool sets = json_kind_of(labels) != JSON_IS_NULL && json_each(labels, is_set, NULL);
	if (!sets && !find_ours(domain))
		return 0;
	struct xml_node *vm = ensure_ours(domain);
	if (!vm)
		return err_memory(err);
	if (json_kind_of(labels) == JSON_IS_NULL)
		for (struct xml_node *n; (n = find_label(vm, NULL));)
			xml_remove(n);
	else if (json_each(labels, merge_label, vm))
		return err_memory(err);
	size_t count = count_labels(vm);
	if (count > METADATA_LABELS_MAX)
		return err_set(err, ERR_INVALID_SPEC,
			"labels: the VM would have %zu labels, but may have at most %d", count,
			METADATA_LABELS_MAX);
	remove_if_empty(domain);
	return 0;
}

/* Disks */

/* An element of ours, disk or carrier, that records a path. */
static int add_record(
	struct xml_node *domain, const char *element, const char *path, struct err *err)
{
	struct xml_node *vm = ensure_ours(domain);
	struct xml_node *record = vm ? xml_add(vm, element, NULL) : NULL;
	return record && !xml_set_attr(record, "path", path) ? 0 : err_memory(err);
}

static bool has_record(const struct xml_node *domain, const char *element, const char *path)
{
	const struct xml_node *vm = find_ours(domain);
	for (const struct xml_node *n = vm ? xml_first(vm) : NULL; n; n = xml_sibling(n)) {
		AUTO(free) char *is = is_ours(n, element) ? xml_attr(n, "path") : NULL;
		if (is && !strcmp(is, path))
			return true;
	}
	return false;
}

int metadata_add_disk(struct xml_node *domain, const char *path, struct err *err)
{
	return add_record(domain, "disk", path, err);
}

bool metadata_has_disk(const struct xml_node *domain, const char *path)
{
	return has_record(domain, "disk", path);
}

int metadata_set_carrier(struct xml_node *domain, const char *path, struct err *err)
{
	return add_record(domain, "carrier", path, err);
}

bool metadata_is_carrier(const struct xml_node *domain, const char *path)
{
	return has_record(domain, "carrier", path);
}

/* The request */

int metadata_set_request(struct xml_node *domain, const char *hash, struct err *err)
{
	struct xml_node *vm = ensure_ours(domain);
	struct xml_node *request = vm ? xml_add(vm, "request", NULL) : NULL;
	return request && !xml_set_attr(request, "hash", hash) ? 0 : err_memory(err);
}

void metadata_get_request(const struct xml_node *domain, char ret[static HASH_SIZE])
{
	const struct xml_node *vm = find_ours(domain);
	ret[0] = '\0';
	for (const struct xml_node *n = vm ? xml_first(vm) : NULL; n; n = xml_sibling(n)) {
		AUTO(free) char *hash = is_ours(n, "request") ? xml_attr(n, "hash") : NULL;
		if (hash)
			(void)snprintf(ret, HASH_SIZE, "%s", hash);
	}
}

/* At any depth: without a policy, a document may have several of each element. */
static void drop_claims_below(struct xml_node *node)
{
	for (struct xml_node *n = xml_first(node), *next; n; n = next) {
		next = xml_sibling(n);
		if (is_ours(n, "disk") || is_ours(n, "carrier") || is_ours(n, "request"))
			xml_remove(n);
		else
			drop_claims_below(n);
	}
}

void metadata_drop_claims(struct xml_node *domain)
{
	struct xml_node *metadata = xml_child(domain, "metadata");
	for (; metadata; metadata = xml_next(metadata))
		drop_claims_below(metadata);
}

/* Each record once, though two disks may have one path. */
static int keep_record(struct xml_node *domain, const struct xml_node *replaced,
	const char *element, const char *path, struct err *err)
{
	if (!has_record(replaced, element, path) || has_record(domain, element, path))
		return 0;
	return add_record(domain, element, path, err);
}

int metadata_keep_claims(struct xml_node *domain, const struct xml_node *replaced, struct err *err)
{
	const struct xml_node *disk = xml_find(domain, "devices/disk");
	char request[HASH_SIZE];
	metadata_get_request(replaced, request);
	if (request[0] && metadata_set_request(domain, request, err) < 0)
		return -1;
	for (; disk; disk = xml_next(disk)) {
		const struct xml_node *source = xml_child(disk, "source");
		AUTO(free) char *path = source ? xml_attr(source, "file") : NULL;
		if (path &&
			(keep_record(domain, replaced, "disk", path, err) < 0 ||
				keep_record(domain, replaced, "carrier", path, err) < 0))
			return -1;
	}
	return 0;
}

/* For libvirt */

static void copy_attribute(const char *name, const char *value, bool foreign, void *data)
{
	(void)foreign;
	(void)xml_set_attr(data, name, value);
}

int metadata_element(const struct xml_node *domain, char **ret, struct err *err)
{
	const struct xml_node *vm = find_ours(domain);
	if (!vm) {
		*ret = NULL;
		return 0;
	}
	AUTO(xml_free) struct xml *doc = xml_new("vm");
	if (!doc)
		return err_memory(err);
	for (const struct xml_node *n = xml_first(vm); n; n = xml_sibling(n)) {
		AUTO(free) char *text = xml_raw_text(n);
		struct xml_node *copy = text ? xml_add(xml_root(doc), xml_name(n), text) : NULL;
		if (!copy || xml_each_attr(n, copy_attribute, copy) < 0)
			return err_memory(err);
	}
	*ret = xml_text(doc);
	return *ret ? 0 : err_memory(err);
}

/* Checking */

static void count_attr(const char *name, const char *value, bool foreign, void *data)
{
	(void)name;
	(void)value;
	(void)foreign;
	++*(int *)data;
}

static int count_attrs(const struct xml_node *node)
{
	int count = 0;
	return xml_each_attr(node, count_attr, &count) < 0 ? -1 : count;
}

static bool is_repeated(const struct xml_node *label, const char *name)
{
	for (const struct xml_node *n = xml_sibling(label); n; n = xml_sibling(n)) {
		AUTO(free) char *other = xml_attr(n, "name");
		if (other && !strcmp(other, name))
			return true;
	}
	return false;
}

static const char *label_refusal(const struct xml_node *label)
{
	AUTO(free) char *name = xml_attr(label, "name");
	AUTO(free) char *text = xml_raw_text(label);
	if (xml_first(label) || count_attrs(label) != 1)
		return "a label has a name and a text, and nothing else";
	if (!name || !text_is_name(name))
		return "a label's name is " TEXT_NAME_RULE;
	if (is_repeated(label, name))
		return "two labels may not have the same name";
	return text && strlen(text) <= FIELD_LABEL_BYTES_MAX
		? NULL
		: "a label's text has at most 256 bytes";
}
_Static_assert(FIELD_LABEL_BYTES_MAX == 256, "stated in label_refusal()");

/* Labels that are there already, from before this rule or from virsh, are still shown. */
static const char *new_label_refusal(const struct xml_node *label)
{
	AUTO(free) char *text = xml_raw_text(label);
	return text && !text_is_plain(text) ? "a label's text may have " TEXT_PLAIN_RULE
					    : label_refusal(label);
}

static const char *disk_record_refusal(const struct xml_node *disk)
{
	AUTO(free) char *path = xml_attr(disk, "path");
	if (xml_first(disk) || count_attrs(disk) != 1 || xml_has_text(disk) || !path)
		return "a disk or carrier has a path, and nothing else";
	return *path == '/' && strlen(path) <= METADATA_PATH_MAX
		? NULL
		: "a disk's path is absolute and has at most 1023 bytes";
}
_Static_assert(METADATA_PATH_MAX == 1023, "stated in disk_record_refusal()");

static const char *request_refusal(const struct xml_node *request)
{
	AUTO(free) char *hash = xml_attr(request, "hash");
	bool alone = !xml_first(request) && count_attrs(request) == 1 && !xml_has_text(request);
	return alone && hash && strspn(hash, "0123456789abcdef") == HASH_SIZE - 1 &&
			!hash[HASH_SIZE - 1]
		? NULL
		: "a request has a hash, and nothing else";
}

/* What our element may contain, and how many of each. */
static const struct part {
	const char *name;
	const char *(*refusal)(const struct xml_node *node);
	int most;
	const char *too_many;
} parts[] = {
	{ "label", new_label_refusal, METADATA_LABELS_MAX, "a VM has at most 64 labels" },
	{ "disk", disk_record_refusal, METADATA_DISKS_MAX,
		"a VM has at most 16 disks of virtgate's" },
	{ "carrier", disk_record_refusal, 1, "a VM has at most one carrier disk" },
	{ "request", request_refusal, 1, "a VM has at most one request" },
};
_Static_assert(METADATA_LABELS_MAX == 64 && METADATA_DISKS_MAX == 16, "stated in parts[]");

static const struct part *part_of(const struct xml_node *node)
{
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (is_ours(node, parts[i].name))
			return &parts[i];
	return NULL;
}

/* Before anything is compared: what is compared with all others has to be few. */
static const char *count_refusal(const struct xml_node *vm)
{
	int counts[ARRAY_LEN(parts)] = { 0 };
	for (const struct xml_node *n = xml_first(vm); n; n = xml_sibling(n)) {
		const struct part *part = part_of(n);
		if (!part)
			return "only labels, disks, a carrier and a request are allowed";
		if (++counts[part - parts] > part->most)
			return part->too_many;
	}
	return NULL;
}

const char *metadata_refusal(const struct xml_node *node)
{
	for (const struct xml_node *n = xml_sibling(node); n; n = xml_sibling(n))
		if (is_ours(n, "vm"))
			return "this namespace has one element, vm";
	if (!is_ours(node, "vm") || count_attrs(node) || xml_has_text(node))
		return "this namespace has one element, vm, without attributes or text";
	const char *why = count_refusal(node);
	for (const struct xml_node *n = xml_first(node); n && !why; n = xml_sibling(n))
		why = part_of(n)->refusal(n);
	return why;
}

/* Reading */

struct json *metadata_labels(const struct xml_node *domain)
{
	struct json *labels = json_new_object();
	const struct xml_node *vm = find_ours(domain);
	for (const struct xml_node *n = vm ? xml_first(vm) : NULL;
		n && json_length(labels) < METADATA_LABELS_MAX; n = xml_sibling(n)) {
		AUTO(free) char *name = xml_attr(n, "name");
		AUTO(free) char *text = xml_raw_text(n);
		if (is_ours(n, "label") && !label_refusal(n))
			json_put_copy(labels, name, json_string(text));
	}
	return labels;
}
