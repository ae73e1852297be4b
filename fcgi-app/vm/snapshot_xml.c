/* SPDX-License-Identifier: MIT */
#include "vm/snapshot_xml.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char request_mark[] = "virtgate:request=";
_Static_assert(sizeof request_mark + UUID_SIZE + HASH_SIZE <= SNAPSHOT_REQUEST_MAX, "it fits");

const char *snapshot_disks_name(enum snapshot_disks disks)
{
	static const char *const names[] = { SNAPSHOT_DISKS(NAMED_ROW, NAMED_ROW) };
	return names[disks];
}

/* Reading */

/* Moves virtgate's line, if the description ends with one, into the request. */
static void split_request(char *description, struct snapshot_request *ret)
{
	static const size_t mark_len = sizeof request_mark - 1;
	char *end = strrchr(description, '\n');
	char *line = end ? end + 1 : description;
	const char *uuid = line + mark_len;
	if (strncmp(line, request_mark, mark_len) != 0 ||
		strlen(uuid) != UUID_SIZE - 1 + 1 + HASH_SIZE - 1 || uuid[UUID_SIZE - 1] != ':')
		return;
	(void)snprintf(ret->uuid, sizeof ret->uuid, "%.*s", UUID_SIZE - 1, uuid);
	(void)snprintf(ret->body, sizeof ret->body, "%s", uuid + UUID_SIZE);
	size_t n = end ? (size_t)(end - description) : 0;
	while (n && strchr(" \t\r\n", description[n - 1]))
		n--;
	description[n] = '\0';
}

/* A state that virtgate does not know is "unknown"; "blocked" is running, as a VM's is. */
static void read_snapshot_state(const struct xml_node *root, char *ret, size_t size)
{
	xml_copy_text(root, "state", ret, size);
	if (!strcmp(ret, "blocked"))
		(void)snprintf(ret, size, "running");
	else if (!text_is_word(SNAPSHOT_STATE_NAMES, '|', ret))
		(void)snprintf(ret, size, "unknown");
}

/* Is it kept so? `kept` is "internal" or "external". */
static bool is_kept(const struct xml_node *node, const char *kept)
{
	AUTO(free) char *value = node ? xml_attr(node, "snapshot") : NULL;
	return value && !strcmp(value, kept);
}

static enum snapshot_disks read_snapshot_disks(const struct xml_node *root)
{
	enum snapshot_disks found = SNAPSHOT_DISKS_NONE;
	const struct xml_node *disk = xml_find(root, "disks/disk");
	for (; disk; disk = xml_next(disk)) {
		if (is_kept(disk, "external"))
			return SNAPSHOT_DISKS_EXTERNAL;
		if (is_kept(disk, "internal"))
			found = SNAPSHOT_DISKS_INTERNAL;
	}
	return found;
}

void snapshot_xml_read(const struct xml_node *root, struct snapshot *ret)
{
	char created[32];
	const struct xml_node *memory = xml_child(root, "memory");
	xml_copy_text(root, "name", ret->name, sizeof ret->name);
	xml_copy_text(root, "parent/name", ret->parent, sizeof ret->parent);
	xml_copy_text(root, "creationTime", created, sizeof created);
	xml_copy_text(root, "description", ret->description, sizeof ret->description);
	split_request(ret->description, &ret->request);
	read_snapshot_state(root, ret->state, sizeof ret->state);
	ret->created = strtoll(created, NULL, 10);
	ret->memory = is_kept(memory, "internal") || is_kept(memory, "external");
	ret->disks = read_snapshot_disks(root);
}

/* Making */

/* A client that could write virtgate's line could pose its snapshot as another client's answer. */
static int check_description(const struct xml_node *root, struct err *err)
{
	const struct xml_node *node = xml_child(root, "description");
	AUTO(free) char *text = node ? xml_raw_text(node) : strdup("");
	if (!text)
		return err_memory(err);
	if (!strstr(text, request_mark))
		return 0;
	return err_set(err, ERR_INVALID_SPEC,
		"description: must not contain '%s', which is reserved for virtgate", request_mark);
}

/* libvirt's default name is the time in seconds, so two snapshots of one second would collide. */
static void make_snapshot_name(const struct snapshot_request *request, char *ret, size_t size)
{
	char uuid[UUID_SIZE];
	struct tm tm;
	time_t now = time(NULL);
	char when[32] = "";
	if (request->uuid[0]) {
		(void)snprintf(ret, size, "snap-%.18s", request->uuid);
		return;
	}
	uuid_make(uuid);
	if (gmtime_r(&now, &tm))
		(void)strftime(when, sizeof when, "%Y%m%d-%H%M%S", &tm);
	(void)snprintf(ret, size, "snap-%s-%.8s", when, uuid);
}

static int settle_snapshot_name(
	struct xml_node *root, const struct snapshot_request *request, struct err *err)
{
	char made[64];
	struct xml_node *node = xml_child(root, "name");
	AUTO(free) char *name = node ? xml_node_text(node) : NULL;
	if (name && *name && !text_is_name(name))
		return err_set(
			err, ERR_INVALID_SPEC, "name: '%.64s' is not %s", name, TEXT_NAME_RULE);
	make_snapshot_name(request, made, sizeof made);
	if (!node)
		return xml_add(root, "name", made) ? 0 : err_memory(err);
	return xml_set_text(node, name && *name ? name : made) < 0 ? err_memory(err) : 0;
}

int snapshot_xml_parse(const char *text, size_t len, const struct snapshot_request *request,
	struct xml **ret, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	if (xml_parse(text, len, "snapshot XML", &doc, err) < 0)
		return -1;
	struct xml_node *root = xml_root(doc);
	if (!xml_is(root, "domainsnapshot"))
		return err_set(err, ERR_INVALID_XML,
			"snapshot XML: the outermost element is not <domainsnapshot>");
	if (check_description(root, err) < 0 || settle_snapshot_name(root, request, err) < 0)
		return -1;
	*ret = TAKE(doc);
	return 0;
}

int snapshot_xml_make(const char *name, const char *description,
	const struct snapshot_request *request, struct xml **ret, struct err *err)
{
	AUTO(xml_free) struct xml *doc = xml_new("domainsnapshot");
	struct xml_node *root = doc ? xml_root(doc) : NULL;
	if (!root || (name && !xml_add(root, "name", name)) ||
		(description && !xml_add(root, "description", description)))
		return err_memory(err);
	if (check_description(root, err) < 0 || settle_snapshot_name(root, request, err) < 0)
		return -1;
	*ret = TAKE(doc);
	return 0;
}

int snapshot_xml_add_request(
	struct xml_node *root, const struct snapshot_request *request, struct err *err)
{
	if (!request->uuid[0])
		return 0;
	struct xml_node *node = xml_child(root, "description");
	AUTO(free) char *said = node ? xml_raw_text(node) : strdup("");
	AUTO(free) char *text = NULL;
	if (!said ||
		asprintf(&text, "%s%s%s%s:%s", said, *said ? "\n" : "", request_mark, request->uuid,
			request->body) < 0)
		return err_memory(err);
	if (node ? xml_set_text(node, text) < 0 : !xml_add(root, "description", text))
		return err_memory(err);
	return 0;
}
