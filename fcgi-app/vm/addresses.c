/* SPDX-License-Identifier: MIT */
#include "vm/addresses.h"

#include <stdio.h>

const char *address_source_name(enum address_source source)
{
	static const char *const names[] = { ADDRESS_SOURCES(NAMED_ROW, NAMED_ROW) };
	return names[source];
}

int addresses_each(virDomainPtr dom, enum address_source source, address_fn *each, void *data)
{
	static const unsigned sources[] = {
		[ADDRESS_BY_AGENT] = VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT,
		[ADDRESS_BY_LEASE] = VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE,
		[ADDRESS_BY_ARP] = VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP,
	};
	virDomainInterfacePtr *interfaces = NULL;
	int count = virDomainInterfaceAddresses(dom, &interfaces, sources[source], 0);
	for (int i = 0; i < count; i++) {
		const virDomainInterface *interface = interfaces[i];
		for (unsigned k = 0; interface->hwaddr && k < interface->naddrs; k++) {
			const virDomainIPAddress *ip = &interface->addrs[k];
			struct vm_address address = {
				.v6 = ip->type == VIR_IP_ADDR_TYPE_IPV6,
				.prefix = ip->prefix,
				.source = source,
			};
			(void)snprintf(address.text, sizeof address.text, "%s", ip->addr);
			each(interface->hwaddr, &address, data);
		}
		virDomainInterfaceFree(interfaces[i]);
	}
	free(interfaces);
	return count < 0 ? -1 : 0;
}
