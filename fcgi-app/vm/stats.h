/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One VM's counters. Most come from QEMU's monitor, so one request at a time reads them, under a
 * lock of the VM that is for statistics alone. May be called from any thread.
 */
#include "libvirt/domain.h"
#include "vm/host.h"

/* The value of a counter that is not known; no other is negative. */
enum { STAT_UNKNOWN = -1 };

struct stats_vcpu {
	int number;
	const char *state; /* a literal; NULL: not known */
	int64_t time_ns;
};
/* virVcpuState under API names. */
#define STATS_VCPU_STATES(FIRST, NEXT) \
	FIRST(VIR_VCPU_OFFLINE, "offline") \
	NEXT(VIR_VCPU_RUNNING, "running") \
	NEXT(VIR_VCPU_BLOCKED, "blocked")
#define STATS_VCPU_STATE_NAMES STATS_VCPU_STATES(NAMED_FIRST, NAMED_NEXT)

struct stats_disk {
	char *target, *source; /* owned; source may be NULL */
	int64_t read_bytes, read_requests, written_bytes, write_requests, flush_requests;
	int64_t capacity_bytes, allocation_bytes, physical_bytes;
};

struct stats_traffic {
	int64_t bytes, packets, errors, drops;
};

struct stats_interface {
	char *target; /* owned: its name on the host */
	struct stats_traffic received, sent;
};

enum { STATS_VCPUS_MAX = 512, STATS_DEVICES_MAX = 64 }; /* further ones are left out */

struct stats {
	struct vm vm;
	int64_t taken_at; /* milliseconds since 1970 */
	int64_t cpu_ns, cpu_user_ns, cpu_system_ns;
	int64_t memory_current_kib, memory_maximum_kib, memory_rss_kib;
	int64_t memory_available_kib,
		memory_unused_kib; /* reported by the guest's balloon driver */
	size_t vcpu_count, disk_count, interface_count;
	struct stats_vcpu *vcpus;
	struct stats_disk *disks;
	struct stats_interface *interfaces;
};

/*
 * Counters that the driver lacks, or that a VM that is off does not have, are STAT_UNKNOWN or not
 * in the lists. ERR_VM_BUSY while another request reads the VM's statistics. The caller frees *ret
 * by stats_done().
 */
int stats_read(
	struct host *host, const char *images, const char *ref, struct stats *ret, struct err *err);
void stats_done(struct stats *stats);
#define AUTO_STATS __attribute__((cleanup(stats_done)))
