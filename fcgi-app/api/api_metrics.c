/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "libvirt/host_probe.h"

#include <string.h>

const struct field api_metrics_query[] = {
	{ "vms", .type = FIELD_FLAG,
		.says = "0: omits the metrics of VMs, so that libvirt is not asked" },
	{ 0 },
};

static void put_process(const struct api *api, FILE *out)
{
	static const struct metric_label version = { "version", VIRTGATE_VERSION };
	metric_head(out, "virtgate_build_info", METRIC_GAUGE, "virtgate's version; always 1.");
	metric_sample(out, "virtgate_build_info", &version, 1, 1);
	metrics_put_process(api->metrics, out);
	metrics_put_requests(api->metrics, out);
	metric_put(out, "virtgate_workers", METRIC_GAUGE,
		"Threads that answer requests, one request each.", api->config->workers);
	metric_put(out, "virtgate_workers_stuck", METRIC_GAUGE,
		"Threads that still work on a request that was answered 504.",
		atomic_load(&api->stuck));
}

static void put_leases(const struct leases_load *load, const char *host, FILE *out)
{
	static const char *const names[] = {
		[LEASE_READ] = "read",
		[LEASE_CALL] = "call",
		[LEASE_KILL] = "kill",
	};
	_Static_assert(ARRAY_LEN(names) == LEASE_CLASS_COUNT, "a name for each");
	metric_head(out, "virtgate_libvirt_connections_leased", METRIC_GAUGE,
		"Connections in use, by class: a call may hang in QEMU.");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct metric_label labels[] = { { "host", host }, { "class", names[i] } };
		metric_sample(out, "virtgate_libvirt_connections_leased", labels, ARRAY_LEN(labels),
			load->leased[i]);
	}
}

static void put_load(struct host *host, FILE *out)
{
	enum { MS = 1000 };
	struct hypervisor_load load = hypervisor_load(host->hypervisor);
	const struct metric_label label = { "host", hypervisor_name(host->hypervisor) };
	const struct {
		const char *name, *help;
		enum metric_kind kind;
		double value;
	} rows[] = {
		{ "virtgate_libvirt_connections",
			"Connections to libvirt, including one that is being opened.", METRIC_GAUGE,
			load.leases.open },
		{ "virtgate_libvirt_connections_max", "Maximum number of connections.",
			METRIC_GAUGE, load.leases.max },
		{ "virtgate_libvirt_waiting", "Requests that wait for a connection.", METRIC_GAUGE,
			load.leases.waiting },
		{ "virtgate_libvirt_refused_total", "Requests that did not get a connection.",
			METRIC_COUNTER, (double)load.leases.refused },
		{ "virtgate_libvirt_opens_total", "Attempts to open a connection.", METRIC_COUNTER,
			(double)load.leases.opener.attempts },
		{ "virtgate_libvirt_open_failures_total",
			"Attempts to open a connection that failed.", METRIC_COUNTER,
			(double)load.leases.opener.failures },
		{ "virtgate_libvirt_opening_seconds",
			"Duration of the current attempt to open a connection; 0: none.",
			METRIC_GAUGE, (double)load.leases.opener.opening_ms / MS },
		{ "virtgate_libvirt_pause_seconds",
			"Approximate time until the next attempt after a failure; 0: no failure.",
			METRIC_GAUGE, (double)load.leases.opener.pause_ms / MS },
		{ "virtgate_libvirt_opens_given_up",
			"Attempts to open a connection that hang and were given up.", METRIC_GAUGE,
			load.leases.opener.given_up },
		{ "virtgate_long_work",
			"Running requests that may take minutes: saves, and waiting stops.",
			METRIC_GAUGE, load.long_works.running },
		{ "virtgate_long_work_max", "Maximum number of such requests that hold a worker.",
			METRIC_GAUGE, load.long_works.max },
		{ "virtgate_gates_held", "VMs that are locked by a request.", METRIC_GAUGE,
			load.gates.held },
		{ "virtgate_gates_waiting", "Requests that wait for the lock of a VM.",
			METRIC_GAUGE, load.gates.waiting },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		metric_head(out, rows[i].name, rows[i].kind, rows[i].help);
		metric_sample(out, rows[i].name, &label, 1, rows[i].value);
	}
	put_leases(&load.leases, label.value, out);
}

/* VMs */

/* false: the VM has no such value. */
typedef bool vm_value_fn(const struct vm *vm, double *ret);

static bool value_of_state(const struct vm *vm, double *ret)
{
	(void)vm;
	*ret = 1;
	return true;
}

static bool value_of_vcpus(const struct vm *vm, double *ret)
{
	*ret = vm->vcpus;
	return vm->sized;
}

static bool value_of_memory(const struct vm *vm, double *ret)
{
	enum { KIB = 1024 };
	*ret = (double)vm->memory_kib * KIB;
	return vm->sized;
}

static void put_each_vm(const struct vm_list *list, const char *host, FILE *out)
{
	static const struct {
		const char *name, *help;
		vm_value_fn *value;
	} rows[] = {
		{ "virtgate_vm_state", "Always 1; the label has the VM's state.", value_of_state },
		{ "virtgate_vm_vcpus", "The VM's virtual CPUs.", value_of_vcpus },
		{ "virtgate_vm_memory_bytes", "The VM's maximum memory.", value_of_memory },
	};
	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		metric_head(out, rows[r].name, METRIC_GAUGE, rows[r].help);
		for (size_t i = 0; i < list->count; i++) {
			const struct vm *vm = &list->vms[i];
			const struct metric_label labels[] = { { "host", host },
				{ "uuid", vm->uuid }, { "name", vm->name },
				{ "state", vm_state_name(vm->state) } };
			double value = 0;
			if (rows[r].value(vm, &value))
				metric_sample(out, rows[r].name, labels,
					rows[r].value == value_of_state ? 4 : 3, value);
		}
	}
}

static void put_vms(const struct vm_list *list, const char *host, FILE *out)
{
	const struct metric_label of_host = { "host", host };
	size_t counts[VM_STATE_COUNT];
	vm_list_count(list, counts);
	metric_head(out, "virtgate_vms", METRIC_GAUGE, "Number of VMs by state.");
	for (int state = 0; state < VM_STATE_COUNT; state++) {
		const struct metric_label labels[] = { of_host, { "state", vm_state_name(state) } };
		metric_sample(
			out, "virtgate_vms", labels, ARRAY_LEN(labels), (double)counts[state]);
	}
	bool each = list->count <= API_METRICS_VMS_MAX;
	metric_head(out, "virtgate_vms_shown", METRIC_GAUGE,
		"1: each VM has its own samples; 0: there are too many VMs.");
	metric_sample(out, "virtgate_vms_shown", &of_host, 1, each);
	if (each)
		put_each_vm(list, host, out);
}

/*
 * The inventory's connections could change VMs, but its calls only list and read: none of them
 * takes a gate, enters a QEMU monitor or writes. A read-only connection of its own would be one
 * more to open, which can hang, and the figures would not be those that GET /v1/vms has.
 */
static void put_inventory(const struct api *api, FILE *out)
{
	AUTO(vm_list_give) struct vm_list *list = NULL;
	struct host_info info;
	struct err ignored; /* the metric only says that the host is down; /readyz says why */
	const struct metric_label of_host = { "host", hypervisor_name(api->host->hypervisor) };
	int age = 0;
	bool up = !inventory_list(api->host->inventory, INVENTORY_STALE_OK, &list, &age, &ignored);
	/* A list also waits for a VM that is being destroyed, when all is well. */
	if (age)
		up = !host_probe_read(api->host->probe, HOST_PROBE_MS, &info, &ignored);
	metric_head(out, "virtgate_host_up", METRIC_GAUGE, "1: libvirt answers.");
	metric_sample(out, "virtgate_host_up", &of_host, 1, up);
	if (!list)
		return;
	metric_head(out, "virtgate_inventory_age_seconds", METRIC_GAUGE,
		"Age of the VMs' figures; 0: fetched for this request.");
	metric_sample(out, "virtgate_inventory_age_seconds", &of_host, 1, age);
	put_vms(list, of_host.value, out);
}

static void put_fetches(const struct api *api, FILE *out)
{
	static const char lists[] = "virtgate_inventory_lists_total";
	struct inventory_figures figures = inventory_figures(api->host->inventory);
	const struct metric_label of_host = { "host", hypervisor_name(api->host->hypervisor) };
	const struct metric_label fresh[] = { of_host, { "stale", "false" } };
	const struct metric_label stale[] = { of_host, { "stale", "true" } };
	metric_head(out, "virtgate_inventory_fetches_total", METRIC_COUNTER,
		"Number of times that libvirt listed all VMs.");
	metric_sample(
		out, "virtgate_inventory_fetches_total", &of_host, 1, (double)figures.fetches);
	metric_head(out, lists, METRIC_COUNTER, "Requests answered from such a listing.");
	metric_sample(out, lists, fresh, ARRAY_LEN(fresh), (double)figures.fresh);
	metric_sample(out, lists, stale, ARRAY_LEN(stale), (double)figures.stale);
}

int api_metrics_get(struct api_call *call, struct api_reply *reply, struct err *err)
{
	FILE *out = open_memstream(&reply->body, &reply->body_len);
	if (!out)
		return err_memory(err);
	put_process(call->api, out);
	put_load(call->api->host, out);
	put_fetches(call->api, out);
	if (api_flag(call, "vms", true))
		put_inventory(call->api, out);
	reply->type = METRICS_TYPE;
	bool failed = ferror(out);
	return fclose(out) || failed ? err_memory(err) : 0;
}
