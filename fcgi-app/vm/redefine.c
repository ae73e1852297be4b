/* SPDX-License-Identifier: MIT */
#include "vm/redefine.h"

#include "definition/metadata.h"
#include "format/etag.h"
#include "vm/create.h"

#include <stdio.h>
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
	args->xml = virDomainGetXMLDesc(dom, args->live ? 0 : VIR_DOMAIN_XML_INACTIVE);
	return args->xml ? 0 : virt_fail(lease, VIRT_READ, err);
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
 * What a client got and changed lacks the secrets that libvirt keeps to itself, such as a VNC
 * password; put back, it would wipe them out.
 */
static int refuse_secrets(struct hold *hold, const char *shown, struct err *err)
{
	AUTO(free) char *whole =
		virDomainGetXMLDesc(hold->dom, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);
	if (!whole)
		return virt_fail(&hold->lease, VIRT_READ, err);
	if (!strcmp(whole, shown))
		return 0;
	(void)err_set(err, ERR_UNSUPPORTED,
		"the definition holds a secret, such as a VNC password, which would be lost");
	return err_hint(err, "change it with virsh edit, on the host");
}

/* What virtgate has made for the VM it still has. */
static int keep_disks(const char *replaced, const struct domain_xml *domain, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	if (xml_parse_trusted(replaced, &doc, err) < 0)
		return -1;
	if (metadata_keep_claims(xml_root(domain->doc), xml_root(doc), err) < 0)
		return -1;
	domain_xml_sort(domain);
	return 0;
}

static int refuse_replacement(
	struct hold *hold, const struct domain_xml *domain, const char *if_match, struct err *err)
{
	char etag[ETAG_SIZE];
	if (!hold->vm.persistent) {
		(void)err_set(err, ERR_WRONG_STATE,
			"a transient VM has no definition: it is gone when it stops");
		(void)snprintf(err->state, sizeof err->state, "%s", vm_state_name(hold->vm.state));
		return -1;
	}
	AUTO(free) char *now = virDomainGetXMLDesc(hold->dom, VIR_DOMAIN_XML_INACTIVE);
	if (!now)
		return virt_fail(&hold->lease, VIRT_READ, err);
	etag_make(now, strlen(now), etag);
	if (*if_match && !etag_is_listed(if_match, etag)) {
		(void)err_set(err, ERR_PRECONDITION_FAILED,
			"the definition has changed since: its entity tag is %s now", etag);
		return err_hint(err, "get it again and repeat your change");
	}
	if (refuse_secrets(hold, now, err) < 0)
		return -1;
	return keep_disks(now, domain, err);
}

static int hold_replaceable(struct host *host, const struct domain_xml *domain,
	const char *if_match, struct hold *ret, struct err *err)
{
	const struct target target = { domain->uuid, "" }; /* if_match is of the definition */
	if (domain_hold(host->hypervisor, &target, ret, err) < 0)
		return -1;
	if (strcmp(ret->vm.name, domain->name) != 0)
		return err_set(err, ERR_VM_NOT_FOUND, "VM '%s' has just been renamed to '%s'",
			domain->name, ret->vm.name);
	return refuse_replacement(ret, domain, if_match, err);
}

int redefine_check(
	struct host *host, const struct domain_xml *domain, const char *if_match, struct err *err)
{
	AUTO_HOLD struct hold hold = { 0 };
	return hold_replaceable(host, domain, if_match, &hold, err);
}

int redefine_vm(const struct config *config, struct host *host, struct domain_xml *domain,
	const char *if_match, struct vm *ret, struct err *err)
{
	AUTO_HOLD struct hold hold = { 0 };
	if (hold_replaceable(host, domain, if_match, &hold, err) < 0 ||
		create_check_logs(&hold.lease, domain, config, err) < 0 ||
		domain_xml_accelerate(domain, (enum accel)config->accel, &hold.lease, err) < 0)
		return -1;
	AUTO(free) char *xml = xml_text(domain->doc);
	if (!xml)
		return err_memory(err);
	AUTO(virDomainFree) virDomainPtr dom =
		virDomainDefineXMLFlags(hold.lease.conn, xml, VIR_DOMAIN_DEFINE_VALIDATE);
	if (!dom)
		return virt_fail(&hold.lease, VIRT_DEFINE, err);
	inventory_touch(host->inventory, domain->uuid);
	struct err ignored;
	*ret = hold.vm;
	(void)domain_read(&hold.lease, dom, ret, &ignored); /* it is replaced in any case */
	return 0;
}
