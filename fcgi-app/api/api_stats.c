/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "vm/stats.h"

static const struct field cpu_fields[] = {
	{ "time_ns", FIELD_COUNT },
	{ "user_ns", FIELD_COUNT },
	{ "system_ns", FIELD_COUNT },
	{ 0 },
};

static const struct field memory_fields[] = {
	{ "current_kib", FIELD_COUNT },
	{ "maximum_kib", FIELD_COUNT },
	{ "rss_kib", FIELD_COUNT, .says = "that its process takes on the host" },
	{ "available_kib", FIELD_COUNT, .says = "that the guest sees, by its balloon driver" },
	{ "unused_kib", FIELD_COUNT, .says = "of that, what the guest does not use at all" },
	{ 0 },
};

static const struct field vcpu_fields[] = {
	{ "number", .type = FIELD_NUMBER, .max = INT32_MAX },
	{ "state", .type = FIELD_WORD, .words = STATS_VCPU_STATE_NAMES, .nullable = true },
	{ "time_ns", FIELD_COUNT },
	{ 0 },
};

static const struct field disk_stats_fields[] = {
	{ "target", .type = FIELD_TEXT, .nullable = true, .example = "\"vda\"" },
	{ "source", .type = FIELD_TEXT, .nullable = true, .example = "\"web.qcow2\"" },
	{ "read_bytes", FIELD_COUNT },
	{ "read_requests", FIELD_COUNT },
	{ "written_bytes", FIELD_COUNT },
	{ "write_requests", FIELD_COUNT },
	{ "flush_requests", FIELD_COUNT },
	{ "capacity_bytes", FIELD_COUNT },
	{ "allocation_bytes", FIELD_COUNT, .says = "up to the last one that was written" },
	{ "physical_bytes", FIELD_COUNT, .says = "the size of the file" },
	{ 0 },
};

static const struct field interface_stats_fields[] = {
	{ "target", .type = FIELD_TEXT, .nullable = true, .example = "\"vnet0\"" },
	{ "received_bytes", FIELD_COUNT, .says = "by the guest" },
	{ "received_packets", FIELD_COUNT },
	{ "received_errors", FIELD_COUNT },
	{ "received_drops", FIELD_COUNT },
	{ "sent_bytes", FIELD_COUNT, .says = "by the guest" },
	{ "sent_packets", FIELD_COUNT },
	{ "sent_errors", FIELD_COUNT },
	{ "sent_drops", FIELD_COUNT },
	{ 0 },
};

const struct field api_stats_answer[] = {
	{ "uuid", .type = FIELD_TEXT },
	{ "name", .type = FIELD_TEXT },
	{ "state", .type = FIELD_WORD, .words = VM_STATE_NAMES, .example = "\"running\"" },
	{ "time", .type = FIELD_TIME, .says = "when the counters were read" },
	{ "cpu", .type = FIELD_OBJECT, .of = cpu_fields },
	{ "memory", .type = FIELD_OBJECT, .of = memory_fields },
	{ "vcpus", .type = FIELD_LIST, .of = vcpu_fields, .max = STATS_VCPUS_MAX },
	{ "disks", .type = FIELD_LIST, .of = disk_stats_fields, .max = STATS_DEVICES_MAX },
	{ "interfaces", .type = FIELD_LIST, .of = interface_stats_fields,
		.max = STATS_DEVICES_MAX },
	{ 0 },
};

static struct json *vcpu_stats_json(const struct stats *stats)
{
	struct json *array = json_new_array();
	for (size_t i = 0; i < stats->vcpu_count; i++) {
		struct json *o = json_new_object();
		json_put_int(o, "number", stats->vcpus[i].number);
		json_put_string(o, "state", stats->vcpus[i].state);
		json_put_count(o, "time_ns", stats->vcpus[i].time_ns);
		json_push(array, o);
	}
	return array;
}

static struct json *disk_stats_json(const struct stats *stats)
{
	struct json *array = json_new_array();
	for (size_t i = 0; i < stats->disk_count; i++) {
		const struct stats_disk *disk = &stats->disks[i];
		struct json *o = json_new_object();
		json_put_string(o, "target", disk->target);
		json_put_string(o, "source", disk->source);
		json_put_count(o, "read_bytes", disk->read_bytes);
		json_put_count(o, "read_requests", disk->read_requests);
		json_put_count(o, "written_bytes", disk->written_bytes);
		json_put_count(o, "write_requests", disk->write_requests);
		json_put_count(o, "flush_requests", disk->flush_requests);
		json_put_count(o, "capacity_bytes", disk->capacity_bytes);
		json_put_count(o, "allocation_bytes", disk->allocation_bytes);
		json_put_count(o, "physical_bytes", disk->physical_bytes);
		json_push(array, o);
	}
	return array;
}

static struct json *interface_stats_json(const struct stats *stats)
{
	struct json *array = json_new_array();
	for (size_t i = 0; i < stats->interface_count; i++) {
		const struct stats_interface *interface = &stats->interfaces[i];
		struct json *o = json_new_object();
		json_put_string(o, "target", interface->target);
		json_put_count(o, "received_bytes", interface->received.bytes);
		json_put_count(o, "received_packets", interface->received.packets);
		json_put_count(o, "received_errors", interface->received.errors);
		json_put_count(o, "received_drops", interface->received.drops);
		json_put_count(o, "sent_bytes", interface->sent.bytes);
		json_put_count(o, "sent_packets", interface->sent.packets);
		json_put_count(o, "sent_errors", interface->sent.errors);
		json_put_count(o, "sent_drops", interface->sent.drops);
		json_push(array, o);
	}
	return array;
}

static struct json *stats_json(const struct stats *stats)
{
	struct json *cpu = json_new_object();
	json_put_count(cpu, "time_ns", stats->cpu_ns);
	json_put_count(cpu, "user_ns", stats->cpu_user_ns);
	json_put_count(cpu, "system_ns", stats->cpu_system_ns);
	struct json *memory = json_new_object();
	json_put_count(memory, "current_kib", stats->memory_current_kib);
	json_put_count(memory, "maximum_kib", stats->memory_maximum_kib);
	json_put_count(memory, "rss_kib", stats->memory_rss_kib);
	json_put_count(memory, "available_kib", stats->memory_available_kib);
	json_put_count(memory, "unused_kib", stats->memory_unused_kib);
	struct json *o = json_new_object();
	json_put_string(o, "uuid", stats->vm.uuid);
	json_put_string(o, "name", stats->vm.name);
	json_put_string(o, "state", vm_state_name(stats->vm.state));
	json_put_time(o, "time", stats->taken_at);
	json_put(o, "cpu", cpu);
	json_put(o, "memory", memory);
	json_put(o, "vcpus", vcpu_stats_json(stats));
	json_put(o, "disks", disk_stats_json(stats));
	json_put(o, "interfaces", interface_stats_json(stats));
	return o;
}

int api_stats_get(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct api *api = call->api;
	AUTO_STATS struct stats stats = { 0 };
	if (stats_read(api->host, api->config->images, api_text(call, "ref"), &stats, err) < 0)
		return -1;
	return api_reply_json(reply, stats_json(&stats), err);
}
