/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The addresses that guests' agents report. An agent may be slow or never answer, so one thread
 * queries the agents one after the other, on a leased connection. Callers get the last answers and
 * never wait. All functions may be called from any thread.
 */
#include "vm/addresses.h"

enum {
	AGENTS_FRESH_MS = 60000,  /* an older answer is not used */
	AGENTS_QUERY_MS = 5000,   /* the least time between two queries of one agent */
	AGENTS_ANSWER_SECONDS = 5 /* libvirt's timeout for one query */
};

struct agents;
struct agents *agents_new(struct hypervisor *hypervisor); /* NULL: memory, or no thread */
void agents_free(struct agents *agents);                  /* waits until the running query ends */

/*
 * Calls each() for every address in the agent's last answer, and queues a new query. id is
 * libvirt's of the running domain: after a restart, the VM may have another guest.
 */
void agents_each_address(
	struct agents *agents, const char *uuid, int id, address_fn *each, void *data);
