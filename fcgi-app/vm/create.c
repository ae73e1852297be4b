/* SPDX-License-Identifier: MIT */
#include "vm/create.h"

#include "definition/domain_schema.h"
#include "definition/metadata.h"
#include "definition/policy.h"
#include "definition/serial_log.h"
#include "storage/bootable.h"
#include "storage/carrier.h"
#include "storage/formats.h"
#include "vm/limits.h"

#include <stdio.h>
#include <string.h>

/* One call of create_vm(): what was asked for, and what there is so far. */
struct creation {
	const struct config *config;
	struct domain_xml *domain;
	const struct create_how *how;
	struct lease lease;
	virDomainPtr dom; /* owned; the VM, once it was made or found */
	bool replayed;    /* found: the same request has made it before */
};

static void creation_done(struct creation *creation)
{
	if (creation->dom)
		(void)virDomainFree(creation->dom);
	lease_give(&creation->lease);
}
#define AUTO_CREATION __attribute__((cleanup(creation_done)))

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

struct log_check {
	struct lease *lease;
	const struct domain_xml *domain;
	const struct config *config;
};

struct log_search {
	const char *file;
	bool found;
};

static int find_log(const struct policy_path *path, void *data, struct err *err)
{
	struct log_search *search = data;
	(void)err;
	search->found |= path->kind == HOSTPATH_NEW_FILE && !strcmp(path->value, search->file);
	return 0;
}

/* Does the present definition of the VM name it? It may be from virsh, or from before serial_log.h.
 */
static int has_log_already(
	const struct log_check *check, const char *file, bool *ret, struct err *err)
{
	struct lease *lease = check->lease;
	AUTO(xml_free) struct xml *doc = NULL;
	struct log_search search = { file, false };
	AUTO(virDomainFree) virDomainPtr dom =
		virDomainLookupByUUIDString(lease->conn, check->domain->uuid);
	*ret = false;
	if (!dom) {
		(void)virt_fail(lease, VIRT_READ, err);
		return err->kind == ERR_VM_NOT_FOUND ? 0 : -1;
	}
	if (domain_read_xml(lease, dom, VIR_DOMAIN_XML_INACTIVE, &doc, err) < 0 ||
		policy_each_path(xml_root(doc), check->config, find_log, &search, err) < 0)
		return -1;
	*ret = search.found;
	return 0;
}

static int check_log_path(const struct policy_path *path, void *data, struct err *err)
{
	const struct log_check *check = data;
	bool kept = false;
	const char *file = hostpath_below(path->root, path->value);
	if (path->kind != HOSTPATH_NEW_FILE ||
		(file && serial_log_is_own(file, check->domain->uuid)))
		return 0;
	if (has_log_already(check, path->value, &kept, err) < 0)
		return -1;
	if (kept)
		return 0;
	(void)err_set(err, ERR_POLICY_DENIED, "%s: '%.128s' is not a log of this VM alone",
		path->where, file ? file : "");
	return err_hint(err,
		"give it a name without a directory, such as serial.log; virtgate then "
		"puts the VM's UUID in front of it");
}

int create_check_logs(struct lease *lease, const struct domain_xml *domain,
	const struct config *config, struct err *err)
{
	struct log_check check = { lease, domain, config };
	if (config->policy == POLICY_OFF)
		return 0;
	return policy_each_path(xml_root(domain->doc), config, check_log_path, &check, err);
}

int create_guard_images(struct guard *guard, struct lease *lease, const struct domain_xml *domain,
	const struct config *config, struct err *err)
{
	const struct xml_node *root = xml_root(domain->doc);
	if (guard_lock(guard, lease, root, err) < 0 ||
		formats_check(lease, root, config, FORMATS_DEFINE, err) < 0)
		return -1;
	return guard_check(root, config, GUARD_DEFINE, err);
}

/* Starting. libvirt's test driver runs nothing, so it starts anything. */

static int check_vm_bootable(struct creation *creation, struct err *err)
{
	if (virt_is_test(&creation->lease))
		return 0;
	return bootable_check(
		creation->lease.hypervisor, xml_root(creation->domain->doc), creation->config, err);
}

/* The images are locked already. */
static int check_first_start(struct creation *creation, struct err *err)
{
	const struct xml_node *root = xml_root(creation->domain->doc);
	if (guard_check(root, creation->config, GUARD_OFF, err) < 0)
		return -1;
	return check_vm_bootable(creation, err);
}

static void warn_unless_bootable(struct creation *creation)
{
	struct err err;
	if (check_vm_bootable(creation, &err) < 0)
		domain_xml_warn(creation->domain, "the VM cannot start yet: %s", err.text);
}

/* Making the VM */

/*
 * Removes a definition whose VM failed to start: by its uuid, because the connection that made it
 * may be lost. Files that the definition names stay.
 */
static void undo_define(struct creation *creation)
{
	struct lease *lease = &creation->lease;
	struct hypervisor *hypervisor = lease->hypervisor;
	struct err ignored;
	bool nvram = false;
	if (lease->broken) {
		lease_give(lease);
		if (lease_take(hypervisor, LEASE_CALL, lease, &ignored) < 0)
			return;
	}
	AUTO(virDomainFree) virDomainPtr dom =
		virDomainLookupByUUIDString(lease->conn, creation->domain->uuid);
	/* It may run after all: our start was not answered, or somebody else has started it. */
	if (dom && virDomainIsActive(dom) != 1 && !domain_has_nvram(lease, dom, &nvram, &ignored))
		(void)virDomainUndefineFlags(dom, nvram ? VIR_DOMAIN_UNDEFINE_KEEP_NVRAM : 0);
}

/* Defines and starts the VM, as asked; if the start fails, removes the definition again. */
static int make_domain(struct creation *creation, struct err *err)
{
	const struct create_how *how = creation->how;
	struct lease *lease = &creation->lease;
	bool left = false;
	AUTO(free) char *xml = xml_text(creation->domain->doc);
	if (!xml)
		return err_memory(err);
	if (domain_schema_check_defined(lease, creation->domain->doc, &left, err) < 0)
		return -1;
	AUTO(virDomainFree) virDomainPtr dom = how->persistent
		? virDomainDefineXMLFlags(lease->conn, xml, left ? VIR_DOMAIN_DEFINE_VALIDATE : 0)
		: virDomainCreateXML(lease->conn, xml, left ? VIR_DOMAIN_START_VALIDATE : 0);
	if (!dom) {
		(void)virt_fail(lease, how->persistent ? VIRT_DEFINE : VIRT_CREATE, err);
		/* Somebody else may have made the VM; libvirt has no code of its own for that. */
		struct err now;
		if (!lease->broken && create_check_free(lease, creation->domain, &now) < 0 &&
			now.kind == ERR_ALREADY_EXISTS)
			*err = now;
		return -1;
	}
	if (how->persistent && how->start && virDomainCreate(dom) < 0) {
		(void)virt_fail(lease, VIRT_START, err);
		/* If somebody else was quicker to start it, that is what was asked for. */
		if (lease->broken || virDomainIsActive(dom) != 1) {
			undo_define(creation);
			return -1;
		}
	}
	creation->dom = TAKE(dom);
	return 0;
}

/* Not if a VM may have the files, which nobody knows when the connection is lost. */
static void undo_files(struct creation *creation)
{
	struct lease *lease = &creation->lease;
	const char *uuid = creation->domain->uuid;
	struct err err;
	AUTO(virDomainFree) virDomainPtr dom =
		lease->broken ? NULL : virDomainLookupByUUIDString(lease->conn, uuid);
	if (lease->broken || dom)
		return;
	(void)virt_fail(lease, VIRT_READ, &err);
	if (err.kind != ERR_VM_NOT_FOUND)
		return;
	if (creation->how->disks)
		disk_unmake(creation->how->disks, creation->config);
	if (creation->how->carrier)
		(void)carrier_remove(creation->config, uuid);
}

static int make_guarded(struct creation *creation, struct guard *guard, struct err *err)
{
	const struct config *config = creation->config;
	const struct create_how *how = creation->how;
	struct domain_xml *domain = creation->domain;
	struct lease *lease = &creation->lease;
	/* Those that were just made are to be locked, too. */
	if (create_guard_images(guard, lease, domain, config, err) < 0)
		return -1;
	if (!how->start)
		warn_unless_bootable(creation);
	else if (check_first_start(creation, err) < 0)
		return -1;
	if (domain_xml_accelerate(domain, (enum accel)config->accel, lease, err) < 0)
		return -1;
	return make_domain(creation, err);
}

static int create_new(struct creation *creation, struct err *err)
{
	const struct config *config = creation->config;
	const struct create_how *how = creation->how;
	struct domain_xml *domain = creation->domain;
	struct lease *lease = &creation->lease;
	AUTO_GUARD struct guard guard = { 0 };
	/* Images that are yet to be made are locked by their paths. */
	if (create_check_free(lease, domain, err) < 0 ||
		limits_check_new(config, lease, xml_root(domain->doc), how->disks, err) < 0 ||
		create_check_logs(lease, domain, config, err) < 0 ||
		guard_lock(&guard, lease, xml_root(domain->doc), err) < 0)
		return -1;
	if (how->carrier && carrier_make(config, domain->uuid, err) < 0)
		return -1;
	if ((!how->disks || !disk_make(how->disks, config, err)) &&
		!make_guarded(creation, &guard, err))
		return 0;
	undo_files(creation);
	return -1;
}

/* Idempotency-Key */

/* Sets creation->dom to the VM that the same request has made, if there is one. */
static int find_repeated(struct creation *creation, struct err *err)
{
	struct lease *lease = &creation->lease;
	AUTO(xml_free) struct xml *doc = NULL;
	char made_by[HASH_SIZE];
	AUTO(virDomainFree) virDomainPtr dom =
		virDomainLookupByUUIDString(lease->conn, creation->domain->uuid);
	if (!dom) {
		(void)virt_fail(lease, VIRT_READ, err);
		return err->kind == ERR_VM_NOT_FOUND ? 0 : -1;
	}
	if (domain_read_xml(lease, dom, VIR_DOMAIN_XML_INACTIVE, &doc, err) < 0)
		return -1;
	metadata_get_request(xml_root(doc), made_by);
	if (strcmp(made_by, creation->how->request) != 0) {
		(void)err_set(err, ERR_KEY_REUSED,
			"Idempotency-Key: VM '%s' was made with this key by another request",
			virDomainGetName(dom));
		return err_hint(err, "use a new key for a new request");
	}
	creation->dom = TAKE(dom);
	return 0;
}

/* The virtgate of another host may run the same request: the lock is this host's. */
static int create_once(struct creation *creation, struct err *err)
{
	for (int attempt = 1;; attempt++) {
		if (find_repeated(creation, err) < 0)
			return -1;
		if (creation->dom)
			break;
		if (!create_new(creation, err))
			return 0;
		if (err->kind != ERR_ALREADY_EXISTS || attempt == 2)
			return -1;
	}
	creation->replayed = true;
	/* A repeated request gets the same warnings as the first. */
	if (!creation->how->start)
		warn_unless_bootable(creation);
	return domain_xml_accelerate(
		creation->domain, (enum accel)creation->config->accel, &creation->lease, err);
}

/* A repeated request waits for the first one's result longer than GATE_WAIT_MS, as long work. */
static int enter_key(struct hypervisor *hypervisor, const char *uuid, const char *user,
	struct gate *ret, struct err *err)
{
	enum { REPEATED_WAIT_MS = 30000 };
	AUTO_LONG_WORK struct long_work work = { 0 };
	if (!gate_enter(hypervisor, uuid, ret, err))
		return 0;
	if (err->kind != ERR_VM_BUSY ||
		long_work_begin(hypervisor, LONG_WORK_WAIT, user, &work, err) < 0)
		return -1;
	return gate_enter_within(hypervisor, uuid, REPEATED_WAIT_MS, ret, err);
}

/* The VM was made, so a failure to read it is no error: its guest may have ended already. */
static void read_created(struct creation *creation, struct vm *ret)
{
	const struct create_how *how = creation->how;
	struct err err;
	if (!domain_read(&creation->lease, creation->dom, ret, &err))
		return;
	bool gone = err.kind == ERR_VM_NOT_FOUND;
	*ret = (struct vm){
		.state = how->start && !gone ? VM_RUNNING : VM_SHUTOFF,
		.reason = "unknown",
		.active = how->start && !gone,
		.persistent = how->persistent,
	};
	(void)snprintf(ret->name, sizeof ret->name, "%s", creation->domain->name);
	(void)snprintf(ret->uuid, sizeof ret->uuid, "%s", creation->domain->uuid);
}

int create_vm(const struct config *config, struct host *host, struct domain_xml *domain,
	const struct create_how *how, struct vm *ret, bool *ret_replayed, struct err *err)
{
	struct hypervisor *hypervisor = host->hypervisor;
	AUTO_GATE struct gate key = { 0 };
	AUTO_GATE struct gate gate = { 0 };
	AUTO_CREATION struct creation creation = { config, domain, how, { 0 }, NULL, false };
	bool keyed = how->request[0];
	if (keyed && enter_key(hypervisor, domain->uuid, how->user, &key, err) < 0)
		return -1;
	if (gate_enter(hypervisor, domain->name, &gate, err) < 0 ||
		lease_take_checked(hypervisor, LEASE_CALL, &creation.lease, err) < 0)
		return -1;
	if (keyed ? create_once(&creation, err) : create_new(&creation, err))
		return -1;
	inventory_touch(host->inventory, domain->uuid);
	read_created(&creation, ret);
	*ret_replayed = creation.replayed;
	return 0;
}
