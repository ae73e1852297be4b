/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What libvirt reports of a host. Each function asks it, and blocks for as long as the host does
 * not answer: see host_probe.h for answers within a time limit. May be called from any thread.
 */
#include "libvirt/virt.h"

struct host_info {
	char driver[32];          /* "QEMU", "TEST" */
	char libvirt_version[24]; /* the daemon's, not the client library's */
	char driver_version[24];
};
int host_info_read(struct hypervisor *hypervisor, struct host_info *ret, struct err *err);

/* Can the host run guests of its own architecture with KVM? */
int host_info_read_kvm(struct hypervisor *hypervisor, bool *ret, struct err *err);

/* The same for guests of any architecture, on a connection that the caller has. */
int host_info_has_kvm(struct lease *lease, const char *arch, bool *ret, struct err *err);

/* What the driver does not report is "" or negative. */
enum { HOST_ARCHITECTURES_MAX = 64 };
struct host_details {
	struct host_info info;
	char hostname[256];
	char architecture[32];
	char cpu_model[64]; /* libvirt's name for it: "Skylake-Client-IBRS" */
	int64_t cpus;       /* logical processors that are online */
	int64_t numa_nodes;
	int64_t sockets; /* for each node */
	int64_t cores;   /* for each socket */
	int64_t threads; /* for each core */
	int64_t memory_kib;
	int64_t memory_free_kib;
	int64_t memory_cached_kib; /* page cache: not free, but most of it can be reclaimed */
	bool kvm;
	char architectures[HOST_ARCHITECTURES_MAX][32]; /* that guests may have */
	size_t architecture_count;
};
int host_info_read_details(
	struct hypervisor *hypervisor, struct host_details *ret, struct err *err);
