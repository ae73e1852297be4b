/* SPDX-License-Identifier: MIT */
#include "vm/guest.h"

#include <string.h>

static const char *const way_names[] = { [GUEST_NONE] = "none", GUEST_WAYS(NAMED_ROW) };
_Static_assert(ARRAY_LEN(way_names) == GUEST_WAY_COUNT, "a name per way");

static const struct {
	int (*call)(virDomainPtr, unsigned flags);
	unsigned by_acpi, by_agent;
	const char *otherwise; /* what helps when there is no way to ask */
} requests[] = {
	[GUEST_SHUT_DOWN] = { virDomainShutdownFlags, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN,
		VIR_DOMAIN_SHUTDOWN_GUEST_AGENT, "{\"mode\":\"kill\"} stops the VM at once" },
	[GUEST_REBOOT] = { virDomainReboot, VIR_DOMAIN_REBOOT_ACPI_POWER_BTN,
		VIR_DOMAIN_REBOOT_GUEST_AGENT,
		"POST /v1/vms/{ref}/reset restarts it without asking" },
};
_Static_assert(ARRAY_LEN(requests) == GUEST_REQUEST_COUNT, "a row per request");

const char *guest_way_name(enum guest_way way)
{
	return way_names[way];
}

enum guest_way guest_way_of(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_LEN(way_names); i++)
		if (!strcmp(name, way_names[i]))
			return (enum guest_way)i;
	return GUEST_NONE;
}

/* Only the XML of an active VM has the state of the channel. */
static bool is_connected_agent(const struct xml_node *channel)
{
	const struct xml_node *target = xml_child(channel, "target");
	AUTO(free) char *name = target ? xml_attr(target, "name") : NULL;
	AUTO(free) char *state = target ? xml_attr(target, "state") : NULL;
	return name && state && !strcmp(name, "org.qemu.guest_agent.0") &&
		!strcmp(state, "connected");
}

int guest_read_ways(struct lease *lease, virDomainPtr dom, unsigned *ret, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	if (domain_read_xml(lease, dom, 0, &doc, err) < 0)
		return -1;
	const struct xml_node *channel = xml_find(xml_root(doc), "devices/channel");
	while (channel && !is_connected_agent(channel))
		channel = xml_next(channel);
	*ret = (xml_find(xml_root(doc), "features/acpi") ? 1U << GUEST_ACPI : 0) |
		(channel ? 1U << GUEST_AGENT : 0);
	return 0;
}

int guest_check_ways(enum guest_request request, unsigned ways, struct err *err)
{
	if (ways)
		return 0;
	(void)err_set(err, ERR_CANNOT_SHUT_DOWN,
		"the guest cannot receive the request: the VM has neither ACPI nor a connected "
		"guest agent");
	return err_hint(err, "%s", requests[request].otherwise);
}

static int ask_by_agent(struct hold *hold, enum guest_request request, struct err *err)
{
	/* Without a timeout, libvirt waits for ever for an agent that hangs. */
	(void)virDomainAgentSetResponseTimeout(hold->dom, GUEST_AGENT_SECONDS, 0);
	int rc = requests[request].call(hold->dom, requests[request].by_agent);
	if (rc < 0)
		(void)virt_fail(&hold->lease, VIRT_ACT, err);
	/* The timeout is the domain's, for all clients: a freeze of another may take longer. */
	(void)virDomainAgentSetResponseTimeout(
		hold->dom, VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK, 0);
	return rc;
}

int guest_ask(struct hold *hold, enum guest_request request, unsigned ways, enum guest_way *ret,
	struct err *err)
{
	if (ways & 1U << GUEST_AGENT) {
		if (!ask_by_agent(hold, request, err)) {
			*ret = GUEST_AGENT;
			return 0;
		}
		if (err->kind != ERR_AGENT_UNAVAILABLE || !(ways & 1U << GUEST_ACPI))
			return -1;
	}
	/* The test driver has one way only, and refuses flags. */
	unsigned flags = virt_is_test(&hold->lease) ? 0 : requests[request].by_acpi;
	if (requests[request].call(hold->dom, flags) < 0)
		return virt_fail(&hold->lease, VIRT_ACT, err);
	*ret = GUEST_ACPI;
	return 0;
}
