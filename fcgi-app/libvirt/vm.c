/* SPDX-License-Identifier: MIT */
#include "libvirt/vm.h"

#include <string.h>

/* By libvirt's number of the reason, which counts anew in each state (virDomain…Reason, 9.0.0). */
static const char *const reasons[VM_STATE_COUNT][16] = {
	[VM_RUNNING] = { "unknown", "booted", "migrated", "restored", "from-snapshot", "unpaused",
		"migration-canceled", "save-canceled", "wakeup", "crashed", "postcopy",
		"postcopy-failed" },
	[VM_PAUSED] = { "unknown", "user", "migration", "save", "dump", "io-error", "watchdog",
		"from-snapshot", "shutting-down", "snapshot", "crashed", "starting-up", "postcopy",
		"postcopy-failed", "api-error" },
	[VM_SHUTDOWN] = { "unknown", "user" },
	[VM_SHUTOFF] = { "unknown", "shutdown", "destroyed", "crashed", "migrated", "saved",
		"failed", "from-snapshot", "daemon" },
	[VM_CRASHED] = { "unknown", "panicked" },
};

const char *vm_state_name(enum vm_state state)
{
	static const char *const names[] = { VM_STATES(NAMED_ROW, NAMED_ROW) };
	return names[state];
}

enum vm_state vm_state_of(int virt_state)
{
	static const enum vm_state map[] = {
		[VIR_DOMAIN_NOSTATE] = VM_UNKNOWN,
		[VIR_DOMAIN_RUNNING] = VM_RUNNING,
		[VIR_DOMAIN_BLOCKED] = VM_RUNNING,
		[VIR_DOMAIN_PAUSED] = VM_PAUSED,
		[VIR_DOMAIN_SHUTDOWN] = VM_SHUTDOWN,
		[VIR_DOMAIN_SHUTOFF] = VM_SHUTOFF,
		[VIR_DOMAIN_CRASHED] = VM_CRASHED,
		[VIR_DOMAIN_PMSUSPENDED] = VM_PMSUSPENDED,
	};
	return virt_state >= 0 && (size_t)virt_state < ARRAY_LEN(map) ? map[virt_state]
								      : VM_UNKNOWN;
}

void vm_set_state(struct vm *vm, int virt_state, int virt_reason)
{
	vm->state = vm_state_of(virt_state);
	vm->reason = NULL;
	if (virt_reason >= 0 && (size_t)virt_reason < ARRAY_LEN(reasons[0]))
		vm->reason = reasons[vm->state][virt_reason];
	if (!vm->reason)
		vm->reason = "unknown";
}

void vm_set_identity(struct vm *vm, virDomainPtr dom)
{
	unsigned char uuid[VIR_UUID_BUFLEN] = { 0 };
	(void)virDomainGetUUID(dom, uuid);
	uuid_text(uuid, vm->uuid); /* faster than libvirt's printf(): long lists feel it */
	const char *name = virDomainGetName(dom);
	size_t n = strnlen(name, sizeof vm->name - 1);
	memcpy(vm->name, name, n);
	vm->name[n] = '\0';
}

void vm_set_size(struct vm *vm, const virDomainInfo *info)
{
	vm->sized = true;
	vm->vcpus = info->nrVirtCpu;
	vm->memory_kib = (int64_t)info->maxMem;
	vm->memory_current_kib = (int64_t)info->memory;
}

void vm_set_from_stats(struct vm *vm, const virDomainStatsRecord *record)
{
	int state = VIR_DOMAIN_NOSTATE;
	int reason = 0;
	(void)virTypedParamsGetInt(record->params, record->nparams, "state.state", &state);
	(void)virTypedParamsGetInt(record->params, record->nparams, "state.reason", &reason);
	vm_set_identity(vm, record->dom);
	vm_set_state(vm, state, reason);
}
