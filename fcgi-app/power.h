/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Starting a VM, stopping it, and what lies between.
 *
 * Mutations go through the VM's gate one at a time and are never sent to libvirt twice. Whether
 * one is needed or possible is told by the VM's state and not by libvirt's error codes, which
 * differ from driver to driver. All functions may be called from any thread.
 */
#include "config.h"
#include "inventory.h"

enum vm_action {
	VM_START,
	VM_STOP, /* at once, as if the plug was pulled */
	VM_SUSPEND,
	VM_RESUME,
	VM_REBOOT, /* asks the guest (ACPI) */
	VM_RESET,  /* the reset button */
	VM_ACTION_COUNT
};

/*
 * *ret_changed is false when the VM was in the state aimed at already. A start checks again where
 * the VM's files lead (ERR_POLICY_DENIED) and whether there is a kernel in them (ERR_NOT_BOOTABLE).
 * ERR_WRONG_STATE, with the state, when the action cannot be done from where the VM is. A transient
 * VM that was stopped is gone; ret tells what it was, shut off.
 */
int power_act(const struct config *config, struct inventory *inventory, const struct target *target,
	enum vm_action action, struct vm *ret, bool *ret_changed, struct err *err);
