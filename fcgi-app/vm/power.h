/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What is done to a VM's machine: started, paused, reset, its power cut. Stopping in all its ways
 * is stop.h's.
 *
 * Mutations go through the VM's gate one at a time and are never sent to libvirt twice. Whether
 * one is needed or possible is told by the VM's state and not by libvirt's error codes, which
 * differ from driver to driver. All functions may be called from any thread.
 */
#include "base/config.h"
#include "vm/host.h"

enum power_action {
	POWER_START,
	POWER_KILL, /* as if the plug was pulled */
	POWER_SUSPEND,
	POWER_RESUME,
	POWER_REBOOT, /* asks the guest */
	POWER_RESET,  /* the reset button */
	POWER_SAVE,   /* stops it and keeps its memory for the next start */
	POWER_ACTION_COUNT
};

struct power_done {
	struct vm vm;  /* what it is now; of a transient one that is gone, what it was, shut off */
	bool changed;  /* false: it was in the state aimed at already */
	bool restored; /* of a start: it went on from its managed save */
};

/*
 * ERR_WRONG_STATE, with the state, when the action cannot be done from where the VM is.
 * A start checks again where the VM's files lead (ERR_POLICY_DENIED) and whether there is a kernel
 * in them (ERR_NOT_BOOTABLE); one that fails to restore a managed save leaves that and the VM as
 * they were. A save is long work (ERR_HOST_BUSY), of a persistent VM alone, and ERR_UNSUPPORTED
 * where QEMU cannot save what the guest uses. A reboot is ERR_CANNOT_SHUT_DOWN where the guest
 * would not hear of it.
 */
int power_act(const struct config *config, struct host *host, const struct target *target,
	enum power_action action, struct power_done *ret, struct err *err);

/* Its next start is afresh. What it is otherwise does not matter. */
int power_drop_save(
	struct host *host, const struct target *target, struct power_done *ret, struct err *err);

/* Cuts the power of a VM that is held; what it is then is in hold->vm. */
int power_kill(struct hold *hold, bool *ret_changed, struct err *err);
