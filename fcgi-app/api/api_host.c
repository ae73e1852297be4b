/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "libvirt/host_info.h"

#include <string.h>

/* GET /v1. What an unreachable host did not say is "" or -1. */
struct about_features {
	int kvm, simulated; /* true, false or -1 */
	int accel;
	bool policy;
};

struct about_host {
	const char *name;
	bool reachable;
	struct host_info info;
};

/* -1: no limit that virtgate sets. */
struct about_limits {
	int64_t memory_kib, vcpus, vms, disk_bytes;
};

struct about {
	const char *name, *version, *user, *role, *openapi;
	size_t host_count;
	struct about_host hosts[1];
	struct about_features features;
	struct about_limits limits;
};

/* What a client would do differently by; which paths there are, the OpenAPI document says. */
static const struct field feature_fields[] = {
	{ "kvm", .type = FIELD_FLAG, FROM(struct about_features, kvm), .nullable = true,
		.says = "VMs can run with KVM; null: the host has not answered" },
	{ "simulated", .type = FIELD_FLAG, FROM(struct about_features, simulated), .nullable = true,
		.says = "the host is libvirt's test driver, which only simulates VMs; null: the "
			"host has not answered" },
	{ "accel", .type = FIELD_WORD, FROM(struct about_features, accel), .words = ACCEL_NAMES,
		.says = "how virtgate chooses a domain's type (VIRTGATE_ACCEL)" },
	{ "policy", .type = FIELD_FLAG, FROM(struct about_features, policy),
		.says = "virtgate checks domain XML by its policy (VIRTGATE_POLICY)" },
	{ 0 },
};

static const struct field limit_fields[] = {
	{ "memory_kib", FIELD_COUNT, FROM(struct about_limits, memory_kib),
		.says = "memory of a VM (VIRTGATE_MAX_MEMORY); null: as much as the host has" },
	{ "vcpus", FIELD_COUNT, FROM(struct about_limits, vcpus),
		.says = "CPUs of a VM (VIRTGATE_MAX_VCPUS)" },
	{ "vms", FIELD_COUNT, FROM(struct about_limits, vms),
		.says = "VMs on the host (VIRTGATE_MAX_VMS); null: no limit" },
	{ "disk_bytes", FIELD_COUNT, FROM(struct about_limits, disk_bytes),
		.says = "capacity of an image that virtgate makes (VIRTGATE_MAX_DISK)" },
	{ 0 },
};

static const struct field host_fields[] = {
	{ "name", .type = FIELD_TEXT, FROM(struct about_host, name), .example = "\"local\"" },
	{ "reachable", .type = FIELD_FLAG, FROM(struct about_host, reachable) },
	{ "driver", .type = FIELD_TEXT, FROM(struct about_host, info.driver), .nullable = true,
		.example = "\"QEMU\"" },
	{ "driver_version", .type = FIELD_TEXT, FROM(struct about_host, info.driver_version),
		.nullable = true, .example = "\"7.2.0\"" },
	{ "libvirt_version", .type = FIELD_TEXT, FROM(struct about_host, info.libvirt_version),
		.nullable = true, .example = "\"9.0.0\"" },
	{ 0 },
};

const struct field api_host_about_answer[] = {
	{ "name", .type = FIELD_TEXT, FROM(struct about, name), .example = "\"virtgate\"" },
	{ "version", .type = FIELD_TEXT, FROM(struct about, version) },
	{ "user", .type = FIELD_TEXT, FROM(struct about, user),
		.says = "the user that made this request", .example = "\"alice\"" },
	{ "role", .type = FIELD_WORD, FROM(struct about, role), .words = "viewer|operator|admin" },
	{ "hosts", .type = FIELD_LIST, .of = host_fields,
		FROM_LIST(struct about, hosts, host_count) },
	{ "features", .type = FIELD_OBJECT, .of = feature_fields, FROM(struct about, features) },
	{ "limits", .type = FIELD_OBJECT, .of = limit_fields, FROM(struct about, limits),
		.says = "what a request can ask for at most, whatever the caller's role" },
	{ "openapi", .type = FIELD_TEXT, FROM(struct about, openapi),
		.says = "the path of the OpenAPI document", .example = "\"/v1/openapi.json\"" },
	{ 0 },
};

struct counts {
	size_t total;
	size_t states[VM_STATE_COUNT];
	bool stale;
};

#define COUNT_ROW(state, name) { name, .type = FIELD_NUMBER, FROM(struct counts, states[state]) },
static const struct field count_fields[] = {
	{ "total", .type = FIELD_NUMBER, FROM(struct counts, total) },
	VM_STATES(COUNT_ROW, COUNT_ROW){ "stale", .type = FIELD_FLAG, FROM(struct counts, stale),
		.says = "the numbers were counted before the request arrived; the header Age says "
			"how long before",
		.example = "false" },
	{ 0 },
};

struct host_answer {
	const char *name;
	struct host_details details;
	struct counts vms;
};

const struct field api_host_get_answer[] = {
	{ "name", .type = FIELD_TEXT, FROM(struct host_answer, name), .example = "\"local\"" },
	{ "hostname", .type = FIELD_TEXT, FROM(struct host_answer, details.hostname),
		.nullable = true, .says = "the host's own name" },
	{ "driver", .type = FIELD_TEXT, FROM(struct host_answer, details.info.driver),
		.example = "\"QEMU\"" },
	{ "driver_version", .type = FIELD_TEXT,
		FROM(struct host_answer, details.info.driver_version), .example = "\"7.2.0\"" },
	{ "libvirt_version", .type = FIELD_TEXT,
		FROM(struct host_answer, details.info.libvirt_version), .example = "\"9.0.0\"" },
	{ "architecture", .type = FIELD_TEXT, FROM(struct host_answer, details.architecture),
		.nullable = true, .example = "\"x86_64\"" },
	{ "architectures", .type = FIELD_TEXTS,
		FROM_LIST(struct host_answer, details.architectures, details.architecture_count),
		.says = "architectures that guests can have" },
	{ "kvm", .type = FIELD_FLAG, FROM(struct host_answer, details.kvm),
		.says = "guests of the host's architecture can run with KVM" },
	{ "cpu_model", .type = FIELD_TEXT, FROM(struct host_answer, details.cpu_model),
		.nullable = true, .says = "CPU model, by libvirt's name" },
	{ "cpus", FIELD_COUNT, FROM(struct host_answer, details.cpus),
		.says = "logical CPUs that are online" },
	{ "numa_nodes", FIELD_COUNT, FROM(struct host_answer, details.numa_nodes) },
	{ "sockets", FIELD_COUNT, FROM(struct host_answer, details.sockets),
		.says = "per NUMA node" },
	{ "cores", FIELD_COUNT, FROM(struct host_answer, details.cores), .says = "per socket" },
	{ "threads", FIELD_COUNT, FROM(struct host_answer, details.threads), .says = "per core" },
	{ "memory_kib", FIELD_COUNT, FROM(struct host_answer, details.memory_kib) },
	{ "memory_free_kib", FIELD_COUNT, FROM(struct host_answer, details.memory_free_kib),
		.says = "free memory, without the file cache" },
	{ "memory_cached_kib", FIELD_COUNT, FROM(struct host_answer, details.memory_cached_kib),
		.says = "memory that caches files; the kernel frees most of it on demand" },
	{ "vms", .type = FIELD_OBJECT, .of = count_fields, FROM(struct host_answer, vms),
		.says = "number of VMs by state" },
	{ 0 },
};

/* A problem is an error, or no answer at all. */
static struct json *host_true(const void *data, const void *context)
{
	(void)data;
	(void)context;
	return json_new_bool(true);
}

const struct field api_host_healthz_answer[] = {
	{ "alive", .type = FIELD_FLAG, .get = host_true },
	{ 0 },
};

const struct field api_host_readyz_answer[] = {
	{ "ready", .type = FIELD_FLAG, .get = host_true },
	{ 0 },
};

const struct field api_host_shutdown_answer[] = {
	{ "draining", .type = FIELD_FLAG, .get = host_true },
	{ 0 },
};

/* Where no setting bounds them, a spec does (spec.c). */
static struct about_limits limits_of(const struct config *config)
{
	enum { KIB_PER_MIB = 1024, SPEC_VCPUS = 256, SPEC_DISK_GIB = 1 << 16 };
	int disk_gib = config->max_disk ? config->max_disk : SPEC_DISK_GIB;
	return (struct about_limits){
		.memory_kib = config->max_memory ? (int64_t)config->max_memory * KIB_PER_MIB : -1,
		.vcpus = config->max_vcpus ? config->max_vcpus : SPEC_VCPUS,
		.vms = config->max_vms ? config->max_vms : -1,
		.disk_bytes = (int64_t)disk_gib << 30,
	};
}

int api_host_about(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct host *host = call->api->host;
	struct about about = {
		.name = "virtgate",
		.version = VIRTGATE_VERSION,
		.user = call->req->user,
		.role = api_role_name(call->role),
		.openapi = "/v1/openapi.json",
		.host_count = ARRAY_LEN(about.hosts),
		.hosts = { { .name = hypervisor_name(host->hypervisor) } },
		.features = { -1, -1, call->api->config->accel,
			call->api->config->policy == POLICY_ON },
		.limits = limits_of(call->api->config),
	};
	struct about_host *seen = &about.hosts[0];
	struct err ignored; /* /readyz reports it */
	bool kvm = false;
	seen->reachable = !host_probe_read(host->probe, HOST_PROBE_MS, &seen->info, &ignored);
	if (seen->reachable)
		about.features.simulated = !strcmp(seen->info.driver, "TEST");
	if (seen->reachable && !host_probe_kvm(host->probe, HOST_PROBE_MS, &kvm, &ignored))
		about.features.kvm = kvm;
	return api_reply_answer(call, &about, reply, err);
}

int api_host_get(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct host *host = call->api->host;
	struct host_answer answer = { .name = hypervisor_name(host->hypervisor) };
	AUTO(vm_list_give) struct vm_list *list = NULL;
	if (host_info_read_details(host->hypervisor, &answer.details, err) < 0 ||
		inventory_list(host->inventory, api_need(call), &list, &reply->age, err) < 0)
		return -1;
	answer.vms.total = list->count;
	vm_list_count(list, answer.vms.states);
	answer.vms.stale = reply->age > 0;
	return api_reply_answer(call, &answer, reply, err);
}

int api_host_healthz(struct api_call *call, struct api_reply *reply, struct err *err)
{
	return api_reply_answer(call, NULL, reply, err);
}

int api_host_readyz(struct api_call *call, struct api_reply *reply, struct err *err)
{
	struct host_info info;
	if (atomic_load(&call->api->draining))
		return err_set(err, ERR_DRAINING, "virtgate is stopping");
	int stuck = atomic_load(&call->api->stuck);
	if (stuck >= call->api->config->workers)
		return err_set(err, ERR_OVERLOADED,
			"%d requests are stuck, so no thread is free for others", stuck);
	if (host_probe_read(call->api->host->probe, HOST_PROBE_MS, &info, err) < 0)
		return -1;
	return api_reply_answer(call, NULL, reply, err);
}

int api_host_shutdown(struct api_call *call, struct api_reply *reply, struct err *err)
{
	reply->stop = true;
	return api_reply_answer(call, NULL, reply, err);
}
