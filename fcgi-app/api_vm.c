/* SPDX-License-Identifier: MIT */
#include "api_vm.h"

#include "policy.h"
#include "vm.h"

#include <string.h>

static int list(struct api_call *call, bool only_active, struct api_reply *reply, struct err *err)
{
	AUTO(free) struct vm_list *vms = NULL;
	if (inventory_list(call->api->inventory, &vms, err) < 0)
		return -1;
	struct json *items = json_new_array();
	for (size_t i = 0; i < vms->count; i++)
		if (vms->vms[i].active || !only_active)
			json_push(items, api_vm_json(call->api, &vms->vms[i]));
	struct json *answer = json_new_object();
	json_put(answer, "items", items);
	return api_reply_json(reply, answer, err);
}

int api_vm_list(struct api_call *call, struct api_reply *reply, struct err *err)
{
	return list(call, false, reply, err);
}

int api_vm_list_active(struct api_call *call, struct api_reply *reply, struct err *err)
{
	return list(call, true, reply, err);
}

static struct json *violations_json(const struct policy_report *report)
{
	struct json *array = json_new_array();
	for (size_t i = 0; i < report->count; i++) {
		struct json *o = json_new_object();
		json_put_string(o, "path", report->found[i].path);
		json_put_string(o, "value", report->found[i].value);
		json_put_string(o, "rule", report->found[i].rule);
		json_push(array, o);
	}
	return array;
}

static int apply_policy(const struct domain_xml *domain, const struct config *config,
	struct api_reply *reply, struct err *err)
{
	struct policy_report report;
	if (config->policy == POLICY_OFF)
		return 0;
	if (policy_check(domain->doc, config, &report, err) < 0)
		return -1;
	if (!report.count)
		return 0;
	reply->violations = violations_json(&report);
	return err_set(err, ERR_POLICY_DENIED,
		"the policy does not allow what the domain XML says, first at %s: %s",
		report.found[0].path, report.found[0].rule);
}

/* Reads the domain from where the call says: XML, or a template. */
static int read_domain(struct api_call *call, struct domain_xml *ret, struct err *err)
{
	static const char from[] = "a VM is made from XML or from a template:";
	const struct config *config = call->api->config;
	const struct arg *xml = api_arg(call, "xml");
	const char *template = api_text(call, "template");
	const char *name = api_text(call, "name");
	AUTO(free) char *text = NULL;
	size_t len = 0;
	if (xml && template)
		return err_set(err, ERR_BAD_REQUEST, "%s both were given", from);
	if (xml)
		return domain_xml_read(xml->text, xml->len, name, config, ret, err);
	if (!template)
		return err_set(err, ERR_BAD_REQUEST, "%s neither was given", from);
	if (domain_xml_template(config, template, &text, &len, err) < 0)
		return -1;
	return domain_xml_read(text, len, name, config, ret, err);
}

static int create(struct api_call *call, const struct vm_create *spec, struct api_reply *reply,
	struct err *err)
{
	const struct config *config = call->api->config;
	AUTO_DOMAIN_XML struct domain_xml domain = { 0 };
	struct vm_created created;
	if (read_domain(call, &domain, err) < 0 || apply_policy(&domain, config, reply, err) < 0 ||
		vm_create(call->api->inventory, (enum accel)config->accel, &domain, spec, &created,
			err) < 0)
		return -1;
	struct json *answer = api_vm_json(call->api, &created.vm);
	struct json *warnings = json_new_array();
	if (created.warning[0])
		json_push_string(warnings, created.warning);
	json_put(answer, "warnings", warnings);
	if (api_reply_json(reply, answer, err) < 0)
		return -1;
	return api_reply_location(
		reply, (const char *const[]){ "v1", "vms", created.vm.uuid, NULL }, err);
}

int api_vm_create(struct api_call *call, struct api_reply *reply, struct err *err)
{
	bool persistent = api_flag(call, "persistent", true);
	struct vm_create how = {
		.persistent = persistent,
		.start = api_flag(call, "start", !persistent),
	};
	if (!how.persistent && !how.start)
		return err_set(err, ERR_BAD_REQUEST,
			"start: a VM that is not persistent exists only while it runs");
	return create(call, &how, reply, err);
}

int api_vm_create_transient(struct api_call *call, struct api_reply *reply, struct err *err)
{
	return create(call, &(struct vm_create){ .persistent = false, .start = true }, reply, err);
}

int api_vm_get(struct api_call *call, struct api_reply *reply, struct err *err)
{
	struct vm vm;
	if (vm_get(call->api->host, api_text(call, "ref"), &vm, err) < 0)
		return -1;
	return api_reply_json(reply, api_vm_json(call->api, &vm), err);
}

int api_vm_get_xml(struct api_call *call, struct api_reply *reply, struct err *err)
{
	if (vm_get_xml(call->api->host, api_text(call, "ref"), &reply->body, err) < 0)
		return -1;
	reply->type = "application/xml";
	reply->body_len = strlen(reply->body);
	return 0;
}

int api_vm_delete(struct api_call *call, struct api_reply *reply, struct err *err)
{
	struct vm_deleted deleted;
	if (vm_delete(call->api->inventory, api_text(call, "ref"), &deleted, err) < 0)
		return -1;
	const struct {
		bool was;
		const char *name;
	} parts[] = {
		{ deleted.definition, "definition" },
		{ deleted.managed_save, "managed_save" },
		{ deleted.snapshots, "snapshot_metadata" },
		{ deleted.nvram, "nvram" },
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
	return api_reply_json(reply, answer, err);
}

static int act(
	struct api_call *call, enum vm_action action, struct api_reply *reply, struct err *err)
{
	struct vm vm;
	bool changed = false;
	if (vm_act(call->api->inventory, api_text(call, "ref"), action, &vm, &changed, err) < 0)
		return -1;
	struct json *answer = api_vm_json(call->api, &vm);
	json_put_bool(answer, "changed", changed);
	return api_reply_json(reply, answer, err);
}

#define DEFINE_ACTION(handler, action) \
	int handler(struct api_call *call, struct api_reply *reply, struct err *err) \
	{ \
		return act(call, action, reply, err); \
	}
DEFINE_ACTION(api_vm_start, VM_START)
DEFINE_ACTION(api_vm_stop, VM_STOP)
DEFINE_ACTION(api_vm_suspend, VM_SUSPEND)
DEFINE_ACTION(api_vm_resume, VM_RESUME)
DEFINE_ACTION(api_vm_reboot, VM_REBOOT)
DEFINE_ACTION(api_vm_reset, VM_RESET)
