/* SPDX-License-Identifier: MIT */
#include "libvirt/host_info.h"

#include "base/text.h"
#include "format/xml.h"
#include "libvirt/lease.h"
#include "libvirt/virt_error.h"

#include <stdio.h>
#include <string.h>

/* libvirt packs a version as major * 1000000 + minor * 1000 + release. */
static void format_version(unsigned long version, char *ret, size_t size)
{
	(void)snprintf(
		ret, size, "%lu.%lu.%lu", version / 1000000, version / 1000 % 1000, version % 1000);
}

static int read_host_info(struct lease *lease, void *data, struct err *err)
{
	struct host_info info = { 0 };
	unsigned long libvirt = 0;
	unsigned long driver = 0;
	const char *type = virConnectGetType(lease->conn);
	if (!type || virConnectGetLibVersion(lease->conn, &libvirt) < 0 ||
		virConnectGetVersion(lease->conn, &driver) < 0)
		return virt_fail(lease, VIRT_READ, err);
	(void)snprintf(info.driver, sizeof info.driver, "%s", type);
	format_version(libvirt, info.libvirt_version, sizeof info.libvirt_version);
	format_version(driver, info.driver_version, sizeof info.driver_version);
	*(struct host_info *)data = info;
	return 0;
}

int host_info_read(struct hypervisor *hypervisor, struct host_info *ret, struct err *err)
{
	return lease_read(hypervisor, read_host_info, ret, err);
}

int host_info_has_kvm(struct lease *lease, const char *arch, bool *ret, struct err *err)
{
	AUTO(free) char *caps =
		virConnectGetDomainCapabilities(lease->conn, NULL, arch, NULL, "kvm", 0);
	*ret = caps != NULL;
	if (caps)
		return 0;
	(void)virt_fail(lease, VIRT_READ, err);
	/* These three are libvirt's "no" (9.0.0). */
	bool is_no = err->libvirt_code == VIR_ERR_CONFIG_UNSUPPORTED ||
		err->libvirt_code == VIR_ERR_INVALID_ARG || err->libvirt_code == VIR_ERR_NO_SUPPORT;
	return is_no && !lease->broken ? 0 : -1;
}

/* The test driver's VMs do not run, so they have no KVM, whatever the machine has. */
static int read_host_kvm(struct lease *lease, void *data, struct err *err)
{
	bool kvm = false;
	if (!virt_is_test(lease) && host_info_has_kvm(lease, NULL, &kvm, err) < 0)
		return -1;
	*(bool *)data = kvm;
	return 0;
}

int host_info_read_kvm(struct hypervisor *hypervisor, bool *ret, struct err *err)
{
	return lease_read(hypervisor, read_host_kvm, ret, err);
}

/* After libvirt has failed: 0 if its driver does not support the question. */
static int ignore_unsupported(struct lease *lease, struct err *err)
{
	(void)virt_fail(lease, VIRT_READ, err);
	return err->kind == ERR_NOT_SUPPORTED_BY_DRIVER ? 0 : -1;
}

static int read_hostname(struct lease *lease, struct host_details *details, struct err *err)
{
	AUTO(free) char *name = virConnectGetHostname(lease->conn);
	if (!name)
		return ignore_unsupported(lease, err);
	(void)snprintf(details->hostname, sizeof details->hostname, "%s", name);
	text_mask_malformed(details->hostname);
	return 0;
}

static int read_host_node(struct lease *lease, struct host_details *details, struct err *err)
{
	virNodeInfo node;
	if (virNodeGetInfo(lease->conn, &node) < 0)
		return ignore_unsupported(lease, err);
	details->cpus = node.cpus;
	details->numa_nodes = node.nodes;
	details->sockets = node.sockets;
	details->cores = node.cores;
	details->threads = node.threads;
	details->memory_kib = (int64_t)node.memory;
	return 0;
}

static void set_host_memory(struct host_details *details, const virNodeMemoryStats *stat)
{
	const struct {
		const char *field;
		int64_t *to;
	} rows[] = {
		{ VIR_NODE_MEMORY_STATS_TOTAL, &details->memory_kib },
		{ VIR_NODE_MEMORY_STATS_FREE, &details->memory_free_kib },
		{ VIR_NODE_MEMORY_STATS_CACHED, &details->memory_cached_kib },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!strcmp(stat->field, rows[i].field))
			*rows[i].to = (int64_t)stat->value;
}

/*
 * These are the kernel's own totals. virNodeGetInfo() and virNodeGetFreeMemory() add up NUMA nodes,
 * and libvirt 9.0.0 was seen to miss memory that was plugged in later.
 */
static int read_host_memory(struct lease *lease, struct host_details *details, struct err *err)
{
	int count = 0;
	if (virNodeGetMemoryStats(lease->conn, VIR_NODE_MEMORY_STATS_ALL_CELLS, NULL, &count, 0) <
		0)
		return ignore_unsupported(lease, err);
	AUTO(free) virNodeMemoryStats *stats = calloc((size_t)count + 1, sizeof *stats);
	if (!stats)
		return err_memory(err);
	if (virNodeGetMemoryStats(lease->conn, VIR_NODE_MEMORY_STATS_ALL_CELLS, stats, &count, 0) <
		0)
		return virt_fail(lease, VIRT_READ, err);
	for (int i = 0; i < count; i++)
		set_host_memory(details, &stats[i]);
	return 0;
}

static bool has_architecture(const struct host_details *details, const char *name)
{
	for (size_t i = 0; i < details->architecture_count; i++)
		if (!strcmp(details->architectures[i], name))
			return true;
	return false;
}

static int add_architecture(struct xml_node *node, void *data)
{
	struct host_details *details = data;
	AUTO(free) char *name = xml_attr(node, "name");
	if (!name || has_architecture(details, name) ||
		details->architecture_count == HOST_ARCHITECTURES_MAX)
		return 0;
	char *to = details->architectures[details->architecture_count++];
	(void)snprintf(to, sizeof details->architectures[0], "%s", name);
	return 0;
}

static int read_host_capabilities(
	struct lease *lease, struct host_details *details, struct err *err)
{
	AUTO(free) char *text = virConnectGetCapabilities(lease->conn);
	AUTO(xml_free) struct xml *doc = NULL;
	if (!text)
		return ignore_unsupported(lease, err);
	if (xml_parse_trusted(text, &doc, err) < 0)
		return -1;
	struct xml_node *root = xml_root(doc);
	xml_copy_text(root, "host/cpu/arch", details->architecture, sizeof details->architecture);
	xml_copy_text(root, "host/cpu/model", details->cpu_model, sizeof details->cpu_model);
	(void)xml_each_at(root, "guest/arch", add_architecture, details);
	return 0;
}

static int read_host_details(struct lease *lease, void *data, struct err *err)
{
	struct host_details details = { .cpus = -1,
		.numa_nodes = -1,
		.sockets = -1,
		.cores = -1,
		.threads = -1,
		.memory_kib = -1,
		.memory_free_kib = -1,
		.memory_cached_kib = -1 };
	if (read_host_info(lease, &details.info, err) < 0 ||
		read_hostname(lease, &details, err) < 0 ||
		read_host_node(lease, &details, err) < 0 ||
		read_host_memory(lease, &details, err) < 0 ||
		read_host_capabilities(lease, &details, err) < 0 ||
		read_host_kvm(lease, &details.kvm, err) < 0)
		return -1;
	*(struct host_details *)data = details;
	return 0;
}

int host_info_read_details(struct hypervisor *hypervisor, struct host_details *ret, struct err *err)
{
	return lease_read(hypervisor, read_host_details, ret, err);
}
