/* SPDX-License-Identifier: MIT */
#include "libvirt/hypervisor.h"

#include <string.h>

/* RFC 3986 section 3.2: the host is what follows "//" up to the next '/', '?' or '#'. */
static bool has_host(const char *uri)
{
	const char *host = strstr(uri, "://");
	return host && !strchr("/?#", host[3]);
}

struct hypervisor *hypervisor_new(
	const char *name, const char *uri, int max_connections, int max_long)
{
	struct hypervisor *hypervisor = calloc(1, sizeof *hypervisor);
	if (!hypervisor)
		return NULL;
	hypervisor->name = strdup(name);
	hypervisor->local = !has_host(uri);
	hypervisor->leases = leases_new(uri, max_connections);
	hypervisor->gates = gates_new();
	if (hypervisor->leases)
		hypervisor->long_works =
			long_works_new(max_long, leases_max(hypervisor->leases) / 2);
	if (hypervisor->name && hypervisor->gates && hypervisor->long_works)
		return hypervisor;
	hypervisor_free(hypervisor);
	return NULL;
}

void hypervisor_free(struct hypervisor *hypervisor)
{
	if (hypervisor->leases)
		leases_free(hypervisor->leases);
	if (hypervisor->gates)
		gates_free(hypervisor->gates);
	if (hypervisor->long_works)
		long_works_free(hypervisor->long_works);
	free(hypervisor->name);
	free(hypervisor);
}

const char *hypervisor_name(const struct hypervisor *hypervisor)
{
	return hypervisor->name;
}

bool hypervisor_is_local(const struct hypervisor *hypervisor)
{
	return hypervisor->local;
}

struct hypervisor_load hypervisor_load(struct hypervisor *hypervisor)
{
	return (struct hypervisor_load){
		.leases = leases_load(hypervisor->leases),
		.gates = gates_load(hypervisor->gates),
		.long_works = long_works_load(hypervisor->long_works),
	};
}
