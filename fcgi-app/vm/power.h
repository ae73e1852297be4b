/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Power actions on a VM: start, suspend, resume, reset, save, cutting the power. stop.h stops a VM
 * with its guest's help.
 *
 * A mutation holds the VM's lock and is sent to libvirt once. Whether it is needed or possible is
 * decided by the VM's state, not by libvirt's error codes, which differ between drivers. All
 * functions may be called from any thread.
 */
#include "base/config.h"
#include "vm/host.h"

enum power_action {
	POWER_START,
	POWER_KILL, /* like pulling the plug */
	POWER_SUSPEND,
	POWER_RESUME,
	POWER_REBOOT, /* asks the guest */
	POWER_RESET,  /* like pressing the reset button */
	POWER_SAVE,   /* stops the VM and keeps its memory for the next start */
	POWER_ACTION_COUNT
};

struct power_done {
	struct vm vm;  /* as it is now; a transient VM that is gone: as it was, but shut off */
	bool changed;  /* false: the VM was in the requested state already */
	bool restored; /* a start: from the managed save */
};

/*
 * ERR_WRONG_STATE, with the state, when the action is impossible in the VM's state. A start checks
 * again where the paths of the VM's files lead (ERR_POLICY_DENIED) and whether its kernel can boot
 * (ERR_NOT_BOOTABLE); if it cannot restore a managed save, the save and the VM stay as they were. A
 * save is long work (ERR_HOST_BUSY), is for persistent VMs only, and fails with ERR_UNSUPPORTED
 * when QEMU cannot save what the guest uses. A reboot fails with ERR_CANNOT_SHUT_DOWN when there is
 * no way to ask the guest.
 */
int power_act(const struct config *config, struct host *host, const struct target *target,
	enum power_action action, struct power_done *ret, struct err *err);

/* Removes the managed save, in any state of the VM: the next start is afresh. */
int power_drop_save(
	struct host *host, const struct target *target, struct power_done *ret, struct err *err);

/* Cuts the power of a VM that is held, and sets hold->vm to what the VM is then. */
int power_kill(struct hold *hold, bool *ret_changed, struct err *err);
