/* SPDX-License-Identifier: MIT */
#include "vm/host.h"

struct host *host_new(
	const char *name, const char *uri, int max_connections, int max_long, int64_t list_wait_ms)
{
	struct host *host = calloc(1, sizeof *host);
	if (!host)
		return NULL;
	host->hypervisor = hypervisor_new(name, uri, max_connections, max_long);
	if (host->hypervisor) {
		host->inventory = inventory_new(host->hypervisor, list_wait_ms);
		host->probe = host_probe_new(host->hypervisor);
	}
	if (host->inventory && host->probe)
		return host;
	host_free(host);
	return NULL;
}

void host_free(struct host *host)
{
	if (host->agents)
		agents_free(host->agents);
	if (host->events)
		events_free(host->events);
	if (host->probe)
		host_probe_free(host->probe);
	if (host->inventory)
		inventory_free(host->inventory);
	if (host->hypervisor)
		hypervisor_free(host->hypervisor);
	free(host);
}

int host_watch(struct host *host, struct err *err)
{
	host->events = events_new(host->hypervisor);
	host->agents = agents_new(host->hypervisor);
	return host->events && host->agents ? 0 : err_memory(err);
}
