/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Requests to the guest itself: by which ways it can be reached, and sending them. That libvirt
 * accepted a request does not mean that the guest obeys. Thread-safe: no state.
 */
#include "base/named.h"
#include "libvirt/domain.h"

/*
 * How a VM is stopped or rebooted. GUEST_NONE is "auto" in a request: the best way there is; and
 * "none" in an answer: nothing had to be done.
 */
#define GUEST_WAYS(NEXT) \
	NEXT(GUEST_ACPI, "acpi") \
	NEXT(GUEST_AGENT, "agent") \
	NEXT(GUEST_KILL, "kill")
enum guest_way { GUEST_NONE, GUEST_WAYS(NAMED_VALUE) GUEST_WAY_COUNT };
#define GUEST_MODE_NAMES "auto" GUEST_WAYS(NAMED_NEXT)
#define GUEST_WAY_NAMES "none" GUEST_WAYS(NAMED_NEXT)
const char *guest_way_name(enum guest_way way);
enum guest_way guest_way_of(const char *name); /* NULL, "auto": GUEST_NONE */

/*
 * The ways to reach the guest of an active VM, as a set of 1U << enum guest_way: GUEST_ACPI when
 * the VM has ACPI, even if the guest ignores it; GUEST_AGENT while the agent is connected.
 */
int guest_read_ways(struct lease *lease, virDomainPtr dom, unsigned *ret, struct err *err);

enum guest_request { GUEST_SHUT_DOWN, GUEST_REBOOT, GUEST_REQUEST_COUNT };

/* ERR_CANNOT_SHUT_DOWN if there is no way. */
int guest_check_ways(enum guest_request request, unsigned ways, struct err *err);

/*
 * Sends the request through the agent if that is among the ways, else by ACPI; by ACPI too if the
 * agent does not answer within GUEST_AGENT_SECONDS. *ret is the way that was taken. Errors:
 * ERR_AGENT_UNAVAILABLE, or libvirt's refusal.
 */
enum { GUEST_AGENT_SECONDS = 5 };
int guest_ask(struct hold *hold, enum guest_request request, unsigned ways, enum guest_way *ret,
	struct err *err);
