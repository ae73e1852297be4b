/* SPDX-License-Identifier: MIT */
#pragma once
/* The addresses of a VM's interfaces, from one of several sources. Thread-safe: no state. */
#include "base/named.h"
#include "libvirt/virt.h"

/* The better ones first. */
#define ADDRESS_SOURCES(FIRST, NEXT) \
	FIRST(ADDRESS_BY_AGENT, "agent") \
	NEXT(ADDRESS_BY_LEASE, "lease") \
	NEXT(ADDRESS_BY_ARP, "arp")
enum address_source { ADDRESS_SOURCES(NAMED_VALUE, NAMED_VALUE) };
#define ADDRESS_SOURCE_NAMES ADDRESS_SOURCES(NAMED_FIRST, NAMED_NEXT)
const char *address_source_name(enum address_source source);

struct vm_address {
	char text[46]; /* the longest IPv6 address in text, as INET6_ADDRSTRLEN */
	bool v6;
	unsigned prefix;
	enum address_source source;
};

enum { VM_ADDRESSES_MAX = 32 }; /* of one interface; further ones are left out */

/*
 * Calls each() for every address that virDomainInterfaceAddresses() reports. -1: libvirt failed,
 * and virt_fail() gives the error.
 */
typedef void address_fn(const char *mac, const struct vm_address *address, void *data);
int addresses_each(virDomainPtr dom, enum address_source source, address_fn *each, void *data);
