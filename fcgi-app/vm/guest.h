/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Asking a guest to do something, where other calls act on its machine: which ways there are to be
 * heard by it, and asking. That libvirt took a request does not mean that the guest obeys.
 * Thread-safe: no state.
 */
#include "libvirt/domain.h"

enum guest_request { GUEST_SHUT_DOWN, GUEST_REBOOT, GUEST_REQUEST_COUNT };

/* What of a guest there is that can hear. */
struct guest_ways {
	bool acpi;  /* its machine has ACPI; whether the guest minds it, nobody knows */
	bool agent; /* its agent is connected */
};

enum guest_way { GUEST_BY_NONE, GUEST_BY_ACPI, GUEST_BY_AGENT };

/* Of a VM that is active. */
int guest_read_ways(struct lease *lease, virDomainPtr dom, struct guest_ways *ret, struct err *err);

/* ERR_CANNOT_SHUT_DOWN unless there is a way. */
int guest_check(enum guest_request request, const struct guest_ways *ways, struct err *err);

/*
 * Asks it by its agent if there is one, else by ACPI; by that, too, if the agent does not answer
 * within GUEST_AGENT_SECONDS. Else ERR_AGENT_UNAVAILABLE, or libvirt's refusal.
 */
enum { GUEST_AGENT_SECONDS = 5 };
int guest_ask(struct hold *hold, enum guest_request request, const struct guest_ways *ways,
	enum guest_way *ret, struct err *err);
