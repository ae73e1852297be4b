/* SPDX-License-Identifier: MIT */
#include "vm/patch.h"

#include "base/text.h"
#include "definition/metadata.h"
#include "definition/policy.h"

#include <stdio.h>
#include <string.h>

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

#define IN(member) (1U << (member))
enum { GUEST_SEES_NOT = IN(PATCH_TITLE) | IN(PATCH_DESCRIPTION) | IN(PATCH_LABELS) };

/* Putting a value into a tree; null removes what may be missing. */

static int set_child(struct xml_node *domain, const char *name, const char *text, struct err *err)
{
	struct xml_node *child = xml_child(domain, name);
	bool failed = child ? xml_set_text(child, text) < 0 : !xml_add(domain, name, text);
	return failed ? err_memory(err) : 0;
}

static int set_text(
	struct xml_node *domain, const char *name, const struct json *value, struct err *err)
{
	size_t len = 0;
	if (json_kind_of(value) != JSON_IS_NULL)
		return set_child(domain, name, json_get_string(value, &len), err);
	struct xml_node *child = xml_child(domain, name);
	if (child)
		xml_remove(child);
	return 0;
}

static int set_title(struct xml_node *domain, const struct json *value, struct err *err)
{
	size_t len = 0;
	if (json_kind_of(value) != JSON_IS_NULL && strchr(json_get_string(value, &len), '\n'))
		return err_set(err, ERR_INVALID_SPEC, "title: it is one line, and this has more");
	return set_text(domain, "title", value, err);
}

static int set_description(struct xml_node *domain, const struct json *value, struct err *err)
{
	return set_text(domain, "description", value, err);
}

/* What divides a definition's whole among parts would not fit a new whole. */
static int refuse_parts(const struct xml_node *domain, const char *member, struct err *err)
{
	static const char *const parts[][2] = {
		{ "cpu/numa", "NUMA cells" },
		{ "devices/memory", "memory modules" },
	};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (xml_find(domain, parts[i][0]))
			return err_set(err, ERR_UNSUPPORTED,
				"%s: the definition divides it among %s: replace it as a whole",
				member, parts[i][1]);
	return 0;
}

static int64_t read_number(const char *text, int64_t missing)
{
	return text ? strtoll(text, NULL, 10) : missing;
}

/* How many vcpus a <topology> is for; 0: there is none. */
static int64_t topology_vcpus(const struct xml_node *domain)
{
	static const char *const levels[] = { "sockets", "dies", "cores", "threads" };
	const struct xml_node *topology = xml_find(domain, "cpu/topology");
	int64_t product = 1;
	for (size_t i = 0; topology && i < ARRAY_LEN(levels); i++) {
		AUTO(free) char *count = xml_attr(topology, levels[i]);
		product *= read_number(count, 1);
	}
	return topology ? product : 0;
}

static int check_topology(const struct xml_node *domain, int64_t vcpus, struct err *err)
{
	int64_t fits = topology_vcpus(domain);
	if (!fits || fits == vcpus)
		return 0;
	(void)err_set(err, ERR_INVALID_SPEC,
		"vcpus: the definition's CPU topology is for %lld, not %lld", (long long)fits,
		(long long)vcpus);
	return err_hint(err, "replace the definition, with a topology that fits");
}

/* Where these stand, and what libvirt takes for how many or much the guest has now, not at most. */
static int64_t max_vcpus(const struct xml_node *domain)
{
	const struct xml_node *vcpu = xml_child(domain, "vcpu");
	AUTO(free) char *text = vcpu ? xml_node_text(vcpu) : NULL;
	return read_number(text, 1);
}

static int64_t now_vcpus(const struct xml_node *domain)
{
	const struct xml_node *vcpu = xml_child(domain, "vcpu");
	AUTO(free) char *current = vcpu ? xml_attr(vcpu, "current") : NULL;
	return read_number(current, max_vcpus(domain));
}

static int64_t read_kib(const struct xml_node *node)
{
	uint64_t bytes = 0;
	AUTO(free) char *text = xml_node_text(node);
	AUTO(free) char *unit = xml_attr(node, "unit");
	return text && policy_read_size(text, unit, &bytes) ? (int64_t)(bytes / 1024) : -1;
}

static int64_t max_memory(const struct xml_node *domain)
{
	const struct xml_node *memory = xml_child(domain, "memory");
	return memory ? read_kib(memory) : -1;
}

static int64_t now_memory(const struct xml_node *domain)
{
	const struct xml_node *current = xml_child(domain, "currentMemory");
	return current ? read_kib(current) : max_memory(domain);
}

static int config_vcpus(struct xml_node *domain, const struct json *value, struct err *err)
{
	char number[24];
	int64_t vcpus = json_get_int(value);
	if (max_vcpus(domain) == vcpus && now_vcpus(domain) == vcpus)
		return 0;
	if (refuse_parts(domain, "vcpus", err) < 0 || check_topology(domain, vcpus, err) < 0)
		return -1;
	(void)snprintf(number, sizeof number, "%lld", (long long)vcpus);
	if (set_child(domain, "vcpu", number, err) < 0)
		return -1;
	xml_remove_attr(xml_child(domain, "vcpu"), "current");
	for (struct xml_node *n; (n = xml_child(domain, "vcpus"));)
		xml_remove(n); /* which of the former are there */
	return 0;
}

static int live_vcpus(struct xml_node *domain, const struct json *value, struct err *err)
{
	char number[24];
	struct xml_node *vcpu = xml_child(domain, "vcpu");
	int64_t vcpus = json_get_int(value);
	int64_t max = max_vcpus(domain);
	if (now_vcpus(domain) == vcpus)
		return 0;
	if (vcpus > max) {
		(void)err_set(err, ERR_INVALID_SPEC,
			"vcpus: the guest that runs can have at most %lld, not %lld",
			(long long)max, (long long)vcpus);
		return err_hint(err, "more are a matter of the definition: apply=config");
	}
	(void)snprintf(number, sizeof number, "%lld", (long long)vcpus);
	return vcpu && !xml_set_attr(vcpu, "current", number) ? 0 : err_memory(err);
}

static int set_kib(struct xml_node *domain, const char *name, int64_t kib, struct err *err)
{
	char number[24];
	(void)snprintf(number, sizeof number, "%lld", (long long)kib);
	if (set_child(domain, name, number, err) < 0)
		return -1;
	return xml_set_attr(xml_child(domain, name), "unit", "KiB") < 0 ? err_memory(err) : 0;
}

/* QEMU's driver makes whole MiB of it: what it has made is no change. */
static bool is_memory(int64_t is, int64_t asked)
{
	return is == asked || is == (asked + 1023) / 1024 * 1024;
}

static int config_memory(struct xml_node *domain, const struct json *value, struct err *err)
{
	int64_t kib = json_get_int(value);
	if (is_memory(max_memory(domain), kib) && is_memory(now_memory(domain), kib))
		return 0;
	if (refuse_parts(domain, "memory_kib", err) < 0)
		return -1;
	if (set_kib(domain, "memory", kib, err) < 0)
		return -1;
	return set_kib(domain, "currentMemory", kib, err);
}

static bool has_balloon(const struct xml_node *domain)
{
	const struct xml_node *balloon = xml_find(domain, "devices/memballoon");
	AUTO(free) char *model = balloon ? xml_attr(balloon, "model") : NULL;
	return model && strcmp(model, "none") != 0;
}

static int live_memory(struct xml_node *domain, const struct json *value, struct err *err)
{
	int64_t kib = json_get_int(value);
	int64_t max = max_memory(domain);
	if (is_memory(now_memory(domain), kib))
		return 0;
	if (kib > max) {
		(void)err_set(err, ERR_INVALID_SPEC,
			"memory_kib: the guest that runs can have at most %lld, not %lld",
			(long long)max, (long long)kib);
		return err_hint(err, "more is a matter of the definition: apply=config");
	}
	if (!has_balloon(domain))
		return err_set(err, ERR_UNSUPPORTED,
			"memory_kib: the VM has no balloon device, by which it changes while the "
			"guest runs");
	return set_kib(domain, "currentMemory", kib, err);
}

/* Making the guest that runs what a tree says. */

static int push_vcpus(virDomainPtr dom, const struct xml_node *domain)
{
	return virDomainSetVcpusFlags(dom, (unsigned)now_vcpus(domain), VIR_DOMAIN_AFFECT_LIVE);
}

static int push_memory(virDomainPtr dom, const struct xml_node *domain)
{
	return virDomainSetMemoryFlags(
		dom, (unsigned long)now_memory(domain), VIR_DOMAIN_AFFECT_LIVE);
}

static int push_text(virDomainPtr dom, int type, const struct xml_node *child)
{
	AUTO(free) char *text = child ? xml_raw_text(child) : NULL;
	return virDomainSetMetadata(dom, type, text, NULL, NULL, VIR_DOMAIN_AFFECT_LIVE);
}

static int push_title(virDomainPtr dom, const struct xml_node *domain)
{
	return push_text(dom, VIR_DOMAIN_METADATA_TITLE, xml_child(domain, "title"));
}

static int push_description(virDomainPtr dom, const struct xml_node *domain)
{
	return push_text(dom, VIR_DOMAIN_METADATA_DESCRIPTION, xml_child(domain, "description"));
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

/* Telling two trees apart: what a member is in one. NULL: memory. */

static char *say_number(int64_t number)
{
	char *text = NULL;
	return asprintf(&text, "%lld", (long long)number) < 0 ? NULL : text;
}

static char *say_vcpus(const struct xml_node *domain)
{
	return say_number(now_vcpus(domain));
}

static char *say_memory(const struct xml_node *domain)
{
	return say_number(now_memory(domain));
}

static char *say_child(const struct xml_node *child)
{
	return child ? xml_raw_text(child) : strdup("");
}

static char *say_title(const struct xml_node *domain)
{
	return say_child(xml_child(domain, "title"));
}

static char *say_description(const struct xml_node *domain)
{
	return say_child(xml_child(domain, "description"));
}

static char *say_labels(const struct xml_node *domain)
{
	struct err err;
	char *element = NULL;
	if (metadata_element(domain, &element, &err) < 0)
		return NULL;
	return element ? element : strdup("");
}

typedef int edit_fn(struct xml_node *domain, const struct json *value, struct err *err);

static const struct member {
	const char *name;
	edit_fn *config, *live; /* put the value into the tree of the one or the other */
	int (*push)(virDomainPtr dom, const struct xml_node *domain);
	char *(*say)(const struct xml_node *domain);
} members[] = {
	[PATCH_MEMORY_KIB] = { "memory_kib", config_memory, live_memory, push_memory, say_memory },
	[PATCH_VCPUS] = { "vcpus", config_vcpus, live_vcpus, push_vcpus, say_vcpus },
	[PATCH_TITLE] = { "title", set_title, set_title, push_title, say_title },
	[PATCH_DESCRIPTION] = { "description", set_description, set_description, push_description,
		say_description },
	[PATCH_LABELS] = { "labels", metadata_merge_labels, metadata_merge_labels, push_labels,
		say_labels },
};
_Static_assert(ARRAY_LEN(members) == PATCH_MEMBER_COUNT, "a row per member");

const char *patch_member_name(enum patch_member member)
{
	return members[member].name;
}

/* The work: two trees of each side, what it was and what it shall be. */

struct side {
	struct xml *was, *shall;
	unsigned asked;   /* members */
	unsigned changed; /* of these, those that are not so already */
};

struct work {
	struct hold *hold;
	const struct json *fields;
	struct side config, live;
	bool autostart; /* shall be */
	/* What was done, and may have to be undone. */
	bool defined;
	bool flagged;
	unsigned pushed;
};

static void work_done(const struct work *work)
{
	struct xml *const docs[] = { work->config.was, work->config.shall, work->live.was,
		work->live.shall };
	for (size_t i = 0; i < ARRAY_LEN(docs); i++)
		if (docs[i])
			xml_free(docs[i]);
}
#define AUTO_WORK __attribute__((cleanup(work_done)))

static unsigned asked_members(const struct json *fields)
{
	unsigned asked = 0;
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if (json_has(fields, members[i].name))
			asked |= IN(i);
	return asked;
}

static int refuse_state(const struct vm *vm, const char *why, struct err *err)
{
	(void)err_set(err, ERR_WRONG_STATE, "%s", why);
	(void)snprintf(err->state, sizeof err->state, "%s", vm_state_name(vm->state));
	return -1;
}

static int decide(struct work *work, enum patch_apply apply, struct err *err)
{
	const struct vm *vm = &work->hold->vm;
	unsigned asked = asked_members(work->fields);
	bool config = apply == PATCH_CONFIG || apply == PATCH_BOTH;
	bool live = apply == PATCH_LIVE || apply == PATCH_BOTH;
	if (!vm->persistent && (config || json_has(work->fields, "autostart")))
		return refuse_state(
			vm, "a transient VM has no definition, and does not start by itself", err);
	if (!vm->active && live)
		return refuse_state(
			vm, "apply: the VM does not run, so nothing of it is live", err);
	if (apply == PATCH_USUAL) {
		work->config.asked = vm->persistent ? asked : 0;
		work->live.asked = !vm->active ? 0
			: vm->persistent       ? asked & GUEST_SEES_NOT
					       : asked;
		return 0;
	}
	work->config.asked = config ? asked : 0;
	work->live.asked = live ? asked : 0;
	return 0;
}

/* Whole, with secrets: what is left out would be lost by a redefinition. */
static int read_side(struct work *work, struct side *side, unsigned flags, struct err *err)
{
	struct lease *lease = &work->hold->lease;
	flags |= VIR_DOMAIN_XML_SECURE;
	if (domain_read_xml(lease, work->hold->dom, flags, &side->was, err) < 0)
		return -1;
	return domain_read_xml(lease, work->hold->dom, flags, &side->shall, err);
}

static int edit_side(struct work *work, struct side *side, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		const struct member *m = &members[i];
		const struct json *value = json_member(work->fields, m->name);
		edit_fn *edit = side == &work->config ? m->config : m->live;
		if (!(side->asked & IN(i)))
			continue;
		AUTO(free) char *before = xml_text(side->shall);
		if (before && edit(xml_root(side->shall), value, err) < 0)
			return -1;
		AUTO(free) char *after = xml_text(side->shall);
		if (!before || !after)
			return err_memory(err);
		if (strcmp(before, after) != 0)
			side->changed |= IN(i);
	}
	return 0;
}

/* All that can be told without libvirt is told before anything is done. */
static int prepare(struct work *work, struct err *err)
{
	const struct vm *vm = &work->hold->vm;
	if (vm->persistent && read_side(work, &work->config, VIR_DOMAIN_XML_INACTIVE, err) < 0)
		return -1;
	if (vm->active && read_side(work, &work->live, 0, err) < 0)
		return -1;
	if (edit_side(work, &work->config, err) < 0 || edit_side(work, &work->live, err) < 0)
		return -1;
	if (work->config.changed && !text_is_name(vm->name))
		return err_set(err, ERR_UNSUPPORTED,
			"the definition of a VM whose name virtgate would not give, '%.64s', is "
			"not changed here",
			vm->name);
	const struct json *autostart = json_member(work->fields, "autostart");
	work->autostart = autostart ? json_get_bool(autostart) : vm->autostart;
	return 0;
}

/* What libvirt's codes mean where something starts or is made, which nothing does here. */
static bool is_of_starts(enum err_kind kind)
{
	return kind == ERR_START_FAILED || kind == ERR_STORAGE_UNAVAILABLE ||
		kind == ERR_UNKNOWN_NETWORK || kind == ERR_ALREADY_EXISTS;
}

/*
 * Not validated against libvirt's schema: the definition may be another tool's, and is one that
 * libvirt has taken before.
 */
static int define(struct lease *lease, const struct xml *doc, struct err *err)
{
	AUTO(free) char *xml = xml_text(doc);
	if (!xml)
		return err_memory(err);
	AUTO(virDomainFree) virDomainPtr dom = virDomainDefineXMLFlags(lease->conn, xml, 0);
	if (dom)
		return 0;
	(void)virt_fail(lease, VIRT_DEFINE, err);
	if (!is_of_starts(err->kind))
		return -1;
	err->kind = ERR_UNSUPPORTED;
	(void)snprintf(
		err->text, sizeof err->text, "libvirt refuses the definition as it would be");
	return -1;
}

static int do_config(struct work *work, struct err *err)
{
	struct lease *lease = &work->hold->lease;
	if (!work->config.changed)
		return 0;
	int rc = define(lease, work->config.shall, err);
	work->defined = !rc || lease->broken; /* else nobody knows */
	return rc;
}

static int do_autostart(struct work *work, struct err *err)
{
	struct hold *hold = work->hold;
	if (work->autostart == hold->vm.autostart)
		return 0;
	if (virDomainSetAutostart(hold->dom, work->autostart) < 0) {
		(void)virt_fail(&hold->lease, VIRT_ACT, err);
		work->flagged = hold->lease.broken;
		return -1;
	}
	work->flagged = true;
	return 0;
}

/* What keeps a driver or a guest from it comes under many codes. */
static int explain_live(struct hold *hold, const char *member, struct err *err)
{
	(void)virt_fail(&hold->lease, VIRT_ACT, err);
	if (hold->lease.broken || err->kind == ERR_VM_NOT_FOUND)
		return -1;
	if (virDomainIsActive(hold->dom) == 0) {
		hold->vm.state = VM_SHUTOFF;
		return refuse_state(&hold->vm, "the VM has just ended", err);
	}
	if (err->kind == ERR_VM_BUSY || err->kind == ERR_DENIED_BY_HYPERVISOR)
		return -1;
	err->kind = ERR_UNSUPPORTED;
	(void)snprintf(err->text, sizeof err->text,
		"%s: this cannot be changed in the guest that runs", member);
	return err_hint(err, "apply=config changes it for the next start");
}

static int do_live(struct work *work, struct err *err)
{
	struct hold *hold = work->hold;
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		if (!(work->live.changed & IN(i)))
			continue;
		if (members[i].push(hold->dom, xml_root(work->live.shall)) < 0)
			return explain_live(hold, members[i].name, err);
		work->pushed |= IN(i);
	}
	return 0;
}

/* The connection may be lost, and with it the handle. */
static int reach(struct hold *hold, struct err *err)
{
	struct hypervisor *hypervisor = hold->gate.hypervisor;
	if (!hold->lease.broken)
		return 0;
	if (hold->dom)
		(void)virDomainFree(TAKE(hold->dom));
	lease_give(&hold->lease);
	if (lease_take(hypervisor, LEASE_CALL, &hold->lease, err) < 0)
		return -1;
	return domain_lookup(&hold->lease, hold->vm.uuid, &hold->dom, err);
}

static bool undo(struct work *work)
{
	struct hold *hold = work->hold;
	struct err ignored;
	bool all = true;
	if (!work->pushed && !work->flagged && !work->defined)
		return true;
	if (reach(hold, &ignored) < 0)
		return false;
	for (size_t i = ARRAY_LEN(members); i-- > 0;)
		if (work->pushed & IN(i))
			all &= !members[i].push(hold->dom, xml_root(work->live.was));
	if (work->flagged)
		all &= !virDomainSetAutostart(hold->dom, hold->vm.autostart);
	if (work->defined)
		all &= !define(&hold->lease, work->config.was, &ignored);
	return all;
}

static int do_all(struct work *work, struct err *err)
{
	if (!do_config(work, err) && !do_autostart(work, err) && !do_live(work, err))
		return 0;
	bool done = work->pushed || work->flagged || work->defined;
	if (!undo(work))
		return err_hint(err,
			"what had been done before could not be put back: get the VM and its XML");
	return done ? err_hint(err, "nothing was changed: what had been done was put back") : -1;
}

static unsigned differing(const struct work *work)
{
	unsigned differing = 0;
	for (size_t i = 0; work->config.shall && work->live.shall && i < ARRAY_LEN(members); i++) {
		AUTO(free) char *next = members[i].say(xml_root(work->config.shall));
		AUTO(free) char *now = members[i].say(xml_root(work->live.shall));
		if (!next || !now || strcmp(next, now) != 0)
			differing |= IN(i);
	}
	return differing;
}

int patch_vm(struct host *host, const struct target *target, const struct json *fields,
	enum patch_apply apply, struct patched *ret, struct err *err)
{
	AUTO_HOLD struct hold hold = { 0 };
	AUTO_WORK struct work work = { .hold = &hold, .fields = fields };
	if (domain_hold(host->hypervisor, target, &hold, err) < 0 ||
		decide(&work, apply, err) < 0 || prepare(&work, err) < 0)
		return -1;
	int rc = do_all(&work, err);
	inventory_touch(host->inventory, hold.vm.uuid);
	if (rc < 0)
		return -1;
	*ret = (struct patched){
		.changed = work.defined || work.flagged || work.pushed,
		.config = work.config.changed,
		.live = work.live.changed,
		.restart = differing(&work),
	};
	struct err ignored;
	hold.vm.autostart = work.autostart;
	ret->vm = hold.vm;
	(void)domain_read(&hold.lease, hold.dom, &ret->vm, &ignored); /* it is done in any case */
	return 0;
}
