/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "vm/stats.h"

static const struct field cpu_fields[] = {
	{ "time_ns", FIELD_COUNT, FROM(struct stats, cpu_ns) },
	{ "user_ns", FIELD_COUNT, FROM(struct stats, cpu_user_ns) },
	{ "system_ns", FIELD_COUNT, FROM(struct stats, cpu_system_ns) },
	{ 0 },
};

static const struct field memory_fields[] = {
	{ "current_kib", FIELD_COUNT, FROM(struct stats, memory_current_kib) },
	{ "maximum_kib", FIELD_COUNT, FROM(struct stats, memory_maximum_kib) },
	{ "rss_kib", FIELD_COUNT, FROM(struct stats, memory_rss_kib),
		.says = "resident memory of the VM's process on the host" },
	{ "available_kib", FIELD_COUNT, FROM(struct stats, memory_available_kib),
		.says = "memory that the guest can use, reported by its balloon driver" },
	{ "unused_kib", FIELD_COUNT, FROM(struct stats, memory_unused_kib),
		.says = "the part of it that the guest does not use" },
	{ 0 },
};

static const struct field vcpu_fields[] = {
	{ "number", .type = FIELD_NUMBER, FROM(struct stats_vcpu, number), .max = INT32_MAX },
	{ "state", .type = FIELD_WORD, FROM(struct stats_vcpu, state),
		.words = STATS_VCPU_STATE_NAMES, .nullable = true },
	{ "time_ns", FIELD_COUNT, FROM(struct stats_vcpu, time_ns) },
	{ 0 },
};

static const struct field disk_stats_fields[] = {
	{ "target", .type = FIELD_TEXT, FROM(struct stats_disk, target), .nullable = true,
		.example = "\"vda\"" },
	{ "source", .type = FIELD_TEXT, FROM(struct stats_disk, source), .nullable = true,
		.example = "\"web.qcow2\"" },
	{ "read_bytes", FIELD_COUNT, FROM(struct stats_disk, read_bytes) },
	{ "read_requests", FIELD_COUNT, FROM(struct stats_disk, read_requests) },
	{ "written_bytes", FIELD_COUNT, FROM(struct stats_disk, written_bytes) },
	{ "write_requests", FIELD_COUNT, FROM(struct stats_disk, write_requests) },
	{ "flush_requests", FIELD_COUNT, FROM(struct stats_disk, flush_requests) },
	{ "capacity_bytes", FIELD_COUNT, FROM(struct stats_disk, capacity_bytes) },
	{ "allocation_bytes", FIELD_COUNT, FROM(struct stats_disk, allocation_bytes),
		.says = "offset of the last byte ever written" },
	{ "physical_bytes", FIELD_COUNT, FROM(struct stats_disk, physical_bytes),
		.says = "size of the image file" },
	{ 0 },
};

static const struct field interface_stats_fields[] = {
	{ "target", .type = FIELD_TEXT, FROM(struct stats_interface, target), .nullable = true,
		.example = "\"vnet0\"" },
	{ "received_bytes", FIELD_COUNT, FROM(struct stats_interface, received.bytes),
		.says = "from the guest's point of view" },
	{ "received_packets", FIELD_COUNT, FROM(struct stats_interface, received.packets) },
	{ "received_errors", FIELD_COUNT, FROM(struct stats_interface, received.errors) },
	{ "received_drops", FIELD_COUNT, FROM(struct stats_interface, received.drops) },
	{ "sent_bytes", FIELD_COUNT, FROM(struct stats_interface, sent.bytes),
		.says = "from the guest's point of view" },
	{ "sent_packets", FIELD_COUNT, FROM(struct stats_interface, sent.packets) },
	{ "sent_errors", FIELD_COUNT, FROM(struct stats_interface, sent.errors) },
	{ "sent_drops", FIELD_COUNT, FROM(struct stats_interface, sent.drops) },
	{ 0 },
};

const struct field api_stats_answer[] = {
	{ "uuid", .type = FIELD_TEXT, FROM(struct stats, vm.uuid) },
	{ "name", .type = FIELD_TEXT, FROM(struct stats, vm.name) },
	{ "state", .type = FIELD_WORD, FROM(struct stats, vm.state), .words = VM_STATE_NAMES,
		.example = "\"running\"" },
	{ "time", .type = FIELD_TIME, FROM(struct stats, taken_at),
		.says = "time when the counters were read" },
	{ "cpu", .type = FIELD_OBJECT, .of = cpu_fields },
	{ "memory", .type = FIELD_OBJECT, .of = memory_fields },
	{ "vcpus", .type = FIELD_LIST, .of = vcpu_fields,
		FROM_LIST(struct stats, vcpus, vcpu_count), .max = STATS_VCPUS_MAX },
	{ "disks", .type = FIELD_LIST, .of = disk_stats_fields,
		FROM_LIST(struct stats, disks, disk_count), .max = STATS_DEVICES_MAX },
	{ "interfaces", .type = FIELD_LIST, .of = interface_stats_fields,
		FROM_LIST(struct stats, interfaces, interface_count), .max = STATS_DEVICES_MAX },
	{ 0 },
};

int api_stats_get(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct api *api = call->api;
	AUTO_STATS struct stats stats = { 0 };
	if (stats_read(api->host, api->config->images, api_text(call, "ref"), &stats, err) < 0)
		return -1;
	return api_reply_answer(call, &stats, reply, err);
}
