/* SPDX-License-Identifier: MIT */
#include "remove.h"

#include "carrier.h"

#include <stdio.h>

static int undefine(struct lease *lease, virDomainPtr dom, struct removed *deleted, struct err *err)
{
	unsigned flags = 0;
	if (deleted->managed_save)
		flags |= VIR_DOMAIN_UNDEFINE_MANAGED_SAVE;
	if (deleted->snapshots)
		flags |= VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA;
	if (deleted->nvram)
		flags |= VIR_DOMAIN_UNDEFINE_NVRAM;
	/* Drivers without checkpoints refuse their flag, and the question. */
	if (virDomainListAllCheckpoints(dom, NULL, 0) > 0)
		flags |= VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA;
	if (virDomainUndefineFlags(dom, flags) < 0)
		return virt_fail(lease, VIRT_DELETE, err);
	deleted->definition = true;
	return 0;
}

int remove_vm(const struct config *config, struct inventory *inventory, const struct target *target,
	struct removed *ret, struct err *err)
{
	AUTO_HOLD struct hold hold = { 0 };
	if (domain_hold(inventory_host(inventory), target, &hold, err) < 0)
		return -1;
	const struct vm *vm = &hold.vm;
	struct removed deleted = {
		.stopped = vm->active,
		.managed_save = vm->managed_save,
		.snapshots = vm->snapshots,
	};
	(void)snprintf(deleted.ref.name, sizeof deleted.ref.name, "%s", vm->name);
	(void)snprintf(deleted.ref.uuid, sizeof deleted.ref.uuid, "%s", vm->uuid);
	/* Whatever can fail comes before the VM is touched. */
	if (vm->persistent && domain_has_nvram(&hold.lease, hold.dom, &deleted.nvram, err) < 0)
		return -1;
	if (vm->active && virDomainDestroy(hold.dom) < 0) {
		(void)virt_fail(&hold.lease, VIRT_DELETE, err);
		if (hold.lease.broken || virDomainIsActive(hold.dom) > 0)
			return -1;
	}
	inventory_touch(inventory, vm->uuid);
	if (vm->persistent && undefine(&hold.lease, hold.dom, &deleted, err) < 0)
		return -1;
	deleted.carrier = carrier_remove(config, vm->uuid);
	*ret = deleted;
	return 0;
}
