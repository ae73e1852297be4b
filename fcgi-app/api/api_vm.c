/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "api/vm_json.h"
#include "definition/metadata.h"
#include "vm/agents.h"
#include "vm/detail.h"
#include "vm/events.h"
#include "vm/remove.h"

static const struct field disk_fields[] = {
	{ "target", .type = FIELD_TEXT, FROM(struct vm_disk, target), .nullable = true,
		.example = "\"vda\"" },
	{ "bus", .type = FIELD_TEXT, FROM(struct vm_disk, bus), .nullable = true,
		.example = "\"virtio\"" },
	{ "device", .type = FIELD_TEXT, FROM(struct vm_disk, device), .nullable = true,
		.says = "disk, cdrom, floppy, or another word of libvirt", .example = "\"disk\"" },
	{ "format", .type = FIELD_TEXT, FROM(struct vm_disk, format), .nullable = true,
		.example = "\"qcow2\"" },
	{ "source", .type = FIELD_TEXT, FROM(struct vm_disk, source), .nullable = true,
		.says = "path of the image, relative to VIRTGATE_IMAGES; of an image elsewhere its "
			"file name; null: the drive is empty",
		.example = "\"web.qcow2\"" },
	{ "readonly", .type = FIELD_FLAG, FROM(struct vm_disk, readonly) },
	{ "capacity_bytes", FIELD_COUNT, FROM(struct vm_disk, capacity),
		.says = "size that the guest sees; null if virtgate cannot read the file, or its "
			"format is neither raw nor qcow2" },
	{ "allocation_bytes", FIELD_COUNT, FROM(struct vm_disk, allocation),
		.says = "space that the file takes on its file system" },
	{ 0 },
};

static struct json *address_family(const void *data, const void *context)
{
	(void)context;
	return json_string(((const struct vm_address *)data)->v6 ? "ipv6" : "ipv4");
}

static const struct field address_fields[] = {
	{ "address", .type = FIELD_TEXT, FROM(struct vm_address, text),
		.example = "\"192.168.122.50\"" },
	{ "prefix", .type = FIELD_NUMBER, FROM(struct vm_address, prefix), .max = 128,
		.example = "24" },
	{ "family", .type = FIELD_WORD, .get = address_family, .words = "ipv4|ipv6" },
	{ "source", .type = FIELD_WORD, FROM(struct vm_address, source),
		.words = ADDRESS_SOURCE_NAMES,
		.says = "who reported the address: the guest's agent, up to 60 s ago; libvirt's "
			"DHCP server; or the host's ARP table" },
	{ 0 },
};

static const struct field interface_fields[] = {
	{ "mac", .type = FIELD_TEXT, FROM(struct vm_interface, mac), .nullable = true,
		.example = "\"52:54:00:12:34:56\"" },
	{ "model", .type = FIELD_TEXT, FROM(struct vm_interface, model), .nullable = true,
		.example = "\"virtio\"" },
	{ "network", .type = FIELD_TEXT, FROM(struct vm_interface, network), .nullable = true,
		.example = "\"default\"" },
	{ "bridge", .type = FIELD_TEXT, FROM(struct vm_interface, bridge), .nullable = true,
		.example = "\"virbr0\"" },
	{ "target", .type = FIELD_TEXT, FROM(struct vm_interface, target), .nullable = true,
		.says = "the interface's name on the host; null while the VM is off",
		.example = "\"vnet0\"" },
	{ "addresses", .type = FIELD_LIST, .of = address_fields,
		FROM_LIST(struct vm_interface, addresses, address_count), .max = VM_ADDRESSES_MAX },
	{ 0 },
};

/* 0 says that there is none. */
static struct json *positive_json(int n)
{
	return n ? json_new_int(n) : NULL;
}

static struct json *graphics_port(const void *data, const void *context)
{
	(void)context;
	return positive_json(((const struct vm_graphics *)data)->port);
}

static struct json *graphics_websocket(const void *data, const void *context)
{
	(void)context;
	return positive_json(((const struct vm_graphics *)data)->websocket);
}

static const struct field graphics_fields[] = {
	{ "type", .type = FIELD_TEXT, FROM(struct vm_graphics, type), .nullable = true,
		.example = "\"vnc\"" },
	{ "listen", .type = FIELD_TEXT, FROM(struct vm_graphics, listen), .nullable = true,
		.example = "\"127.0.0.1\"" },
	{ "port", .type = FIELD_NUMBER, .get = graphics_port, .nullable = true, .max = 65535,
		.says = "null while the VM is off" },
	{ "websocket", .type = FIELD_NUMBER, .get = graphics_websocket, .nullable = true,
		.max = 65535,
		.says = "port of the same display for browsers, by websocket; null while the VM is "
			"off" },
	{ 0 },
};

struct vm_shown {
	struct vm_detail detail;
	int64_t since; /* milliseconds since 1970; negative: not known */
};

static struct json *shown_vcpus_maximum(const void *data, const void *context)
{
	(void)context;
	return positive_json(((const struct vm_shown *)data)->detail.vcpus_maximum);
}

const struct field api_vm_get_answer[] = {
	{ "Vm", VM_JSON_ALSO, FROM(struct vm_shown, detail.vm) },
	{ "since", .type = FIELD_TIME, FROM(struct vm_shown, since), .nullable = true,
		.says = "when the VM entered its state; null if virtgate did not see it" },
	{ "title", .type = FIELD_TEXT, FROM(struct vm_shown, detail.title), .nullable = true },
	{ "description", .type = FIELD_TEXT, FROM(struct vm_shown, detail.description),
		.nullable = true },
	{ "labels", .type = FIELD_LABELS, FROM(struct vm_shown, detail.labels),
		.max = METADATA_LABELS_MAX },
	{ "vcpus_maximum", .type = FIELD_NUMBER, .get = shown_vcpus_maximum, .nullable = true,
		.max = INT32_MAX, .says = "number of CPUs that the VM can have without a restart" },
	{ "memory_current_kib", .type = FIELD_NUMBER,
		FROM(struct vm_shown, detail.vm.memory_current_kib), .nullable = true,
		.max = INT64_MAX,
		.says = "memory that the VM has now, or starts with if it is off" },
	{ "disks", .type = FIELD_LIST, .of = disk_fields,
		FROM_LIST(struct vm_shown, detail.disks, detail.disk_count),
		.max = VM_DEVICES_MAX },
	{ "interfaces", .type = FIELD_LIST, .of = interface_fields,
		FROM_LIST(struct vm_shown, detail.interfaces, detail.interface_count),
		.max = VM_DEVICES_MAX },
	{ "graphics", .type = FIELD_LIST, .of = graphics_fields,
		FROM_LIST(struct vm_shown, detail.graphics, detail.graphics_count),
		.max = VM_DEVICES_MAX },
	{ "snapshots", .type = FIELD_NUMBER, FROM(struct vm_shown, detail.vm.snapshot_count),
		.max = INT32_MAX, .says = "number of snapshots" },
	{ "pending", .type = FIELD_TEXTS, FROM(struct vm_shown, detail.pending),
		.words = PENDING_NAMES, .max = PENDING_COUNT,
		.says = "parts of the definition that differ in the running VM until its "
			"next start: " PENDING_NAMES },
	{ 0 },
};

static void on_agents_address(const char *mac, const struct vm_address *address, void *data)
{
	detail_add_address(data, mac, address);
}

int api_vm_get(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct api *api = call->api;
	AUTO_DETAIL struct vm_detail detail = { 0 };
	if (detail_read(api->host, api->config->images, api_text(call, "ref"), &detail, err) < 0)
		return -1;
	const struct vm *vm = &detail.vm;
	if (detail.agent)
		agents_each_address(
			api->host->agents, vm->uuid, detail.id, on_agents_address, &detail);
	int64_t since = events_since(api->host->events, vm->uuid, vm->state, detail.id);
	if (api_reply_answer(call, &(struct vm_shown){ detail, since }, reply, err) < 0)
		return -1;
	/* What changes by itself, such as addresses, keeps nobody from changing the VM. */
	etag_make_versioned(detail.version, reply->body, reply->body_len, reply->etag);
	return 0;
}

/* Deletion */

const struct field api_vm_delete_query[] = {
	{ "disks", .type = FIELD_FLAG,
		.says = "1: also removes the images that virtgate made for the VM" },
	{ 0 },
};

static const struct field deleted_disk_fields[] = {
	{ "target", .type = FIELD_TEXT, FROM(struct removed_disk, target), .nullable = true,
		.example = "\"vda\"" },
	{ "source", .type = FIELD_TEXT, FROM(struct removed_disk, source), .nullable = true,
		.says = "path of the image, relative to VIRTGATE_IMAGES; of an image elsewhere its "
			"file name; null: the drive is empty",
		.example = "\"web.qcow2\"" },
	{ "removed", .type = FIELD_FLAG, FROM(struct removed_disk, removed) },
	{ "reason", .type = FIELD_TEXT, FROM(struct removed_disk, reason), .nullable = true,
		.says = "why the image was kept; null: it was removed", .example = "null" },
	{ 0 },
};

static struct json *removed_parts(const void *data, const void *context)
{
	const struct removed *removed = data;
	const struct {
		bool was;
		const char *name;
	} parts[] = {
		{ removed->definition, "definition" },
		{ removed->managed_save, "managed_save" },
		{ removed->snapshots, "snapshot_metadata" },
		{ removed->nvram, "nvram" },
		{ removed->carrier, "carrier_disk" },
	};
	struct json *names = json_new_array();
	(void)context;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (parts[i].was)
			json_push_string(names, parts[i].name);
	return names;
}

const struct field api_vm_delete_answer[] = {
	{ "uuid", .type = FIELD_TEXT, FROM(struct removed, ref.uuid),
		.example = "\"3d6fc3a9-ab4c-4f54-a35a-e70216a63a77\"" },
	{ "name", .type = FIELD_TEXT, FROM(struct removed, ref.name), .example = "\"web\"" },
	{ "stopped", .type = FIELD_FLAG, FROM(struct removed, stopped),
		.says = "true: the VM was running and was stopped first" },
	{ "removed", .type = FIELD_TEXTS, .get = removed_parts, .min = 32, .max = 8,
		.says = "what was removed besides disks", .example = "[\"definition\"]" },
	{ "disks", .type = FIELD_LIST, FROM_LIST(struct removed, disks, disk_count),
		.max = INT32_MAX, .of = deleted_disk_fields,
		.says = "all disks of the definition" },
	{ 0 },
};

int api_vm_delete(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct target target = api_target(call);
	AUTO_REMOVED struct removed removed = { 0 };
	bool disks = api_flag(call, "disks", false);
	if (remove_vm(call->api->config, call->api->host, &target, disks, &removed, err) < 0)
		return -1;
	return api_reply_answer(call, &removed, reply, err);
}
