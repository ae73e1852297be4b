/* SPDX-License-Identifier: MIT */
#include "definition/domain_schema.h"

/* The package of libvirt's library, on which virtgate depends, contains the schemas. */
#define SCHEMA "/usr/share/libvirt/schemas/domain.rng"

int domain_schema_check(const struct xml *domain, bool *ret_checked, struct err *err)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct xml_schema *schema;
	struct err ignored;
	AUTO(xml_free) struct xml *copy = xml_copy_without(domain, "metadata");
	if (!copy)
		return err_memory(err);
	LOCK(&lock);
	*ret_checked = schema || !xml_schema_load(SCHEMA, &schema, &ignored);
	return *ret_checked ? xml_validate(copy, schema, err) : 0;
}

int domain_schema_check_defined(
	const struct lease *lease, const struct xml *domain, bool *ret_left, struct err *err)
{
	unsigned long own = 0;
	bool checked = false;
	bool same = !virGetVersion(&own, NULL, NULL) && own == lease_libvirt_version(lease);
	if (same && domain_schema_check(domain, &checked, err) < 0)
		return -1;
	*ret_left = !checked;
	return 0;
}
