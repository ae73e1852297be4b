/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A VM's definition: reading it as text and replacing it. May be called from any thread.
 */
#include "definition/domain_xml.h"
#include "vm/host.h"

/*
 * The definition, which the next start uses; or, with `live`, the configuration of the running VM,
 * with everything that libvirt has chosen for it. A transient VM has no definition: live is ignored
 * and its configuration read. So it is for a VM that is off, whose definition is read. The caller
 * frees *ret.
 */
int redefine_read_xml(struct host *host, const char *ref, bool live, char **ret, struct err *err);

/*
 * Replaces the definition of the VM that has the document's name and uuid; a running guest is not
 * touched. policy_check() must have accepted the document, whose type is chosen here. if_match is a
 * list of entity tags of redefine_read_xml()'s text, or "" (ERR_PRECONDITION_FAILED).
 * ERR_WRONG_STATE for a transient VM, which has no definition. On failure the old definition stays.
 */
int redefine_vm(const struct config *config, struct host *host, struct domain_xml *domain,
	const char *if_match, struct vm *ret, struct err *err);

/* The checks of redefine_vm() that need the VM, without a change. */
int redefine_check(const struct config *config, struct host *host, const struct domain_xml *domain,
	const char *if_match, struct err *err);
