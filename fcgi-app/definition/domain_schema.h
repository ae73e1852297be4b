/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * libvirt's schema for domains: the library's here, and so of its version. It is read once and used
 * by one thread at a time. What <metadata> contains is not checked: the schema allows anything
 * there, but to find that out takes time in proportion to the square of the content.
 */
#include "libvirt/lease.h"

#include "format/xml.h"

/*
 * Checks a domain. ERR_INVALID_XML: the schema refuses it. *ret_checked is false if there is no
 * schema here.
 */
int domain_schema_check(const struct xml *domain, bool *ret_checked, struct err *err);

/*
 * The same for a domain that is to be defined. *ret_left: libvirt has to check it, because it has
 * another version and so another schema. It should not otherwise: it reads its schema anew for each
 * domain, and does check <metadata>.
 */
int domain_schema_check_defined(
	const struct lease *lease, const struct xml *domain, bool *ret_left, struct err *err);
