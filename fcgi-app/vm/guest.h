/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Asking a guest to do something, where other calls act on its machine: which ways there are to be
 * heard by it, and asking. That libvirt took a request does not mean that the guest obeys.
 * Thread-safe: no state.
 */
#include "base/named.h"
#include "libvirt/domain.h"

enum guest_request { GUEST_SHUT_DOWN, GUEST_REBOOT, GUEST_REQUEST_COUNT };

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

/* ERR_CANNOT_SHUT_DOWN unless there is a way. */
int guest_check(enum guest_request request, unsigned ways, struct err *err);

/*
 * Asks it by its agent if there is one, else by ACPI; by that, too, if the agent does not answer
 * within GUEST_AGENT_SECONDS. Else ERR_AGENT_UNAVAILABLE, or libvirt's refusal.
 */
enum { GUEST_AGENT_SECONDS = 5 };
int guest_ask(struct hold *hold, enum guest_request request, unsigned ways, enum guest_way *ret,
	struct err *err);
