/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A host with its services: the hypervisor's connections and locks, the inventory that answers
 * lists, the probe, and the listeners to events and guest agents. Actions and reads take a host.
 *
 * Functions may be called from any thread; host_new() and host_free() only after virt_start().
 */
#include "libvirt/host_probe.h"
#include "libvirt/hypervisor.h"
#include "vm/agents.h"
#include "vm/events.h"
#include "vm/inventory.h"

struct host {
	struct hypervisor *hypervisor;
	struct inventory *inventory;
	struct host_probe *probe;
	struct events *events; /* NULL until host_watch() */
	struct agents *agents; /* NULL until host_watch() */
};

/*
 * Parameters as for hypervisor_new(); a list waits at most list_wait_ms for the hypervisor. NULL if
 * memory or threads run out.
 */
struct host *host_new(
	const char *name, const char *uri, int max_connections, int max_long, int64_t list_wait_ms);
void host_free(struct host *host); /* no lease may be out */
DEFINE_AUTO(struct host *, host_free)

/* Starts listening to events and asking guest agents. ERR_INTERNAL. */
int host_watch(struct host *host, struct err *err);
