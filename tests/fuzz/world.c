/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

static virConnectPtr conn;

static const struct {
	const char *xml;
	bool runs;
} vms[] = {
	{ "<domain type='test'><name>on</name><uuid>" WORLD_ON "</uuid><title>t</title><metadata>"
	  "<virtgate:vm xmlns:virtgate='urn:virtgate:vm:1'><virtgate:label name='tier'>front"
	  "</virtgate:label></virtgate:vm></metadata><memory>65536</memory><vcpu>2</vcpu>"
	  "<os><type>hvm</type></os></domain>",
		true },
	{ "<domain type='test'><name>off</name><uuid>" WORLD_OFF "</uuid><memory>65536</memory>"
	  "<os><type>hvm</type></os></domain>",
		false },
};

static void ignore_error(void *data, virErrorPtr error)
{
	(void)data;
	(void)error;
}

void world_open(void)
{
	virSetErrorFunc(NULL, ignore_error);
	conn = virConnectOpen("test:///default");
	insist(conn, "the test driver: %s", virGetLastErrorMessage());
}

static int by_name(const void *a, const void *b)
{
	return strcmp(virDomainGetName(*(const virDomainPtr *)a),
		virDomainGetName(*(const virDomainPtr *)b));
}

/* Calls each() for all, by name. */
static void each_domain(void (*each)(virDomainPtr dom, void *data), void *data)
{
	virDomainPtr *list = NULL;
	int n = virConnectListAllDomains(conn, &list, 0);
	insist(n >= 0, "%s", virGetLastErrorMessage());
	qsort(list, (size_t)n, sizeof list[0], by_name);
	for (int i = 0; i < n; i++) {
		each(list[i], data);
		(void)virDomainFree(list[i]);
	}
	free(list);
}

static void remove_domain(virDomainPtr dom, void *data)
{
	unsigned flags = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA;
	(void)data;
	bool persistent = virDomainIsPersistent(dom) == 1;
	if (virDomainIsActive(dom) == 1)
		(void)virDomainDestroy(dom);
	insist(!persistent || !virDomainUndefineFlags(dom, flags), "%s", virGetLastErrorMessage());
}

void world_reset(void)
{
	each_domain(remove_domain, NULL);
	for (size_t i = 0; i < ARRAY_LEN(vms); i++) {
		virDomainPtr dom = virDomainDefineXML(conn, vms[i].xml);
		insist(dom && (!vms[i].runs || !virDomainCreate(dom)), "%s",
			virGetLastErrorMessage());
		virDomainSnapshotPtr one = vms[i].runs
			? virDomainSnapshotCreateXML(
				  dom, "<domainsnapshot><name>one</name></domainsnapshot>", 0)
			: NULL;
		insist(one || !vms[i].runs, "%s", virGetLastErrorMessage());
		if (one)
			(void)virDomainSnapshotFree(one);
		(void)virDomainFree(dom);
	}
}

/* FNV-1a */
static void add(uint64_t *hash, const char *text)
{
	for (const char *s = text ? text : ""; *s; s++)
		*hash = (*hash ^ (uint8_t)*s) * 0x100000001b3U;
	*hash = (*hash ^ 0xff) * 0x100000001b3U;
}

static void add_snapshots(uint64_t *hash, virDomainPtr dom)
{
	virDomainSnapshotPtr *list = NULL;
	int n = virDomainListAllSnapshots(dom, &list, VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL);
	for (int i = 0; i < n; i++) {
		add(hash, virDomainSnapshotGetName(list[i]));
		add(hash, virDomainSnapshotIsCurrent(list[i], 0) == 1 ? "current" : "");
		(void)virDomainSnapshotFree(list[i]);
	}
	free(list);
}

static void add_domain(virDomainPtr dom, void *data)
{
	uint64_t *hash = data;
	char text[64];
	int state = 0;
	int autostart = 0;
	(void)virDomainGetState(dom, &state, NULL, 0);
	(void)virDomainGetAutostart(dom, &autostart);
	(void)snprintf(text, sizeof text, "%d %d %d %d", state, autostart,
		virDomainIsPersistent(dom), virDomainHasManagedSaveImage(dom, 0));
	add(hash, text);
	AUTO(free) char *now = virDomainGetXMLDesc(dom, 0);
	AUTO(free) char *later = virDomainGetXMLDesc(dom, VIR_DOMAIN_XML_INACTIVE);
	add(hash, now);
	add(hash, later);
	add_snapshots(hash, dom);
}

uint64_t world_fingerprint(void)
{
	uint64_t hash = 0xcbf29ce484222325U;
	each_domain(add_domain, &hash);
	return hash;
}
