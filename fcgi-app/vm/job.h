/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * libvirt's job on a VM, such as a save: its progress, and aborting it. The VM is not held, because
 * the request that started the job holds it. May be called from any thread.
 */
#include "libvirt/domain.h"
#include "vm/host.h"

/* virDomainJobOperation under API names. */
#define JOB_OPERATIONS(FIRST, NEXT) \
	FIRST(VIR_DOMAIN_JOB_OPERATION_UNKNOWN, "unknown") \
	NEXT(VIR_DOMAIN_JOB_OPERATION_START, "start") \
	NEXT(VIR_DOMAIN_JOB_OPERATION_SAVE, "save") \
	NEXT(VIR_DOMAIN_JOB_OPERATION_RESTORE, "restore") \
	NEXT(VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN, "migration-in") \
	NEXT(VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT, "migration-out") \
	NEXT(VIR_DOMAIN_JOB_OPERATION_SNAPSHOT, "snapshot") \
	NEXT(VIR_DOMAIN_JOB_OPERATION_SNAPSHOT_REVERT, "snapshot-revert") \
	NEXT(VIR_DOMAIN_JOB_OPERATION_DUMP, "dump") \
	NEXT(VIR_DOMAIN_JOB_OPERATION_BACKUP, "backup") \
	NEXT(VIR_DOMAIN_JOB_OPERATION_SNAPSHOT_DELETE, "snapshot-delete")
#define JOB_OPERATION_NAMES JOB_OPERATIONS(NAMED_FIRST, NAMED_NEXT)

/* Bytes; -1: not known. */
struct job_progress {
	int64_t total, processed, remaining;
};

struct job {
	bool running;                           /* false: there is no job; ignore the rest */
	const char *operation;                  /* one of JOB_OPERATION_NAMES, a literal */
	bool bounded;                           /* libvirt knows how much there is to do */
	int64_t elapsed_ms, remaining_ms;       /* -1: not known */
	struct job_progress data, memory, disk; /* data is the sum of memory and disk */
};

/* A driver without jobs reports none. ERR_VM_BUSY if the VM's QEMU hangs. */
int job_read(struct host *host, const char *ref, struct job *ret, struct err *err);

/* *ret_changed: a job was aborted. ERR_WRONG_STATE if libvirt cannot abort the job. */
int job_abort(
	struct host *host, const char *ref, struct vm_ref *ret, bool *ret_changed, struct err *err);
