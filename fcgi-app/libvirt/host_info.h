/* SPDX-License-Identifier: MIT */
#pragma once
/* What a libvirt host says of itself. May be called from any thread. */
#include "libvirt/virt.h"

struct host_info {
	char driver[32];          /* "QEMU", "TEST" */
	char libvirt_version[24]; /* of the daemon */
	char driver_version[24];
};

int host_info_read(struct hypervisor *hypervisor, struct host_info *ret, struct err *err);

/*
 * The same, and host_read_kvm(), for all who want to know at a time, by threads of its own, so that
 * a host that hangs holds those and nobody else. No VM's lock is taken for it: a VM that is being
 * destroyed, for which lists wait, holds nothing up.
 */
struct host_probe;
/* Keeps the host, which must outlive it. NULL: memory, or no thread. */
struct host_probe *host_probe_new(struct hypervisor *hypervisor);
void host_probe_free(struct host_probe *probe);
DEFINE_AUTO(struct host_probe *, host_probe_free)

/*
 * What the host answers after the call, or ERR_HYPERVISOR_UNAVAILABLE when it has not within
 * wait_ms.
 */
enum { HOST_PROBE_MS = 1000 };
int host_probe_read(
	struct host_probe *probe, int64_t wait_ms, struct host_info *ret, struct err *err);
int host_probe_kvm(struct host_probe *probe, int64_t wait_ms, bool *ret, struct err *err);

/* Can it run guests of its own architecture with KVM? */
int host_info_read_kvm(struct hypervisor *hypervisor, bool *ret, struct err *err);

/* What a driver does not tell is "" or negative. */
enum { HOST_ARCHITECTURES_MAX = 64 };
struct host_details {
	struct host_info info;
	char hostname[256];
	char architecture[32];
	char cpu_model[64]; /* libvirt's name of it: "Skylake-Client-IBRS" */
	int64_t cpus;       /* logical, of those that are on */
	int64_t numa_nodes;
	int64_t sockets; /* of a node */
	int64_t cores;   /* of a socket */
	int64_t threads; /* of a core */
	int64_t memory_kib;
	int64_t memory_free_kib;
	int64_t memory_cached_kib; /* of files, not free; most of it can be had */
	bool kvm;
	char architectures[HOST_ARCHITECTURES_MAX][32]; /* that guests may have */
	size_t architecture_count;
};
int host_info_read_details(
	struct hypervisor *hypervisor, struct host_details *ret, struct err *err);
