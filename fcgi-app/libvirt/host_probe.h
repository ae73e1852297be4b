/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a host says of itself, within a time limit. Two threads of the probe's own ask it, one for
 * each question; all requests that ask at the same time share one answer. A host that hangs blocks
 * these two threads and no request. The questions take no VM's lock, so that a VM that is being
 * destroyed, for which lists must wait, does not delay the answer.
 *
 * All functions may be called from any thread.
 */
#include "libvirt/host_info.h"

struct host_probe;
/* The hypervisor must outlive the probe. NULL: no memory, or no thread. */
struct host_probe *host_probe_new(struct hypervisor *hypervisor);
void host_probe_free(struct host_probe *probe); /* waits for the questions that are being asked */
DEFINE_AUTO(struct host_probe *, host_probe_free)

/*
 * As host_info_read() and host_info_read_kvm(). The answer is from after the call;
 * ERR_HYPERVISOR_UNAVAILABLE if none comes within wait_ms.
 */
enum { HOST_PROBE_MS = 1000 };
int host_probe_read(
	struct host_probe *probe, int64_t wait_ms, struct host_info *ret, struct err *err);
int host_probe_kvm(struct host_probe *probe, int64_t wait_ms, bool *ret, struct err *err);
