/* SPDX-License-Identifier: MIT */
#include "vm/create.h"

#include "definition/metadata.h"
#include "definition/policy.h"
#include "storage/bootable.h"
#include "storage/carrier.h"
#include "storage/guard.h"

#include <stdio.h>
#include <string.h>

/* libvirt's test driver starts anything: nothing runs. */
static int check_bootable(
	struct lease *lease, const struct xml *doc, const struct config *config, struct err *err)
{
	if (virt_is_test(lease))
		return 0;
	return bootable_check(xml_root(doc), config, err);
}

int create_check_free(struct lease *lease, const struct domain_xml *domain, struct err *err)
{
	AUTO(virDomainFree) virDomainPtr same_name =
		virDomainLookupByName(lease->conn, domain->name);
	if (same_name)
		return err_set(err, ERR_ALREADY_EXISTS, "a VM named '%s' exists", domain->name);
	(void)virt_fail(lease, VIRT_READ, err);
	if (err->kind != ERR_VM_NOT_FOUND)
		return -1;
	AUTO(virDomainFree) virDomainPtr same_uuid =
		virDomainLookupByUUIDString(lease->conn, domain->uuid);
	if (same_uuid)
		return err_set(err, ERR_ALREADY_EXISTS, "a VM with uuid '%s' exists", domain->uuid);
	(void)virt_fail(lease, VIRT_READ, err);
	return err->kind == ERR_VM_NOT_FOUND ? 0 : -1;
}

/* By its uuid, for the connection that it was made by may be lost. What it has is not ours yet. */
static void undo_define(struct lease *lease, const char *uuid)
{
	struct hypervisor *hypervisor = lease->hypervisor;
	struct err ignored;
	bool nvram = false;
	if (lease->broken) {
		lease_give(lease);
		if (lease_take(hypervisor, LEASE_CALL, lease, &ignored) < 0)
			return;
	}
	AUTO(virDomainFree) virDomainPtr dom = virDomainLookupByUUIDString(lease->conn, uuid);
	/* It may run after all, by a start that was not answered, or by somebody else's. */
	if (dom && virDomainIsActive(dom) != 1 && !domain_has_nvram(lease, dom, &nvram, &ignored))
		(void)virDomainUndefineFlags(dom, nvram ? VIR_DOMAIN_UNDEFINE_KEEP_NVRAM : 0);
}

/* Defines and starts it, as asked; undoes the first when the second fails. */
static int make_domain(struct lease *lease, const struct create_how *how,
	const struct domain_xml *domain, virDomainPtr *ret, struct err *err)
{
	AUTO(free) char *xml = xml_text(domain->doc);
	if (!xml)
		return err_memory(err);
	AUTO(virDomainFree) virDomainPtr dom = NULL;
	if (how->persistent)
		dom = virDomainDefineXMLFlags(lease->conn, xml, VIR_DOMAIN_DEFINE_VALIDATE);
	else
		dom = virDomainCreateXML(lease->conn, xml, VIR_DOMAIN_START_VALIDATE);
	if (!dom) {
		(void)virt_fail(lease, how->persistent ? VIRT_DEFINE : VIRT_CREATE, err);
		/* Somebody else may have been quicker; libvirt's codes do not tell that apart. */
		struct err now;
		if (!lease->broken && create_check_free(lease, domain, &now) < 0 &&
			now.kind == ERR_ALREADY_EXISTS)
			*err = now;
		return -1;
	}
	if (how->persistent && how->start && virDomainCreate(dom) < 0) {
		(void)virt_fail(lease, VIRT_START, err);
		/* Whoever was quicker has done what was asked for. */
		if (lease->broken || virDomainIsActive(dom) != 1) {
			undo_define(lease, domain->uuid);
			return -1;
		}
	}
	*ret = TAKE(dom);
	return 0;
}

/* It exists, so whatever goes wrong from here on is no failure: a guest may have ended already. */
static void read_created(struct lease *lease, virDomainPtr dom, const struct create_how *how,
	const struct domain_xml *domain, struct vm *ret)
{
	struct err err;
	if (!domain_read(lease, dom, ret, &err))
		return;
	bool gone = err.kind == ERR_VM_NOT_FOUND;
	*ret = (struct vm){
		.state = how->start && !gone ? VM_RUNNING : VM_SHUTOFF,
		.reason = "unknown",
		.active = how->start && !gone,
		.persistent = how->persistent,
	};
	(void)snprintf(ret->name, sizeof ret->name, "%s", domain->name);
	(void)snprintf(ret->uuid, sizeof ret->uuid, "%s", domain->uuid);
}

struct log_check {
	struct lease *lease;
	const char *own;
};

/*
 * libvirt itself writes NAME.log, and NAME.log.0 when it turns one over, in the logs' directory: a
 * VM's serial log of that name would cut another VM's off, and keep it from starting.
 */
static int check_log(const struct policy_path *path, void *data, struct err *err)
{
	const struct log_check *check = data;
	char name[256];
	const char *file = hostpath_below(path->root, path->value);
	const char *dot = file && !strchr(file, '/') ? strstr(file, ".log") : NULL;
	if (path->kind != HOSTPATH_NEW_FILE || !dot ||
		strspn(dot + 4, ".0123456789") != strlen(dot + 4))
		return 0;
	(void)snprintf(name, sizeof name, "%.*s", (int)(dot - file), file);
	AUTO(virDomainFree) virDomainPtr other = virDomainLookupByName(check->lease->conn, name);
	if (other || !strcmp(name, check->own)) {
		(void)err_set(err, ERR_POLICY_DENIED,
			"%s: '%.128s' is the log that libvirt keeps of VM '%.64s'", path->where,
			file, name);
		return err_hint(err, "call it serial-%.64s.log", check->own);
	}
	(void)virt_fail(check->lease, VIRT_READ, err);
	return err->kind == ERR_VM_NOT_FOUND ? 0 : -1;
}

int create_check_logs(struct lease *lease, const struct domain_xml *domain,
	const struct config *config, struct err *err)
{
	struct log_check check = { lease, domain->name };
	if (config->policy == POLICY_OFF)
		return 0;
	return policy_each_path(xml_root(domain->doc), config, check_log, &check, err);
}

/* What shall start now must be able to; what may later is told so. */
static int consider_start(struct lease *lease, struct domain_xml *domain,
	const struct config *config, bool start, struct guard *guard, struct err *err)
{
	struct err later;
	/* Waiting for this turn may have taken seconds since the policy looked at the files. */
	if (start &&
		guard_enter(guard, lease->hypervisor, xml_root(domain->doc), config, true, err) < 0)
		return -1;
	if (start)
		return check_bootable(lease, domain->doc, config, err);
	if (check_bootable(lease, domain->doc, config, &later) < 0)
		domain_xml_warn(domain, "it cannot start yet: %s", later.text);
	return 0;
}

/* Not while there may be a VM that has them: when the connection broke, nobody knows. */
static void undo_files(const struct config *config, struct lease *lease, const char *uuid,
	const struct create_how *how)
{
	struct err err;
	AUTO(virDomainFree) virDomainPtr dom =
		lease->broken ? NULL : virDomainLookupByUUIDString(lease->conn, uuid);
	if (lease->broken || dom)
		return;
	(void)virt_fail(lease, VIRT_READ, &err);
	if (err.kind != ERR_VM_NOT_FOUND)
		return;
	if (how->disks)
		disk_unmake(how->disks, config);
	if (how->carrier)
		(void)carrier_remove(config, uuid);
}

static int create(const struct config *config, struct lease *lease, struct domain_xml *domain,
	const struct create_how *how, virDomainPtr *ret, struct err *err)
{
	AUTO_GUARD struct guard guard = { 0 };
	if (how->carrier && carrier_make(config, domain->uuid, err) < 0)
		return -1;
	bool made = !how->disks || !disk_make(how->disks, config, err);
	if (made && !consider_start(lease, domain, config, how->start, &guard, err) &&
		!domain_xml_accelerate(domain, (enum accel)config->accel, lease, err) &&
		!make_domain(lease, how, domain, ret, err))
		return 0;
	undo_files(config, lease, domain->uuid, how);
	return -1;
}

/* The VM that the same request has made; *ret is NULL when there is none. */
static int find_made(struct lease *lease, const struct domain_xml *domain, const char *request,
	virDomainPtr *ret, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	char made_by[HASH_SIZE];
	AUTO(virDomainFree) virDomainPtr dom =
		virDomainLookupByUUIDString(lease->conn, domain->uuid);
	*ret = NULL;
	if (!dom) {
		(void)virt_fail(lease, VIRT_READ, err);
		return err->kind == ERR_VM_NOT_FOUND ? 0 : -1;
	}
	if (domain_read_xml(lease, dom, VIR_DOMAIN_XML_INACTIVE, &doc, err) < 0)
		return -1;
	metadata_get_request(xml_root(doc), made_by);
	if (strcmp(made_by, request) != 0) {
		(void)err_set(err, ERR_KEY_REUSED,
			"Idempotency-Key: VM '%s' was made with it by another request",
			virDomainGetName(dom));
		return err_hint(err, "a new request has a new key");
	}
	*ret = TAKE(dom);
	return 0;
}

/* What the first request was warned of, so is each that repeats it. */
static int warn_again(struct lease *lease, struct domain_xml *domain, const struct config *config,
	const struct create_how *how, struct err *err)
{
	AUTO_GUARD struct guard none = { 0 };
	if (!how->start && consider_start(lease, domain, config, false, &none, err) < 0)
		return -1;
	return domain_xml_accelerate(domain, (enum accel)config->accel, lease, err);
}

static int create_new(const struct config *config, struct lease *lease, struct domain_xml *domain,
	const struct create_how *how, virDomainPtr *ret, struct err *err)
{
	if (create_check_free(lease, domain, err) < 0 ||
		create_check_logs(lease, domain, config, err) < 0 ||
		create(config, lease, domain, how, ret, err) < 0)
		return -1;
	return 0;
}

/* The gate is this host's: a virtgate elsewhere may be at the same request. */
static int create_once(const struct config *config, struct lease *lease, struct domain_xml *domain,
	const struct create_how *how, virDomainPtr *ret, bool *ret_replayed, struct err *err)
{
	for (int attempt = 1;; attempt++) {
		if (find_made(lease, domain, how->request, ret, err) < 0)
			return -1;
		if (*ret) {
			*ret_replayed = true;
			return warn_again(lease, domain, config, how, err);
		}
		if (!create_new(config, lease, domain, how, ret, err))
			return 0;
		if (err->kind != ERR_ALREADY_EXISTS || attempt == 2)
			return -1;
	}
}

/* Whoever repeats a request wants its result, and waits for it as long as there is room to. */
static int enter_key(
	struct hypervisor *hypervisor, const char *uuid, struct gate *ret, struct err *err)
{
	enum { REPEATED_WAIT_MS = 30000 };
	AUTO_LONG struct long_work work = { 0 };
	if (!gate_enter(hypervisor, uuid, ret, err))
		return 0;
	if (err->kind != ERR_VM_BUSY || long_enter(hypervisor, LONG_WAIT, &work, err) < 0)
		return -1;
	return gate_enter_within(hypervisor, uuid, REPEATED_WAIT_MS, ret, err);
}

int create_vm(const struct config *config, struct host *host, struct domain_xml *domain,
	const struct create_how *how, struct vm *ret, bool *ret_replayed, struct err *err)
{
	struct hypervisor *hypervisor = host->hypervisor;
	AUTO_GATE struct gate key = { 0 };
	AUTO_GATE struct gate gate = { 0 };
	AUTO_LEASE struct lease lease = { 0 };
	AUTO(virDomainFree) virDomainPtr dom = NULL;
	bool replayed = false;
	bool keyed = how->request[0];
	if (keyed && enter_key(hypervisor, domain->uuid, &key, err) < 0)
		return -1;
	if (gate_enter(hypervisor, domain->name, &gate, err) < 0 ||
		lease_take_sure(hypervisor, LEASE_CALL, &lease, err) < 0)
		return -1;
	if (keyed ? create_once(config, &lease, domain, how, &dom, &replayed, err)
		  : create_new(config, &lease, domain, how, &dom, err))
		return -1;
	inventory_touch(host->inventory, domain->uuid);
	read_created(&lease, dom, how, domain, ret);
	*ret_replayed = replayed;
	return 0;
}
