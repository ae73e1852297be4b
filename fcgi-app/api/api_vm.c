/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "api/vm_json.h"
#include "definition/metadata.h"
#include "vm/agents.h"
#include "vm/detail.h"
#include "vm/events.h"
#include "vm/remove.h"

static const struct field disk_fields[] = {
	{ "target", .type = FIELD_TEXT, .nullable = true, .example = "\"vda\"" },
	{ "bus", .type = FIELD_TEXT, .nullable = true, .example = "\"virtio\"" },
	{ "device", .type = FIELD_TEXT, .nullable = true,
		.says = "disk, cdrom, floppy or what else libvirt knows", .example = "\"disk\"" },
	{ "format", .type = FIELD_TEXT, .nullable = true, .example = "\"qcow2\"" },
	{ "source", .type = FIELD_TEXT, .nullable = true,
		.says = "relative to VIRTGATE_IMAGES where it lies there; null: an empty drive",
		.example = "\"web.qcow2\"" },
	{ "readonly", .type = FIELD_FLAG },
	{ "capacity_bytes", FIELD_COUNT,
		.says = "as the guest sees it; null where virtgate cannot see the file, or of "
			"another format than raw and qcow2" },
	{ "allocation_bytes", FIELD_COUNT, .says = "that the file takes on its file system" },
	{ 0 },
};

static const struct field address_fields[] = {
	{ "address", .type = FIELD_TEXT, .example = "\"192.168.122.50\"" },
	{ "prefix", .type = FIELD_NUMBER, .max = 128, .example = "24" },
	{ "family", .type = FIELD_WORD, .words = "ipv4|ipv6" },
	{ "source", .type = FIELD_WORD, .words = ADDRESS_SOURCE_NAMES,
		.says = "who says so: the guest's agent, up to 60 s ago; libvirt's DHCP server; or "
			"the host's table of neighbours" },
	{ 0 },
};

static const struct field interface_fields[] = {
	{ "mac", .type = FIELD_TEXT, .nullable = true, .example = "\"52:54:00:12:34:56\"" },
	{ "model", .type = FIELD_TEXT, .nullable = true, .example = "\"virtio\"" },
	{ "network", .type = FIELD_TEXT, .nullable = true, .example = "\"default\"" },
	{ "bridge", .type = FIELD_TEXT, .nullable = true, .example = "\"virbr0\"" },
	{ "target", .type = FIELD_TEXT, .nullable = true,
		.says = "its name on the host, while the VM runs", .example = "\"vnet0\"" },
	{ "addresses", .type = FIELD_LIST, .of = address_fields, .max = VM_ADDRESSES_MAX },
	{ 0 },
};

static const struct field graphics_fields[] = {
	{ "type", .type = FIELD_TEXT, .nullable = true, .example = "\"vnc\"" },
	{ "listen", .type = FIELD_TEXT, .nullable = true, .example = "\"127.0.0.1\"" },
	{ "port", .type = FIELD_NUMBER, .nullable = true, .max = 65535,
		.says = "while the VM runs" },
	{ "websocket", .type = FIELD_NUMBER, .nullable = true, .max = 65535,
		.says = "the port of the same, for browsers" },
	{ 0 },
};

const struct field api_vm_get_answer[] = {
	{ "Vm", .type = FIELD_ALSO, .of = vm_json_fields },
	{ "since", .type = FIELD_TIME, .nullable = true,
		.says = "when it came into its state; null if virtgate did not see that" },
	{ "title", .type = FIELD_TEXT, .nullable = true },
	{ "description", .type = FIELD_TEXT, .nullable = true },
	{ "labels", .type = FIELD_LABELS, .max = METADATA_LABELS_MAX },
	{ "vcpus_maximum", .type = FIELD_NUMBER, .nullable = true, .max = INT32_MAX,
		.says = "that it can have without a restart" },
	{ "memory_current_kib", .type = FIELD_NUMBER, .nullable = true, .max = INT64_MAX,
		.says = "that it has now; of a VM that is off: that it starts with" },
	{ "disks", .type = FIELD_LIST, .of = disk_fields, .max = VM_DEVICES_MAX },
	{ "interfaces", .type = FIELD_LIST, .of = interface_fields, .max = VM_DEVICES_MAX },
	{ "graphics", .type = FIELD_LIST, .of = graphics_fields, .max = VM_DEVICES_MAX },
	{ "snapshots", .type = FIELD_NUMBER, .max = INT32_MAX, .says = "how many it has" },
	{ "pending", .type = FIELD_TEXTS, .max = PENDING_COUNT,
		.says = "what of the definition differs from what runs, and waits for the next "
			"start: " PENDING_NAMES },
	{ 0 },
};

static struct json *disks_json(const struct vm_detail *detail)
{
	struct json *array = json_new_array();
	for (size_t i = 0; i < detail->disk_count; i++) {
		const struct vm_disk *disk = &detail->disks[i];
		struct json *o = json_new_object();
		json_put_string(o, "target", disk->target);
		json_put_string(o, "bus", disk->bus);
		json_put_string(o, "device", disk->device);
		json_put_string(o, "format", disk->format);
		json_put_string(o, "source", disk->source);
		json_put_bool(o, "readonly", disk->readonly);
		json_put_count(o, "capacity_bytes", disk->capacity);
		json_put_count(o, "allocation_bytes", disk->allocation);
		json_push(array, o);
	}
	return array;
}

static struct json *addresses_json(const struct vm_interface *interface)
{
	struct json *array = json_new_array();
	for (size_t i = 0; i < interface->address_count; i++) {
		const struct vm_address *address = &interface->addresses[i];
		struct json *o = json_new_object();
		json_put_string(o, "address", address->text);
		json_put_int(o, "prefix", address->prefix);
		json_put_string(o, "family", address->v6 ? "ipv6" : "ipv4");
		json_put_string(o, "source", address_source_name(address->source));
		json_push(array, o);
	}
	return array;
}

static struct json *interfaces_json(const struct vm_detail *detail)
{
	struct json *array = json_new_array();
	for (size_t i = 0; i < detail->interface_count; i++) {
		const struct vm_interface *interface = &detail->interfaces[i];
		struct json *o = json_new_object();
		json_put_string(o, "mac", interface->mac);
		json_put_string(o, "model", interface->model);
		json_put_string(o, "network", interface->network);
		json_put_string(o, "bridge", interface->bridge);
		json_put_string(o, "target", interface->target);
		json_put(o, "addresses", addresses_json(interface));
		json_push(array, o);
	}
	return array;
}

static struct json *graphics_json(const struct vm_detail *detail)
{
	struct json *array = json_new_array();
	for (size_t i = 0; i < detail->graphics_count; i++) {
		const struct vm_graphics *graphics = &detail->graphics[i];
		struct json *o = json_new_object();
		json_put_string(o, "type", graphics->type);
		json_put_string(o, "listen", graphics->listen);
		json_put_count(o, "port", graphics->port ? graphics->port : -1);
		json_put_count(o, "websocket", graphics->websocket ? graphics->websocket : -1);
		json_push(array, o);
	}
	return array;
}

static struct json *pending_json(unsigned parts)
{
	struct json *array = json_new_array();
	for (int part = 0; part < PENDING_COUNT; part++)
		if (parts & 1U << part)
			json_push_string(array, pending_name((enum pending_part)part));
	return array;
}

static struct json *detail_json(const struct host *host, struct vm_detail *detail, int64_t since)
{
	int64_t vcpus = detail->vcpus_maximum ? detail->vcpus_maximum : -1;
	struct json *o = vm_json(host, &detail->vm);
	json_put_time(o, "since", since);
	json_put_string(o, "title", detail->title);
	json_put_string(o, "description", detail->description);
	json_put(o, "labels", TAKE(detail->labels));
	json_put_count(o, "vcpus_maximum", vcpus);
	json_put_count(o, "memory_current_kib", detail->vm.memory_current_kib);
	json_put(o, "disks", disks_json(detail));
	json_put(o, "interfaces", interfaces_json(detail));
	json_put(o, "graphics", graphics_json(detail));
	json_put_int(o, "snapshots", detail->vm.snapshot_count);
	json_put(o, "pending", pending_json(detail->pending));
	return o;
}

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
	if (api_reply_json(reply, detail_json(api->host, &detail, since), err) < 0)
		return -1;
	/* What changes by itself, such as addresses, keeps nobody from changing the VM. */
	etag_make_versioned(detail.version, reply->body, reply->body_len, reply->etag);
	return 0;
}

/* Deletion */

const struct field api_vm_delete_query[] = {
	{ "disks", .type = FIELD_FLAG, .says = "remove the images that virtgate made for it, too" },
	{ 0 },
};

static const struct field deleted_disk_fields[] = {
	{ "target", .type = FIELD_TEXT, .nullable = true, .example = "\"vda\"" },
	{ "source", .type = FIELD_TEXT, .nullable = true,
		.says = "relative to VIRTGATE_IMAGES, if it lies there; null: it is empty",
		.example = "\"web.qcow2\"" },
	{ "removed", .type = FIELD_FLAG },
	{ "reason", .type = FIELD_TEXT, .nullable = true, .says = "why it stays",
		.example = "null" },
	{ 0 },
};

const struct field api_vm_delete_answer[] = {
	{ "uuid", .type = FIELD_TEXT, .example = "\"3d6fc3a9-ab4c-4f54-a35a-e70216a63a77\"" },
	{ "name", .type = FIELD_TEXT, .example = "\"web\"" },
	{ "stopped", .type = FIELD_FLAG, .says = "it ran" },
	{ "removed", .type = FIELD_TEXTS, .min = 32, .max = 8, .says = "what there was",
		.example = "[\"definition\"]" },
	{ "disks", .type = FIELD_LIST, .max = INT32_MAX, .of = deleted_disk_fields,
		.says = "all that the definition had" },
	{ 0 },
};

static struct json *deleted_disks_json(const struct removed *deleted)
{
	struct json *disks = json_new_array();
	for (size_t i = 0; i < deleted->disk_count; i++) {
		const struct removed_disk *disk = &deleted->disks[i];
		struct json *o = json_new_object();
		json_put_string(o, "target", disk->target);
		json_put_string(o, "source", disk->source);
		json_put_bool(o, "removed", disk->removed);
		json_put_string(o, "reason", disk->reason[0] ? disk->reason : NULL);
		json_push(disks, o);
	}
	return disks;
}

int api_vm_delete(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct target target = api_target(call);
	AUTO_REMOVED struct removed deleted = { 0 };
	bool disks = api_flag(call, "disks", false);
	if (remove_vm(call->api->config, call->api->host, &target, disks, &deleted, err) < 0)
		return -1;
	const struct {
		bool was;
		const char *name;
	} parts[] = {
		{ deleted.definition, "definition" },
		{ deleted.managed_save, "managed_save" },
		{ deleted.snapshots, "snapshot_metadata" },
		{ deleted.nvram, "nvram" },
		{ deleted.carrier, "carrier_disk" },
	};
	struct json *removed = json_new_array();
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (parts[i].was)
			json_push_string(removed, parts[i].name);
	struct json *answer = json_new_object();
	json_put_string(answer, "uuid", deleted.ref.uuid);
	json_put_string(answer, "name", deleted.ref.name);
	json_put_bool(answer, "stopped", deleted.stopped);
	json_put(answer, "removed", removed);
	json_put(answer, "disks", deleted_disks_json(&deleted));
	return api_reply_json(reply, answer, err);
}
