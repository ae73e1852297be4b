/* SPDX-License-Identifier: MIT */
#include "vm/redefine.h"

#include "definition/domain_schema.h"
#include "definition/metadata.h"
#include "format/etag.h"
#include "vm/create.h"
#include "vm/limits.h"

#include <string.h>

struct xml_read {
	const char *ref;
	bool live;
	char *xml;
};

static int read_xml_text(struct lease *lease, void *data, struct err *err)
{
	struct xml_read *args = data;
	AUTO(virDomainFree) virDomainPtr dom = NULL;
	if (domain_lookup(lease, args->ref, &dom, err) < 0)
		return -1;
	return domain_read_xml_text(
		lease, dom, args->live ? 0 : VIR_DOMAIN_XML_INACTIVE, &args->xml, err);
}

int redefine_read_xml(struct host *host, const char *ref, bool live, char **ret, struct err *err)
{
	struct xml_read args = { .ref = ref, .live = live };
	if (lease_read(host->hypervisor, read_xml_text, &args, err) < 0)
		return -1;
	*ret = args.xml;
	return 0;
}

/*
 * The definition that a client reads and sends back lacks the secrets, such as a VNC password, that
 * libvirt does not show; a redefinition would remove them.
 */
static int check_no_secrets(struct hold *hold, const char *shown, struct err *err)
{
	AUTO(free) char *whole = NULL;
	if (domain_read_xml_text(&hold->lease, hold->dom,
		    VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE, &whole, err) < 0)
		return -1;
	if (!strcmp(whole, shown))
		return 0;
	(void)err_set(err, ERR_UNSUPPORTED,
		"the definition holds a secret, such as a VNC password, which would be lost");
	return err_hint(err, "change it with virsh edit, on the host");
}

/* The new definition keeps the records of the images that virtgate has made for the VM. */
static int keep_records(
	const struct xml_node *replaced, const struct domain_xml *domain, struct err *err)
{
	if (metadata_keep_claims(xml_root(domain->doc), replaced, err) < 0)
		return -1;
	domain_xml_sort(domain);
	return 0;
}

/* Holds the VM whose definition the document may replace. */
static int hold_replaceable(const struct config *config, struct host *host,
	const struct domain_xml *domain, const char *if_match, struct hold *ret, struct err *err)
{
	/* The entity tag is the definition's, not the VM's. */
	const struct target target = { .ref = domain->uuid, .if_match = "" };
	char etag[ETAG_SIZE];
	if (domain_hold(host->hypervisor, &target, ret, err) < 0)
		return -1;
	if (strcmp(ret->vm.name, domain->name) != 0)
		return err_set(err, ERR_VM_NOT_FOUND, "VM '%s' has just been renamed to '%s'",
			domain->name, ret->vm.name);
	if (!ret->vm.persistent) {
		(void)err_set(err, ERR_WRONG_STATE,
			"a transient VM has no definition: it is gone when it stops");
		return err_state(err, vm_state_name(ret->vm.state));
	}
	AUTO(free) char *now = NULL;
	if (domain_read_xml_text(&ret->lease, ret->dom, VIR_DOMAIN_XML_INACTIVE, &now, err) < 0)
		return -1;
	etag_make(now, strlen(now), etag);
	if (*if_match && !etag_is_listed(if_match, etag)) {
		(void)err_set(err, ERR_PRECONDITION_FAILED,
			"the definition has changed since it was read: its entity tag is %s now",
			etag);
		return err_hint(err, "read it again and repeat your change");
	}
	if (check_no_secrets(ret, now, err) < 0)
		return -1;
	AUTO(xml_free) struct xml *replaced = NULL;
	if (xml_parse_trusted(now, &replaced, err) < 0 ||
		limits_check_size(
			config, &ret->lease, xml_root(domain->doc), xml_root(replaced), err) < 0)
		return -1;
	return keep_records(xml_root(replaced), domain, err);
}

int redefine_check(const struct config *config, struct host *host, const struct domain_xml *domain,
	const char *if_match, struct err *err)
{
	AUTO_HOLD struct hold hold = { 0 };
	return hold_replaceable(config, host, domain, if_match, &hold, err);
}

int redefine_vm(const struct config *config, struct host *host, struct domain_xml *domain,
	const char *if_match, struct vm *ret, struct err *err)
{
	AUTO_HOLD struct hold hold = { 0 };
	AUTO_GUARD struct guard guard = { 0 };
	if (hold_replaceable(config, host, domain, if_match, &hold, err) < 0 ||
		create_check_logs(&hold.lease, domain, config, err) < 0 ||
		create_guard_images(&guard, &hold.lease, domain, config, err) < 0 ||
		domain_xml_accelerate(domain, (enum accel)config->accel, &hold.lease, err) < 0)
		return -1;
	bool left = false;
	AUTO(free) char *xml = xml_text(domain->doc);
	if (!xml)
		return err_memory(err);
	if (domain_schema_check_defined(&hold.lease, domain->doc, &left, err) < 0)
		return -1;
	AUTO(virDomainFree) virDomainPtr dom = virDomainDefineXMLFlags(
		hold.lease.conn, xml, left ? VIR_DOMAIN_DEFINE_VALIDATE : 0);
	if (!dom)
		return virt_fail(&hold.lease, VIRT_DEFINE, err);
	inventory_touch(host->inventory, domain->uuid);
	struct err ignored;
	*ret = hold.vm;
	/* The definition is replaced, so a failure to read the VM again is no error. */
	(void)domain_read(&hold.lease, dom, ret, &ignored);
	return 0;
}
