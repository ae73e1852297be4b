/* SPDX-License-Identifier: MIT */
#pragma once
/* What a libvirt host says of itself. May be called from any thread. */
#include "virt.h"

struct host_info {
	char driver[32];          /* "QEMU", "TEST" */
	char libvirt_version[24]; /* of the daemon */
	char driver_version[24];
};

int host_read(struct host *host, struct host_info *ret, struct err *err);

/* Can it run guests of its own architecture with KVM? */
int host_read_kvm(struct host *host, bool *ret, struct err *err);

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
int host_read_details(struct host *host, struct host_details *ret, struct err *err);
