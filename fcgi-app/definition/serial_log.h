/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Where the serial logs of a VM lie: in VIRTGATE_LOGS, as UUID@NAME. The UUID is the VM's own, so
 * no two VMs share a log, whatever they are called or renamed to. libvirt keeps a log of its own
 * for each VM in that directory, VM.log, which is another file: the names that virtgate gives to
 * VMs have no @.
 *
 * Thread-safe: no state.
 */
#include "base/base.h"

/* What a client calls a log: a file name, without a directory. */
#define SERIAL_LOG_RULE \
	"a file name of 1 to 63 of the characters A-Z a-z 0-9 . _ + -, the first a letter or " \
	"digit"
bool serial_log_is_name(const char *name, size_t len);

/* Is this file of the directory, UUID@NAME, one of the VM's own? */
bool serial_log_is_own(const char *file, const char *uuid);
