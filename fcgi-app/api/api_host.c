/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "libvirt/host_info.h"

#include <string.h>

/* What a client would do differently by; which paths there are, the OpenAPI document says. */
static const struct field feature_fields[] = {
	{ "kvm", .type = FIELD_FLAG, .nullable = true,
		.says = "VMs can run with KVM; null: the host does not say" },
	{ "simulated", .type = FIELD_FLAG, .nullable = true,
		.says = "the host is libvirt's test driver: VMs are only pretended" },
	{ "accel", .type = FIELD_WORD, .words = "auto|as-written|tcg",
		.says = "what becomes of a domain's type: VIRTGATE_ACCEL" },
	{ "policy", .type = FIELD_FLAG, .says = "domain XML is checked: VIRTGATE_POLICY" },
	{ 0 },
};

static const struct field host_fields[] = {
	{ "name", .type = FIELD_TEXT, .example = "\"local\"" },
	{ "reachable", .type = FIELD_FLAG },
	{ "driver", .type = FIELD_TEXT, .nullable = true, .example = "\"QEMU\"" },
	{ "driver_version", .type = FIELD_TEXT, .nullable = true, .example = "\"7.2.0\"" },
	{ "libvirt_version", .type = FIELD_TEXT, .nullable = true, .example = "\"9.0.0\"" },
	{ 0 },
};

const struct field api_host_about_answer[] = {
	{ "name", .type = FIELD_TEXT, .example = "\"virtgate\"" },
	{ "version", .type = FIELD_TEXT },
	{ "user", .type = FIELD_TEXT, .says = "who is asking", .example = "\"alice\"" },
	{ "role", .type = FIELD_WORD, .words = "viewer|operator|admin" },
	{ "hosts", .type = FIELD_LIST, .of = host_fields },
	{ "features", .type = FIELD_OBJECT, .of = feature_fields },
	{ "openapi", .type = FIELD_TEXT, .says = "where all paths are described",
		.example = "\"/v1/openapi.json\"" },
	{ 0 },
};

static const struct field count_fields[] = {
	{ "total", .type = FIELD_NUMBER },
	{ "unknown", .type = FIELD_NUMBER },
	{ "running", .type = FIELD_NUMBER },
	{ "paused", .type = FIELD_NUMBER },
	{ "shutdown", .type = FIELD_NUMBER },
	{ "shutoff", .type = FIELD_NUMBER },
	{ "crashed", .type = FIELD_NUMBER },
	{ "pmsuspended", .type = FIELD_NUMBER },
	{ "stale", .type = FIELD_FLAG,
		.says = "they are not of now but as old as the header Age says",
		.example = "false" },
	{ 0 },
};

const struct field api_host_get_answer[] = {
	{ "name", .type = FIELD_TEXT, .example = "\"local\"" },
	{ "hostname", .type = FIELD_TEXT, .nullable = true, .says = "as the host calls itself" },
	{ "driver", .type = FIELD_TEXT, .example = "\"QEMU\"" },
	{ "driver_version", .type = FIELD_TEXT, .example = "\"7.2.0\"" },
	{ "libvirt_version", .type = FIELD_TEXT, .example = "\"9.0.0\"" },
	{ "architecture", .type = FIELD_TEXT, .nullable = true, .example = "\"x86_64\"" },
	{ "architectures", .type = FIELD_TEXTS, .says = "that guests may have" },
	{ "kvm", .type = FIELD_FLAG, .says = "guests of its own architecture can run with KVM" },
	{ "cpu_model", .type = FIELD_TEXT, .nullable = true, .says = "as libvirt names it" },
	{ "cpus", FIELD_COUNT, .says = "logical ones that are on" },
	{ "numa_nodes", FIELD_COUNT },
	{ "sockets", FIELD_COUNT, .says = "of each node" },
	{ "cores", FIELD_COUNT, .says = "of each socket" },
	{ "threads", FIELD_COUNT, .says = "of each core" },
	{ "memory_kib", FIELD_COUNT },
	{ "memory_free_kib", FIELD_COUNT,
		.says = "that nothing uses, not even the kernel's cache" },
	{ "memory_cached_kib", FIELD_COUNT,
		.says = "that the kernel's cache of files uses, and mostly gives up when asked" },
	{ "vms", .type = FIELD_OBJECT, .of = count_fields, .says = "how many, by state" },
	{ 0 },
};

const struct field api_host_healthz_answer[] = {
	{ "alive", .type = FIELD_FLAG },
	{ 0 },
};

const struct field api_host_readyz_answer[] = {
	{ "ready", .type = FIELD_FLAG },
	{ 0 },
};

const struct field api_host_shutdown_answer[] = {
	{ "draining", .type = FIELD_FLAG },
	{ 0 },
};

/* What GET /v1 asks of the host, which may be out of reach. */
struct seen {
	bool reachable;
	struct host_info info;
	bool kvm_known;
	bool kvm;
};

static void look(struct host_probe *probe, struct seen *ret)
{
	struct err ignored; /* /readyz tells it */
	*ret = (struct seen){ 0 };
	ret->reachable = !host_probe_read(probe, HOST_PROBE_MS, &ret->info, &ignored);
	ret->kvm_known =
		ret->reachable && !host_probe_kvm(probe, HOST_PROBE_MS, &ret->kvm, &ignored);
}

static struct json *host_json(const struct host *host, const struct seen *seen)
{
	struct json *o = json_new_object();
	json_put_string(o, "name", hypervisor_name(host->hypervisor));
	json_put_bool(o, "reachable", seen->reachable);
	json_put_string(o, "driver", seen->reachable ? seen->info.driver : NULL);
	json_put_string(o, "driver_version", seen->reachable ? seen->info.driver_version : NULL);
	json_put_string(o, "libvirt_version", seen->reachable ? seen->info.libvirt_version : NULL);
	return o;
}

static void put_known(struct json *o, const char *name, bool known, bool value)
{
	if (known)
		json_put_bool(o, name, value);
	else
		json_put(o, name, NULL);
}

static struct json *features_json(const struct config *config, const struct seen *seen)
{
	static const char *const accels[] = {
		[ACCEL_AUTO] = "auto",
		[ACCEL_AS_WRITTEN] = "as-written",
		[ACCEL_TCG] = "tcg",
	};
	struct json *o = json_new_object();
	put_known(o, "kvm", seen->kvm_known, seen->kvm);
	put_known(o, "simulated", seen->reachable, !strcmp(seen->info.driver, "TEST"));
	json_put_string(o, "accel", accels[config->accel]);
	json_put_bool(o, "policy", config->policy == POLICY_ON);
	return o;
}

int api_host_about(struct api_call *call, struct api_reply *reply, struct err *err)
{
	struct seen seen;
	look(call->api->host->probe, &seen);
	struct json *hosts = json_new_array();
	json_push(hosts, host_json(call->api->host, &seen));
	struct json *answer = json_new_object();
	json_put_string(answer, "name", "virtgate");
	json_put_string(answer, "version", VIRTGATE_VERSION);
	json_put_string(answer, "user", call->req->user);
	json_put_string(answer, "role", api_role_name(call->role));
	json_put(answer, "hosts", hosts);
	json_put(answer, "features", features_json(call->api->config, &seen));
	json_put_string(answer, "openapi", "/v1/openapi.json");
	return api_reply_json(reply, answer, err);
}

static struct json *counts_json(const struct vm_list *list, bool stale)
{
	size_t counts[VM_STATE_COUNT] = { 0 };
	struct json *o = json_new_object();
	vm_list_count(list, counts);
	json_put_int(o, "total", (int64_t)list->count);
	for (int state = 0; state < VM_STATE_COUNT; state++)
		json_put_int(o, vm_state_name(state), (int64_t)counts[state]);
	json_put_bool(o, "stale", stale);
	return o;
}

static const char *or_null(const char *text)
{
	return *text ? text : NULL;
}

static struct json *details_json(const struct host *host, const struct host_details *details)
{
	struct json *architectures = json_new_array();
	for (size_t i = 0; i < details->architecture_count; i++)
		json_push_string(architectures, details->architectures[i]);
	struct json *o = json_new_object();
	json_put_string(o, "name", hypervisor_name(host->hypervisor));
	json_put_string(o, "hostname", or_null(details->hostname));
	json_put_string(o, "driver", details->info.driver);
	json_put_string(o, "driver_version", details->info.driver_version);
	json_put_string(o, "libvirt_version", details->info.libvirt_version);
	json_put_string(o, "architecture", or_null(details->architecture));
	json_put(o, "architectures", architectures);
	json_put_bool(o, "kvm", details->kvm);
	json_put_string(o, "cpu_model", or_null(details->cpu_model));
	json_put_count(o, "cpus", details->cpus);
	json_put_count(o, "numa_nodes", details->numa_nodes);
	json_put_count(o, "sockets", details->sockets);
	json_put_count(o, "cores", details->cores);
	json_put_count(o, "threads", details->threads);
	json_put_count(o, "memory_kib", details->memory_kib);
	json_put_count(o, "memory_free_kib", details->memory_free_kib);
	json_put_count(o, "memory_cached_kib", details->memory_cached_kib);
	return o;
}

int api_host_get(struct api_call *call, struct api_reply *reply, struct err *err)
{
	struct host_details details;
	AUTO(vm_list_give) struct vm_list *list = NULL;
	if (host_info_read_details(call->api->host->hypervisor, &details, err) < 0 ||
		inventory_list(
			call->api->host->inventory, api_need(call), &list, &reply->age, err) < 0)
		return -1;
	struct json *answer = details_json(call->api->host, &details);
	json_put(answer, "vms", counts_json(list, reply->age > 0));
	return api_reply_json(reply, answer, err);
}

int api_host_healthz(struct api_call *call, struct api_reply *reply, struct err *err)
{
	(void)call;
	struct json *answer = json_new_object();
	json_put_bool(answer, "alive", true);
	return api_reply_json(reply, answer, err);
}

int api_host_readyz(struct api_call *call, struct api_reply *reply, struct err *err)
{
	struct host_info info;
	if (atomic_load(&call->api->draining))
		return err_set(err, ERR_DRAINING, "virtgate is stopping");
	int stuck = atomic_load(&call->api->stuck);
	if (stuck >= call->api->config->workers)
		return err_set(err, ERR_OVERLOADED,
			"%d requests are stuck, and hold as many threads", stuck);
	if (host_probe_read(call->api->host->probe, HOST_PROBE_MS, &info, err) < 0)
		return -1;
	struct json *answer = json_new_object();
	json_put_bool(answer, "ready", true);
	return api_reply_json(reply, answer, err);
}

int api_host_shutdown(struct api_call *call, struct api_reply *reply, struct err *err)
{
	(void)call;
	struct json *answer = json_new_object();
	json_put_bool(answer, "draining", true);
	reply->stop = true;
	return api_reply_json(reply, answer, err);
}
