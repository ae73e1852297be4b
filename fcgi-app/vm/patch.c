/* SPDX-License-Identifier: MIT */
#include "vm/patch.h"

#include "base/text.h"
#include "storage/formats.h"
#include "storage/guard.h"
#include "vm/limits.h"

#include <stdio.h>
#include <string.h>

static const char *const apply_names[] = { [PATCH_USUAL] = "",
	PATCH_APPLIES(NAMED_ROW, NAMED_ROW) };
_Static_assert(ARRAY_LEN(apply_names) == PATCH_APPLY_COUNT, "a name per way to apply");

enum patch_apply patch_apply_of(const char *name)
{
	for (size_t i = PATCH_CONFIG; name && i < ARRAY_LEN(apply_names); i++)
		if (!strcmp(name, apply_names[i]))
			return (enum patch_apply)i;
	return PATCH_USUAL;
}

#define IN(member) (1U << (member))
/* The guest does not see these, so a change of them does not disturb it. */
enum { UNSEEN_BY_GUEST = IN(PATCH_TITLE) | IN(PATCH_DESCRIPTION) | IN(PATCH_LABELS) };

/* What a patch changes: the definition, or the running guest. */
struct patch_side {
	bool live;
	struct xml *before, *after; /* NULL: the VM does not have this side */
	unsigned asked;             /* members */
	unsigned changed;           /* those of them that have another value now */
};

struct patch {
	struct hold *hold;
	const struct json *fields;
	struct patch_side config, live;
	bool autostart; /* the new value */
	/* What was done, and is rolled back when a later step fails. */
	bool defined;
	bool flagged; /* autostart */
	unsigned pushed;
};

static void patch_done(const struct patch *patch)
{
	struct xml *const docs[] = { patch->config.before, patch->config.after, patch->live.before,
		patch->live.after };
	for (size_t i = 0; i < ARRAY_LEN(docs); i++)
		if (docs[i])
			xml_free(docs[i]);
}
#define AUTO_PATCH __attribute__((cleanup(patch_done)))

static int set_wrong_state(const struct vm *vm, const char *why, struct err *err)
{
	(void)err_set(err, ERR_WRONG_STATE, "%s", why);
	return err_state(err, vm_state_name(vm->state));
}

/* Sets which members are asked for on which side. */
static int choose_sides(struct patch *patch, enum patch_apply apply, struct err *err)
{
	const struct vm *vm = &patch->hold->vm;
	bool config = apply == PATCH_CONFIG || apply == PATCH_BOTH;
	bool live = apply == PATCH_LIVE || apply == PATCH_BOTH;
	unsigned asked = 0;
	for (unsigned i = 0; i < PATCH_MEMBER_COUNT; i++)
		if (json_has(patch->fields, patch_member_name((enum patch_member)i)))
			asked |= IN(i);
	if (!vm->persistent && (config || json_has(patch->fields, "autostart")))
		return set_wrong_state(vm,
			"a transient VM has no definition, and cannot start with the host", err);
	if (!vm->active && live)
		return set_wrong_state(
			vm, "apply: the VM is not running, so there is no guest to change", err);
	if (apply == PATCH_USUAL) {
		config = vm->persistent;
		live = vm->active;
	}
	patch->config.asked = config ? asked : 0;
	patch->live.asked = live ? asked : 0;
	if (apply == PATCH_USUAL && config)
		patch->live.asked &= UNSEEN_BY_GUEST;
	return 0;
}

/* With secrets: what is left out would be lost by a redefinition. */
static int read_side(struct patch *patch, struct patch_side *side, struct err *err)
{
	struct hold *hold = patch->hold;
	unsigned flags = VIR_DOMAIN_XML_SECURE | (side->live ? 0 : VIR_DOMAIN_XML_INACTIVE);
	if (!(side->live ? hold->vm.active : hold->vm.persistent))
		return 0;
	if (domain_read_xml(&hold->lease, hold->dom, flags, &side->before, err) < 0)
		return -1;
	return domain_read_xml(&hold->lease, hold->dom, flags, &side->after, err);
}

static int edit_side(const struct json *fields, struct patch_side *side, struct err *err)
{
	for (unsigned i = 0; i < PATCH_MEMBER_COUNT; i++) {
		enum patch_member member = (enum patch_member)i;
		const struct json *value = json_member(fields, patch_member_name(member));
		if (!(side->asked & IN(i)))
			continue;
		AUTO(free) char *before = xml_text(side->after);
		if (before &&
			patch_member_edit(member, side->live, xml_root(side->after), value, err) <
				0)
			return -1;
		AUTO(free) char *after = xml_text(side->after);
		if (!before || !after)
			return err_memory(err);
		if (strcmp(before, after) != 0)
			side->changed |= IN(i);
	}
	return 0;
}

static int check_side_size(const struct patch *patch, const struct patch_side *side,
	const struct config *config, struct err *err)
{
	if (!side->changed)
		return 0;
	return limits_check_size(
		config, &patch->hold->lease, xml_root(side->after), xml_root(side->before), err);
}

static int check_sizes(const struct patch *patch, const struct config *config, struct err *err)
{
	if (check_side_size(patch, &patch->config, config, err) < 0)
		return -1;
	return check_side_size(patch, &patch->live, config, err);
}

/* Everything that can be checked without a change is checked before the first change. */
static int edit_sides(struct patch *patch, struct err *err)
{
	const struct vm *vm = &patch->hold->vm;
	if (read_side(patch, &patch->config, err) < 0 || read_side(patch, &patch->live, err) < 0 ||
		edit_side(patch->fields, &patch->config, err) < 0 ||
		edit_side(patch->fields, &patch->live, err) < 0)
		return -1;
	if (patch->config.changed && !text_is_name(vm->name))
		return err_set(err, ERR_UNSUPPORTED,
			"the definition of VM '%.64s' cannot be changed here: virtgate does not "
			"allow such a name",
			vm->name);
	const struct json *autostart = json_member(patch->fields, "autostart");
	patch->autostart = autostart ? json_get_bool(autostart) : vm->autostart;
	return 0;
}

/*
 * libvirt starts the VM with the host, and virtgate is not asked then. So what a start would check
 * is checked now; none of it can change while every definition is checked as well (formats.h), but
 * another tool, or an older virtgate, may have made this one.
 */
static int check_autostart(const struct patch *patch, const struct config *config, struct err *err)
{
	struct lease *lease = &patch->hold->lease;
	if (!patch->autostart || patch->hold->vm.autostart || !patch->config.before)
		return 0;
	const struct xml_node *root = xml_root(patch->config.before);
	if (formats_check(lease, root, config, FORMATS_DEFINE, err) < 0)
		return -1;
	return guard_check(root, config, GUARD_RUNNING, err);
}

/*
 * Not validated by libvirt's schema: the definition may be another tool's, and libvirt has accepted
 * it before.
 */
static int define_domain(struct lease *lease, const struct xml *doc, struct err *err)
{
	AUTO(free) char *xml = xml_text(doc);
	if (!xml)
		return err_memory(err);
	AUTO(virDomainFree) virDomainPtr dom = virDomainDefineXMLFlags(lease->conn, xml, 0);
	if (dom)
		return 0;
	(void)virt_fail(lease, VIRT_DEFINE, err);
	/* These kinds are of a start or a creation, neither of which happens here. */
	if (err->kind == ERR_START_FAILED || err->kind == ERR_STORAGE_UNAVAILABLE ||
		err->kind == ERR_UNKNOWN_NETWORK || err->kind == ERR_ALREADY_EXISTS) {
		err->kind = ERR_UNSUPPORTED;
		(void)snprintf(
			err->text, sizeof err->text, "libvirt refuses the changed definition");
	}
	return -1;
}

/* The first two steps. When the connection breaks, nobody knows whether the step was done. */
static int change_definition(struct patch *patch, struct err *err)
{
	struct hold *hold = patch->hold;
	struct lease *lease = &hold->lease;
	if (patch->config.changed) {
		int rc = define_domain(lease, patch->config.after, err);
		patch->defined = !rc || lease->broken;
		if (rc < 0)
			return -1;
	}
	if (patch->autostart != hold->vm.autostart) {
		int rc = virDomainSetAutostart(hold->dom, patch->autostart);
		if (rc < 0)
			(void)virt_fail(lease, VIRT_ACT, err);
		patch->flagged = !rc || lease->broken;
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* Drivers and guests refuse a change under many codes. */
static int explain_push(struct hold *hold, enum patch_member member, struct err *err)
{
	(void)virt_fail(&hold->lease, VIRT_ACT, err);
	if (hold->lease.broken || err->kind == ERR_VM_NOT_FOUND)
		return -1;
	if (virDomainIsActive(hold->dom) == 0) {
		hold->vm.state = VM_SHUTOFF;
		return set_wrong_state(&hold->vm, "the VM has just stopped", err);
	}
	if (err->kind == ERR_VM_BUSY || err->kind == ERR_DENIED_BY_HYPERVISOR)
		return -1;
	err->kind = ERR_UNSUPPORTED;
	(void)snprintf(err->text, sizeof err->text, "%s: cannot be changed while the guest runs",
		patch_member_name(member));
	return err_hint(err, "apply=config changes it for the next start");
}

static int change_guest(struct patch *patch, struct err *err)
{
	struct hold *hold = patch->hold;
	for (unsigned i = 0; i < PATCH_MEMBER_COUNT; i++) {
		enum patch_member member = (enum patch_member)i;
		if (!(patch->live.changed & IN(i)))
			continue;
		if (patch_member_push(member, hold->dom, xml_root(patch->live.after)) < 0)
			return explain_push(hold, member, err);
		patch->pushed |= IN(i);
	}
	return 0;
}

/* On a new connection if this one is lost, and with it the domain's handle. */
static int reconnect(struct hold *hold, struct err *err)
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

/* false: a step could not be rolled back. */
static bool roll_back(struct patch *patch)
{
	struct hold *hold = patch->hold;
	struct err ignored;
	bool all = true;
	if (reconnect(hold, &ignored) < 0)
		return false;
	for (unsigned i = PATCH_MEMBER_COUNT; i-- > 0;)
		if (patch->pushed & IN(i))
			all &= !patch_member_push(
				(enum patch_member)i, hold->dom, xml_root(patch->live.before));
	if (patch->flagged)
		all &= !virDomainSetAutostart(hold->dom, hold->vm.autostart);
	if (patch->defined)
		all &= !define_domain(&hold->lease, patch->config.before, &ignored);
	return all;
}

static bool has_changed(const struct patch *patch)
{
	return patch->pushed || patch->flagged || patch->defined;
}

static int apply_patch(struct patch *patch, struct err *err)
{
	if (!change_definition(patch, err) && !change_guest(patch, err))
		return 0;
	if (!has_changed(patch))
		return -1;
	return err_hint(err,
		roll_back(patch) ? "nothing was changed: the steps before were rolled back"
				 : "the steps before could not be rolled back: read the VM and its "
				   "XML to see what was changed");
}

static unsigned differing_members(const struct patch *patch)
{
	const struct xml *config = patch->config.after;
	const struct xml *live = patch->live.after;
	unsigned differing = 0;
	for (unsigned i = 0; config && live && i < PATCH_MEMBER_COUNT; i++)
		if (!patch_member_is_same((enum patch_member)i, xml_root(config), xml_root(live)))
			differing |= IN(i);
	return differing;
}

int patch_vm(const struct config *config, struct host *host, const struct target *target,
	const struct json *fields, enum patch_apply apply, struct patched *ret, struct err *err)
{
	AUTO_HOLD struct hold hold = { 0 };
	AUTO_PATCH struct patch patch = { .hold = &hold, .fields = fields, .live.live = true };
	if (domain_hold(host->hypervisor, target, &hold, err) < 0 ||
		choose_sides(&patch, apply, err) < 0 || edit_sides(&patch, err) < 0 ||
		check_sizes(&patch, config, err) < 0 || check_autostart(&patch, config, err) < 0)
		return -1;
	int rc = apply_patch(&patch, err);
	inventory_touch(host->inventory, hold.vm.uuid);
	if (rc < 0)
		return -1;
	*ret = (struct patched){
		.changed = has_changed(&patch),
		.config = patch.config.changed,
		.live = patch.live.changed,
		.restart = differing_members(&patch),
	};
	struct err ignored;
	hold.vm.autostart = patch.autostart;
	ret->vm = hold.vm;
	/* The patch is applied, so a failure to read the VM again is no error. */
	(void)domain_read(&hold.lease, hold.dom, &ret->vm, &ignored);
	return 0;
}
