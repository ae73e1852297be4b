/* SPDX-License-Identifier: MIT */
#include "libvirt/host_probe.h"

#include "base/combiner.h"
#include "libvirt/hypervisor.h"

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
		.thread = "probe-kvm",
		.run = probe_kvm,
		.data = hypervisor,
		.size = sizeof(bool),
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

static int ask_host(const struct host_probe *probe, struct combiner *combiner, int64_t wait_ms,
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
	case COMBINED_CROWD:
		break;
	}
	return err_set(err, ERR_HYPERVISOR_UNAVAILABLE,
		"host '%s' has not answered for %lld.%lld s", hypervisor_name(probe->hypervisor),
		(long long)ms / 1000, (long long)ms / 100 % 10);
}

int host_probe_read(
	struct host_probe *probe, int64_t wait_ms, struct host_info *ret, struct err *err)
{
	return ask_host(probe, probe->info, wait_ms, ret, err);
}

int host_probe_kvm(struct host_probe *probe, int64_t wait_ms, bool *ret, struct err *err)
{
	return ask_host(probe, probe->kvm, wait_ms, ret, err);
}
