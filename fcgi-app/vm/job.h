/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * libvirt's own job on a VM, such as a save: how far it is, and ending it. The VM's gate is not
 * taken, for whoever runs the job holds it. May be called from any thread.
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
	bool running;                           /* else there is none, and the rest says nothing */
	const char *operation;                  /* a literal */
	bool bounded;                           /* is it known how much there is to do? */
	int64_t elapsed_ms, remaining_ms;       /* -1: not known */
	struct job_progress data, memory, disk; /* data is the sum of both */
};

/* A driver without jobs has none. ERR_VM_BUSY when QEMU is stuck. */
int job_read(struct host *host, const char *ref, struct job *ret, struct err *err);

/* *ret_changed: there was one. ERR_WRONG_STATE for one that cannot be ended. */
int job_abort(
	struct host *host, const char *ref, struct vm_ref *ret, bool *ret_changed, struct err *err);
