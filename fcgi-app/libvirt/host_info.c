/* SPDX-License-Identifier: MIT */
#include "libvirt/host_info.h"

#include "base/combiner.h"
#include "base/text.h"
#include "format/xml.h"
#include "libvirt/hypervisor.h"

#include <stdio.h>
#include <string.h>

/* libvirt packs major * 1000000 + minor * 1000 + release. */
static void unpack(unsigned long version, char *ret, size_t size)
{
	(void)snprintf(
		ret, size, "%lu.%lu.%lu", version / 1000000, version / 1000 % 1000, version % 1000);
}

static int read_info(struct lease *lease, void *data, struct err *err)
{
	struct host_info info = { 0 };
	unsigned long libvirt = 0;
	unsigned long driver = 0;
	const char *type = virConnectGetType(lease->conn);
	if (!type || virConnectGetLibVersion(lease->conn, &libvirt) < 0 ||
		virConnectGetVersion(lease->conn, &driver) < 0)
		return virt_fail(lease, VIRT_READ, err);
	(void)snprintf(info.driver, sizeof info.driver, "%s", type);
	unpack(libvirt, info.libvirt_version, sizeof info.libvirt_version);
	unpack(driver, info.driver_version, sizeof info.driver_version);
	*(struct host_info *)data = info;
	return 0;
}

int host_info_read(struct hypervisor *hypervisor, struct host_info *ret, struct err *err)
{
	return lease_read(hypervisor, read_info, ret, err);
}

/* The test driver pretends: whatever the machine has, its VMs do not use it. */
static int read_kvm(struct lease *lease, void *data, struct err *err)
{
	bool kvm = false;
	if (!virt_is_test(lease) && virt_has_kvm(lease, NULL, &kvm, err) < 0)
		return -1;
	*(bool *)data = kvm;
	return 0;
}

int host_info_read_kvm(struct hypervisor *hypervisor, bool *ret, struct err *err)
{
	return lease_read(hypervisor, read_kvm, ret, err);
}

struct host_probe {
	struct hypervisor *hypervisor;
	struct combiner *info, *kvm;
};

static int probe_info(void *data, struct combiner_turn *turn, void *ret, struct err *err)
{
	(void)turn;
	return host_info_read(data, ret, err);
}

static int probe_kvm(void *data, struct combiner_turn *turn, void *ret, struct err *err)
{
	(void)turn;
	return host_info_read_kvm(data, ret, err);
}

struct host_probe *host_probe_new(struct hypervisor *hypervisor)
{
	const struct combiner_job info = {
		.thread = "probe",
		.run = probe_info,
		.data = hypervisor,
		.size = sizeof(struct host_info),
	};
	const struct combiner_job kvm = {
		.thread = "probe-kvm", .run = probe_kvm, .data = hypervisor, .size = sizeof(bool)
	};
	struct host_probe *probe = calloc(1, sizeof *probe);
	if (!probe)
		return NULL;
	probe->hypervisor = hypervisor;
	probe->info = combiner_new(&info);
	probe->kvm = combiner_new(&kvm);
	if (probe->info && probe->kvm)
		return probe;
	host_probe_free(probe);
	return NULL;
}

void host_probe_free(struct host_probe *probe)
{
	if (probe->info)
		combiner_free(probe->info);
	if (probe->kvm)
		combiner_free(probe->kvm);
	free(probe);
}

static int ask(const struct host_probe *probe, struct combiner *combiner, int64_t wait_ms,
	void *ret, struct err *err)
{
	const struct combiner_terms terms = { .wait_ms = wait_ms };
	int64_t ms = 0;
	switch (combiner_ask(combiner, &terms, ret, &ms, err)) {
	case COMBINED_FRESH:
		return 0;
	case COMBINED_STALE:
	case COMBINED_FAILED:
		return -1;
	case COMBINED_LATE:
		break;
	}
	return err_set(err, ERR_HYPERVISOR_UNAVAILABLE,
		"host '%s' has not answered for %lld.%lld s", hypervisor_name(probe->hypervisor),
		(long long)ms / 1000, (long long)ms / 100 % 10);
}

int host_probe_read(
	struct host_probe *probe, int64_t wait_ms, struct host_info *ret, struct err *err)
{
	return ask(probe, probe->info, wait_ms, ret, err);
}

int host_probe_kvm(struct host_probe *probe, int64_t wait_ms, bool *ret, struct err *err)
{
	return ask(probe, probe->kvm, wait_ms, ret, err);
}

/* libvirt has just failed: 0 if only because its driver does not know that. */
static int excuse(struct lease *lease, struct err *err)
{
	(void)virt_fail(lease, VIRT_READ, err);
	return err->kind == ERR_NOT_SUPPORTED_BY_DRIVER ? 0 : -1;
}

static int read_hostname(struct lease *lease, struct host_details *details, struct err *err)
{
	AUTO(free) char *name = virConnectGetHostname(lease->conn);
	if (!name)
		return excuse(lease, err);
	(void)snprintf(details->hostname, sizeof details->hostname, "%s", name);
	text_mask_malformed(details->hostname);
	return 0;
}

static int read_node(struct lease *lease, struct host_details *details, struct err *err)
{
	virNodeInfo node;
	if (virNodeGetInfo(lease->conn, &node) < 0)
		return excuse(lease, err);
	details->cpus = node.cpus;
	details->numa_nodes = node.nodes;
	details->sockets = node.sockets;
	details->cores = node.cores;
	details->threads = node.threads;
	details->memory_kib = (int64_t)node.memory;
	return 0;
}

static void set_memory(struct host_details *details, const virNodeMemoryStats *stat)
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
 * The kernel's own totals. Those of virNodeGetInfo() and virNodeGetFreeMemory() are summed up over
 * NUMA nodes, where libvirt 9.0.0 was seen to miss memory that was plugged in later.
 */
static int read_memory(struct lease *lease, struct host_details *details, struct err *err)
{
	int count = 0;
	if (virNodeGetMemoryStats(lease->conn, VIR_NODE_MEMORY_STATS_ALL_CELLS, NULL, &count, 0) <
		0)
		return excuse(lease, err);
	AUTO(free) virNodeMemoryStats *stats = calloc((size_t)count + 1, sizeof *stats);
	if (!stats)
		return err_memory(err);
	if (virNodeGetMemoryStats(lease->conn, VIR_NODE_MEMORY_STATS_ALL_CELLS, stats, &count, 0) <
		0)
		return virt_fail(lease, VIRT_READ, err);
	for (int i = 0; i < count; i++)
		set_memory(details, &stats[i]);
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

static int read_capabilities(struct lease *lease, struct host_details *details, struct err *err)
{
	AUTO(free) char *text = virConnectGetCapabilities(lease->conn);
	AUTO(xml_free) struct xml *doc = NULL;
	if (!text)
		return excuse(lease, err);
	if (xml_parse_trusted(text, &doc, err) < 0)
		return -1;
	struct xml_node *root = xml_root(doc);
	xml_copy_text(root, "host/cpu/arch", details->architecture, sizeof details->architecture);
	xml_copy_text(root, "host/cpu/model", details->cpu_model, sizeof details->cpu_model);
	(void)xml_each_at(root, "guest/arch", add_architecture, details);
	return 0;
}

static int read_details(struct lease *lease, void *data, struct err *err)
{
	struct host_details details = { .cpus = -1,
		.numa_nodes = -1,
		.sockets = -1,
		.cores = -1,
		.threads = -1,
		.memory_kib = -1,
		.memory_free_kib = -1,
		.memory_cached_kib = -1 };
	if (read_info(lease, &details.info, err) < 0 || read_hostname(lease, &details, err) < 0 ||
		read_node(lease, &details, err) < 0 || read_memory(lease, &details, err) < 0 ||
		read_capabilities(lease, &details, err) < 0 ||
		read_kvm(lease, &details.kvm, err) < 0)
		return -1;
	*(struct host_details *)data = details;
	return 0;
}

int host_info_read_details(struct hypervisor *hypervisor, struct host_details *ret, struct err *err)
{
	return lease_read(hypervisor, read_details, ret, err);
}
