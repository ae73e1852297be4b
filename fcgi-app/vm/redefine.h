/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Replacing a VM's definition. May be called from any thread.
 */
#include "definition/domain_xml.h"
#include "vm/host.h"

/*
 * The definition, which is what the next start goes by; or, `live`, what the VM that runs is now,
 * with all that libvirt has chosen for it. A transient VM has the latter only, a VM that does not
 * run the former. The caller frees *ret.
 */
int redefine_read_xml(struct host *host, const char *ref, bool live, char **ret, struct err *err);

/*
 * Replaces the definition of the VM whose name and uuid the document has; a guest that runs is not
 * touched. The document is one that policy_check() has passed; its type is chosen here.
 * if_match is a list of entity tags of redefine_read_xml()'s text, or "": ERR_PRECONDITION_FAILED.
 * ERR_WRONG_STATE for a transient VM, which has no definition. On failure the old one stays.
 */
int redefine_vm(const struct config *config, struct host *host, struct domain_xml *domain,
	const char *if_match, struct vm *ret, struct err *err);

/* Would redefine_vm() get as far as libvirt? */
int redefine_check(
	struct host *host, const struct domain_xml *domain, const char *if_match, struct err *err);
