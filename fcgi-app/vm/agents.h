/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What guests' agents say of their addresses. An agent may take its time or never answer, so one
 * thread asks, on a connection that it leases, one after the other; nobody waits for it, and what
 * is told is what was said last. All functions may be called from any thread.
 */
#include "vm/addresses.h"

enum {
	AGENTS_FRESH_MS = 60000,  /* what was said earlier is not told any more */
	AGENTS_ASK_MS = 5000,     /* nor is one asked again sooner */
	AGENTS_ANSWER_SECONDS = 5 /* that an agent has to answer in */
};

struct agents;
struct agents *agents_new(struct hypervisor *hypervisor); /* NULL: no memory, no thread */
void agents_free(struct agents *agents); /* waits for the agent that is being asked */

/*
 * Calls each() for what the agent of this VM said, and lets it be asked again soon; id is libvirt's
 * of the domain that runs: after a restart the guest may be another.
 */
void agents_tell(struct agents *agents, const char *uuid, int id, address_fn *each, void *data);
