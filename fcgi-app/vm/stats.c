/* SPDX-License-Identifier: MIT */
#include "vm/stats.h"

#include "base/clock.h"
#include "storage/local.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A field of libvirt's statistics: "block.3.rd.bytes" is field 3 of group "block". */
static const char *field_name(char *name, size_t size, const char *group, size_t i, const char *of)
{
	(void)snprintf(name, size, "%s.%zu.%s", group, i, of);
	return name;
}

static int64_t stats_number(const virDomainStatsRecord *r, const char *name)
{
	unsigned long long value = 0;
	if (virTypedParamsGetULLong(r->params, r->nparams, name, &value) != 1)
		return STAT_UNKNOWN;
	return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

static int64_t number_at(const virDomainStatsRecord *r, const char *group, size_t i, const char *of)
{
	char name[VIR_TYPED_PARAM_FIELD_LENGTH];
	return stats_number(r, field_name(name, sizeof name, group, i, of));
}

static char *text_at(const virDomainStatsRecord *r, const char *group, size_t i, const char *of)
{
	char name[VIR_TYPED_PARAM_FIELD_LENGTH];
	const char *value = NULL;
	(void)virTypedParamsGetString(
		r->params, r->nparams, field_name(name, sizeof name, group, i, of), &value);
	return value ? strdup(value) : NULL;
}

/* An array for as many items as the field says, at most max. NULL: memory. */
static void *new_items(
	const virDomainStatsRecord *r, const char *name, size_t max, size_t size, size_t *ret_count)
{
	unsigned count = 0;
	(void)virTypedParamsGetUInt(r->params, r->nparams, name, &count);
	*ret_count = count < max ? count : max;
	return calloc(*ret_count + 1, size);
}

/* false: the VM has no vCPU of that number now. */
static bool stats_read_vcpu(const virDomainStatsRecord *r, size_t i, struct stats_vcpu *ret)
{
	static const char *const states[] = { STATS_VCPU_STATES(NAMED_ROW, NAMED_ROW) };
	char name[VIR_TYPED_PARAM_FIELD_LENGTH];
	int state = -1;
	if (virTypedParamsGetInt(r->params, r->nparams,
		    field_name(name, sizeof name, "vcpu", i, "state"), &state) != 1)
		return false;
	ret->number = (int)i;
	ret->state = state >= 0 && (size_t)state < ARRAY_LEN(states) ? states[state] : NULL;
	ret->time_ns = number_at(r, "vcpu", i, "time");
	return true;
}

static void stats_read_disk(
	const virDomainStatsRecord *r, size_t i, const char *images, struct stats_disk *ret)
{
	ret->target = text_at(r, "block", i, "name");
	ret->source = text_at(r, "block", i, "path");
	if (ret->source) {
		const char *shown = local_shown(images, ret->source);
		memmove(ret->source, shown, strlen(shown) + 1);
	}
	ret->read_bytes = number_at(r, "block", i, "rd.bytes");
	ret->read_requests = number_at(r, "block", i, "rd.reqs");
	ret->written_bytes = number_at(r, "block", i, "wr.bytes");
	ret->write_requests = number_at(r, "block", i, "wr.reqs");
	ret->flush_requests = number_at(r, "block", i, "fl.reqs");
	ret->capacity_bytes = number_at(r, "block", i, "capacity");
	ret->allocation_bytes = number_at(r, "block", i, "allocation");
	ret->physical_bytes = number_at(r, "block", i, "physical");
}

static void stats_read_interface(
	const virDomainStatsRecord *r, size_t i, struct stats_interface *ret)
{
	ret->target = text_at(r, "net", i, "name");
	ret->received = (struct stats_traffic){
		number_at(r, "net", i, "rx.bytes"),
		number_at(r, "net", i, "rx.pkts"),
		number_at(r, "net", i, "rx.errs"),
		number_at(r, "net", i, "rx.drop"),
	};
	ret->sent = (struct stats_traffic){
		number_at(r, "net", i, "tx.bytes"),
		number_at(r, "net", i, "tx.pkts"),
		number_at(r, "net", i, "tx.errs"),
		number_at(r, "net", i, "tx.drop"),
	};
}

static int stats_read_lists(
	const virDomainStatsRecord *r, const char *images, struct stats *ret, struct err *err)
{
	size_t vcpus = 0;
	ret->vcpus = new_items(r, "vcpu.maximum", STATS_VCPUS_MAX, sizeof *ret->vcpus, &vcpus);
	ret->disks = new_items(
		r, "block.count", STATS_DEVICES_MAX, sizeof *ret->disks, &ret->disk_count);
	ret->interfaces = new_items(
		r, "net.count", STATS_DEVICES_MAX, sizeof *ret->interfaces, &ret->interface_count);
	if (!ret->vcpus || !ret->disks || !ret->interfaces)
		return err_memory(err);
	for (size_t i = 0; i < vcpus; i++) /* numbers may have gaps after a hotplug */
		ret->vcpu_count += stats_read_vcpu(r, i, &ret->vcpus[ret->vcpu_count]);
	for (size_t i = 0; i < ret->disk_count; i++)
		stats_read_disk(r, i, images, &ret->disks[i]);
	for (size_t i = 0; i < ret->interface_count; i++)
		stats_read_interface(r, i, &ret->interfaces[i]);
	return 0;
}

static void stats_read_numbers(const virDomainStatsRecord *r, struct stats *ret)
{
	ret->cpu_ns = stats_number(r, "cpu.time");
	ret->cpu_user_ns = stats_number(r, "cpu.user");
	ret->cpu_system_ns = stats_number(r, "cpu.system");
	ret->memory_current_kib = stats_number(r, "balloon.current");
	ret->memory_maximum_kib = stats_number(r, "balloon.maximum");
	ret->memory_rss_kib = stats_number(r, "balloon.rss");
	ret->memory_available_kib = stats_number(r, "balloon.available");
	ret->memory_unused_kib = stats_number(r, "balloon.unused");
}

/* The test driver has no such statistics, nor has QEMU's while a job occupies the monitor. */
static void fill_gaps(virDomainPtr dom, struct stats *stats)
{
	virDomainInfo info;
	if (!stats->vm.active || virDomainGetInfo(dom, &info) < 0)
		return;
	if (stats->cpu_ns == STAT_UNKNOWN)
		stats->cpu_ns = (int64_t)info.cpuTime;
	if (stats->memory_current_kib == STAT_UNKNOWN)
		stats->memory_current_kib = (int64_t)info.memory;
	if (stats->memory_maximum_kib == STAT_UNKNOWN)
		stats->memory_maximum_kib = (int64_t)info.maxMem;
}

/* A lock of its own: if QEMU hangs, one request hangs with it, and the VM can still be killed. */
static int hold_for_stats(struct host *host, const char *ref, struct hold *ret, struct err *err)
{
	struct vm_ref id;
	if (domain_resolve(host->hypervisor, ref, &id, err) < 0 ||
		gate_enter_for(host->hypervisor, "stats", id.uuid, &ret->gate, err) < 0)
		return -1;
	return domain_reach(host->hypervisor, id.uuid, ret, err);
}

int stats_read(
	struct host *host, const char *images, const char *ref, struct stats *ret, struct err *err)
{
	enum {
		GROUPS = VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_CPU_TOTAL |
			VIR_DOMAIN_STATS_BALLOON | VIR_DOMAIN_STATS_VCPU |
			VIR_DOMAIN_STATS_INTERFACE | VIR_DOMAIN_STATS_BLOCK
	};
	AUTO(virDomainStatsRecordListFree) virDomainStatsRecordPtr *records = NULL;
	AUTO_HOLD struct hold hold = { 0 };
	AUTO_STATS struct stats stats = { 0 };
	if (hold_for_stats(host, ref, &hold, err) < 0)
		return -1;
	virDomainPtr doms[] = { hold.dom, NULL };
	int count = virDomainListGetStats(
		doms, GROUPS, &records, VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
	if (count < 0)
		return virt_fail(&hold.lease, VIRT_READ, err);
	if (!count)
		return err_set(err, ERR_VM_NOT_FOUND, "there is no VM '%s'", ref);
	stats.vm = hold.vm;
	stats.taken_at = clock_wall_ms();
	stats_read_numbers(records[0], &stats);
	fill_gaps(hold.dom, &stats);
	if (stats_read_lists(records[0], images, &stats, err) < 0)
		return -1;
	*ret = stats;
	stats = (struct stats){ 0 };
	return 0;
}

void stats_done(struct stats *stats)
{
	for (size_t i = 0; i < stats->disk_count && stats->disks; i++) {
		free(stats->disks[i].target);
		free(stats->disks[i].source);
	}
	for (size_t i = 0; i < stats->interface_count && stats->interfaces; i++)
		free(stats->interfaces[i].target);
	free(stats->vcpus);
	free(stats->disks);
	free(stats->interfaces);
}
