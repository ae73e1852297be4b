/* SPDX-License-Identifier: MIT */
#include "vm/job.h"

#include <stdio.h>
#include <string.h>

static const char *operation_name(int operation)
{
	static const char *const names[] = { JOB_OPERATIONS(NAMED_ROW, NAMED_ROW) };
	bool known = operation >= 0 && (size_t)operation < ARRAY_LEN(names);
	return known ? names[operation] : names[VIR_DOMAIN_JOB_OPERATION_UNKNOWN];
}

/* libvirt's statistics of a job. */
struct job_params {
	virTypedParameterPtr list;
	int count;
};

static void job_params_done(struct job_params *params)
{
	virTypedParamsFree(params->list, params->count);
}

static int64_t job_number(const struct job_params *params, const char *name)
{
	unsigned long long value = 0;
	if (virTypedParamsGetULLong(params->list, params->count, name, &value) != 1 ||
		value > INT64_MAX)
		return -1;
	return (int64_t)value;
}

static struct job job_from_params(int type, const struct job_params *params)
{
	int operation = VIR_DOMAIN_JOB_OPERATION_UNKNOWN;
	(void)virTypedParamsGetInt(
		params->list, params->count, VIR_DOMAIN_JOB_OPERATION, &operation);
	bool bounded = type == VIR_DOMAIN_JOB_BOUNDED;
	return (struct job){
		.running = bounded || type == VIR_DOMAIN_JOB_UNBOUNDED,
		.operation = operation_name(operation),
		.bounded = bounded,
		.elapsed_ms = job_number(params, VIR_DOMAIN_JOB_TIME_ELAPSED),
		.remaining_ms = bounded ? job_number(params, VIR_DOMAIN_JOB_TIME_REMAINING) : -1,
		.data = { job_number(params, VIR_DOMAIN_JOB_DATA_TOTAL),
			job_number(params, VIR_DOMAIN_JOB_DATA_PROCESSED),
			job_number(params, VIR_DOMAIN_JOB_DATA_REMAINING) },
		.memory = { job_number(params, VIR_DOMAIN_JOB_MEMORY_TOTAL),
			job_number(params, VIR_DOMAIN_JOB_MEMORY_PROCESSED),
			job_number(params, VIR_DOMAIN_JOB_MEMORY_REMAINING) },
		.disk = { job_number(params, VIR_DOMAIN_JOB_DISK_TOTAL),
			job_number(params, VIR_DOMAIN_JOB_DISK_PROCESSED),
			job_number(params, VIR_DOMAIN_JOB_DISK_REMAINING) },
	};
}

/*
 * The job that a failure of virDomainGetJobStats() means. A driver without jobs, or a VM that is
 * off, has none; an incoming migration is measured only by the host that sends it.
 */
static int job_from_failure(struct lease *lease, virDomainPtr dom, struct job *ret, struct err *err)
{
	static const struct job_progress unknown = { -1, -1, -1 };
	(void)virt_fail(lease, VIRT_READ, err);
	if (lease->broken || err->kind == ERR_VM_NOT_FOUND || err->kind == ERR_VM_BUSY)
		return -1;
	if (err->libvirt_code == VIR_ERR_OPERATION_UNSUPPORTED)
		*ret = (struct job){
			.running = true,
			.operation = operation_name(VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN),
			.elapsed_ms = -1,
			.remaining_ms = -1,
			.data = unknown,
			.memory = unknown,
			.disk = unknown,
		};
	else if (err->libvirt_code == VIR_ERR_NO_SUPPORT || !virDomainIsActive(dom))
		*ret = (struct job){ 0 };
	else
		return -1;
	return 0;
}

static int read_job_of(struct lease *lease, virDomainPtr dom, struct job *ret, struct err *err)
{
	__attribute__((cleanup(job_params_done))) struct job_params params = { 0 };
	int type = VIR_DOMAIN_JOB_NONE;
	if (virDomainGetJobStats(dom, &type, &params.list, &params.count, 0) < 0)
		return job_from_failure(lease, dom, ret, err);
	*ret = job_from_params(type, &params);
	return 0;
}

struct job_args {
	const char *uuid;
	struct job job;
};

static int read_job(struct lease *lease, void *data, struct err *err)
{
	struct job_args *args = data;
	AUTO(virDomainFree) virDomainPtr dom = NULL;
	if (domain_lookup(lease, args->uuid, &dom, err) < 0)
		return -1;
	return read_job_of(lease, dom, &args->job, err);
}

/*
 * One request at a time per VM and kind: if its QEMU hangs, libvirt lets each request wait for 30
 * s.
 */
static int job_enter(struct host *host, const char *what, const char *ref, struct vm_ref *ret_id,
	struct gate *ret, struct err *err)
{
	if (domain_resolve(host->hypervisor, ref, ret_id, err) < 0)
		return -1;
	return gate_enter_for(host->hypervisor, what, ret_id->uuid, ret, err);
}

int job_read(struct host *host, const char *ref, struct job *ret, struct err *err)
{
	AUTO_GATE struct gate gate = { 0 };
	struct vm_ref id;
	if (job_enter(host, "job", ref, &id, &gate, err) < 0)
		return -1;
	struct job_args args = { .uuid = id.uuid };
	if (lease_read_as(host->hypervisor, LEASE_CALL, read_job, &args, err) < 0)
		return -1;
	*ret = args.job;
	return 0;
}

/* libvirt aborted nothing: there is no job, or a job that cannot be aborted. */
static int explain_not_aborted(
	struct lease *lease, virDomainPtr dom, bool *ret_changed, struct err *err)
{
	struct job job;
	(void)virt_fail(lease, VIRT_ACT, err);
	if (lease->broken || err->kind == ERR_VM_NOT_FOUND || err->kind == ERR_VM_BUSY ||
		read_job_of(lease, dom, &job, err) < 0)
		return -1;
	*ret_changed = false;
	if (!job.running)
		return 0;
	(void)err_set(err, ERR_WRONG_STATE, "libvirt cannot abort a running job of type '%s'",
		job.operation);
	(void)snprintf(err->state, sizeof err->state, "%s", vm_state_name(domain_read_state(dom)));
	return err_hint(err, "wait until the job ends, or stop the VM");
}

int job_abort(
	struct host *host, const char *ref, struct vm_ref *ret, bool *ret_changed, struct err *err)
{
	AUTO_GATE struct gate gate = { 0 };
	AUTO_LEASE struct lease lease = { 0 };
	AUTO(virDomainFree) virDomainPtr dom = NULL;
	if (job_enter(host, "abort", ref, ret, &gate, err) < 0 ||
		lease_take_checked(host->hypervisor, LEASE_CALL, &lease, err) < 0 ||
		domain_lookup(&lease, ret->uuid, &dom, err) < 0)
		return -1;
	if (virDomainAbortJob(dom) < 0)
		return explain_not_aborted(&lease, dom, ret_changed, err);
	*ret_changed = true;
	return 0;
}
