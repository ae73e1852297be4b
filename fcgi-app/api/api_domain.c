/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "api/vm_json.h"
#include "base/text.h"
#include "base/uuid.h"
#include "definition/metadata.h"
#include "definition/spec.h"
#include "definition/template.h"
#include "storage/carrier.h"
#include "vm/create.h"
#include "vm/dry_run.h"
#include "vm/redefine.h"

#include <stdio.h>
#include <string.h>

const struct field api_domain_transient_query[] = {
	{ "xmlName", .as = "template", .type = FIELD_TEXT, .max = 64 },
	{ "xmlContent", .as = "xml", .type = FIELD_TEXT, .max = XML_BYTES_MAX, .markup = true },
	{ 0 },
};

const struct field api_domain_create_query[] = {
	{ "persistent", .type = FIELD_FLAG },
	{ "start", .type = FIELD_FLAG },
	{ "dry_run", .type = FIELD_FLAG },
	{ 0 },
};

const struct field api_domain_get_query[] = {
	{ "live", .type = FIELD_FLAG },
	{ 0 },
};

const struct field api_domain_put_query[] = {
	{ "dry_run", .type = FIELD_FLAG },
	{ 0 },
};

/* The document of a call, with its spec applied */

static int read_xml(const char *text, size_t len, const struct json *spec, struct domain_xml *ret,
	struct err *err)
{
	if (domain_xml_read(text, len, ret, err) < 0)
		return -1;
	return spec ? spec_apply(spec, xml_root(ret->doc), err) : 0;
}

static int read_template(const struct config *config, const char *name, const struct json *spec,
	struct domain_xml *ret, struct err *err)
{
	AUTO(free) char *text = NULL;
	size_t len = 0;
	struct err why;
	if (template_read(config, name, &text, &len, err) < 0)
		return -1;
	if (domain_xml_read(text, len, ret, &why) < 0) /* the template is wrong, not the request */
		return err_set(
			err, ERR_INVALID_SPEC, "template '%s' cannot be used: %s", name, why.text);
	return spec ? spec_apply(spec, xml_root(ret->doc), err) : 0;
}

static int read_spec(const struct json *spec, struct domain_xml *ret, struct err *err)
{
	if (spec_base(spec, &ret->doc, err) < 0)
		return -1;
	return spec_apply(spec, xml_root(ret->doc), err);
}

static int read_domain(struct api_call *call, struct domain_xml *ret, struct err *err)
{
	const struct arg *xml = api_arg(call, "xml");
	const char *template = api_text(call, "template");
	if (xml && template)
		return err_set(err, ERR_BAD_REQUEST,
			"the request has XML and a template: a VM is created from one of them");
	if (xml)
		return read_xml(xml->text, xml->len, call->body, ret, err);
	if (template)
		return read_template(call->api->config, template, call->body, ret, err);
	if (call->body && json_length(call->body))
		return read_spec(call->body, ret, err);
	return err_set(err, ERR_BAD_REQUEST,
		"the request has no spec, template or XML to create a VM from");
}

/* The policy also sees what virtgate itself puts into the document. */
static int settle_domain(struct api_call *call, struct domain_xml *domain, struct disks *ret,
	const char *request, struct api_reply *reply, struct err *err)
{
	const struct config *config = call->api->config;
	if (domain_xml_settle(domain, config, err) < 0 ||
		disk_plan(call->body, xml_root(domain->doc), ret, err) < 0)
		return -1;
	if (request[0] && metadata_set_request(xml_root(domain->doc), request, err) < 0)
		return -1;
	domain_xml_sort(domain);
	return config->policy == POLICY_OFF ? 0 : api_apply_policy(call, domain->doc, reply, err);
}

/* Replies */

struct domain_answer {
	struct vm vm;
	const char *effective;
	const char (*warnings)[sizeof((struct domain_xml *)0)->warnings[0]];
	size_t warning_count;
};

const struct field api_domain_create_answer[] = {
	{ "Vm", VM_JSON_ALSO, FROM(struct domain_answer, vm) },
	{ "warnings", .type = FIELD_TEXTS, FROM_LIST(struct domain_answer, warnings, warning_count),
		.says = "changes that virtgate made to the document" },
	{ 0 },
};

const struct field api_domain_put_answer[] = {
	{ "Vm", VM_JSON_ALSO, FROM(struct domain_answer, vm) },
	{ "effective", .type = FIELD_WORD, FROM(struct domain_answer, effective),
		.words = "next-start|after-stop|after-restore",
		.says = "when the new definition takes effect" },
	{ "warnings", .type = FIELD_TEXTS, FROM_LIST(struct domain_answer, warnings, warning_count),
		.says = "changes that virtgate made to the document" },
	{ 0 },
};

struct dry_answer {
	bool dry_run, ok;
	const char *uuid, *name, *xml, *command_line;
	const struct finding *findings;
	size_t count;
};

static const struct field finding_fields[] = {
	{ "severity", .type = FIELD_WORD, FROM(struct finding, severity),
		.words = "info|warning|error" },
	{ "check", .type = FIELD_WORD, FROM(struct finding, check),
		.words = "names|schema|changes|command|networks|files|boot" },
	{ "path", .type = FIELD_TEXT, FROM(struct finding, path), .nullable = true,
		.says = "XPath of what the finding is about" },
	{ "detail", .type = FIELD_TEXT, FROM(struct finding, text) },
	{ 0 },
};

const struct field api_domain_dry_answer[] = {
	{ "dry_run", .type = FIELD_FLAG, FROM(struct dry_answer, dry_run) },
	{ "ok", .type = FIELD_FLAG, FROM(struct dry_answer, ok),
		.says = "true: no finding is an error" },
	{ "uuid", .type = FIELD_TEXT, FROM(struct dry_answer, uuid) },
	{ "name", .type = FIELD_TEXT, FROM(struct dry_answer, name) },
	{ "findings", .type = FIELD_LIST, .of = finding_fields,
		FROM_LIST(struct dry_answer, findings, count) },
	{ "xml", .type = FIELD_TEXT, FROM(struct dry_answer, xml),
		.says = "the XML that libvirt would get" },
	{ "command_line", .type = FIELD_TEXT, FROM(struct dry_answer, command_line),
		.nullable = true, .says = "the command line that libvirt would start QEMU with" },
	{ 0 },
};

static int reply_dry_run(struct api_call *call, struct domain_xml *domain,
	const struct create_how *how, struct api_reply *reply, struct err *err)
{
	__attribute__((cleanup(dry_run_done))) struct dry_run dry = { 0 };
	if (dry_run(call->api->host, call->api->config, domain, how, &dry, err) < 0)
		return -1;
	const struct dry_answer answer = { true, dry.ok, domain->uuid, domain->name, dry.xml,
		dry.command, dry.findings, dry.count };
	reply->status = 200; /* nothing was created */
	return api_reply_json(reply, answer_json(api_domain_dry_answer, &answer, call), err);
}

/* Creating */

/* virtgate chooses the path, so the policy need not check it. */
static int add_carrier(struct api_call *call, struct domain_xml *domain, struct err *err)
{
	char path[CARRIER_PATH_SIZE];
	carrier_path(call->api->config, domain->uuid, path);
	if (spec_add_disk(xml_root(domain->doc), path, err) < 0 ||
		metadata_set_carrier(xml_root(domain->doc), path, err) < 0)
		return -1;
	domain_xml_sort(domain);
	return 0;
}

/* With an Idempotency-Key, user and key make the VM's uuid, and the request is hashed. */
static int identify_request(
	struct api_call *call, struct domain_xml *domain, struct create_how *how, struct err *err)
{
	const struct http_req *req = call->req;
	char uuid[UUID_SIZE];
	AUTO(free) char *text = NULL;
	if (!*req->idempotency_key || !call->route->keyed)
		return 0;
	int head = asprintf(&text, "%s\n%s\n", req->target, req->content_type);
	if (head < 0)
		return err_memory(err);
	char *whole = realloc(text, (size_t)head + req->body_len + 1);
	if (!whole)
		return err_memory(err);
	text = whole;
	memcpy(text + head, req->body, req->body_len);
	hash_text(text, (size_t)head + req->body_len, how->request);
	hash_secret_uuid(call->api->secret, req->user, req->idempotency_key, uuid);
	return domain_xml_identify(domain, uuid, err);
}

static int create_domain(struct api_call *call, const struct create_how *asked,
	struct api_reply *reply, struct err *err)
{
	AUTO_DOMAIN_XML struct domain_xml domain = { 0 };
	struct disks disks = { 0 };
	struct create_how how = *asked;
	struct vm vm;
	if (read_domain(call, &domain, err) < 0 || identify_request(call, &domain, &how, err) < 0 ||
		settle_domain(call, &domain, &disks, how.request, reply, err) < 0)
		return -1;
	if (!how.persistent && disks.count)
		return err_set(err, ERR_BAD_REQUEST,
			"disks[%zu].capacity_bytes: virtgate makes images for persistent VMs only; "
			"a transient VM may end by itself and leave the image behind",
			disks.disks[0].index);
	if (how.carrier && add_carrier(call, &domain, err) < 0)
		return -1;
	how.disks = &disks;
	how.user = call->req->user;
	if (api_flag(call, "dry_run", false))
		return reply_dry_run(call, &domain, &how, reply, err);
	if (create_vm(call->api->config, call->api->host, &domain, &how, &vm, &reply->replayed,
		    err) < 0)
		return -1;
	const struct domain_answer answer = { vm, NULL, domain.warnings, domain.warning_count };
	if (api_reply_answer(call, &answer, reply, err) < 0)
		return -1;
	return api_reply_location(reply, (const char *const[]){ "v1", "vms", vm.uuid, NULL }, err);
}

int api_domain_create(struct api_call *call, struct api_reply *reply, struct err *err)
{
	bool persistent = api_flag(call, "persistent", true);
	struct create_how how = {
		.persistent = persistent,
		.start = api_flag(call, "start", !persistent),
		.carrier = api_flag(call, "carrier_disk", false),
	};
	if (!how.persistent && !how.start)
		return err_set(err, ERR_BAD_REQUEST,
			"start: a transient VM exists only while it runs, so it must be started");
	if (!how.persistent && how.carrier)
		return err_set(err, ERR_BAD_REQUEST,
			"carrier_disk: only a persistent VM can have one; a transient VM may end "
			"by "
			"itself and leave the disk behind");
	return create_domain(call, &how, reply, err);
}

int api_domain_create_transient(struct api_call *call, struct api_reply *reply, struct err *err)
{
	return create_domain(
		call, &(struct create_how){ .persistent = false, .start = true }, reply, err);
}

/* The definition */

int api_domain_get(struct api_call *call, struct api_reply *reply, struct err *err)
{
	bool live = api_flag(call, "live", false);
	if (redefine_read_xml(call->api->host, api_text(call, "ref"), live, &reply->body, err) < 0)
		return -1;
	reply->type = "application/xml";
	reply->body_len = strlen(reply->body);
	etag_make(reply->body, reply->body_len, reply->etag);
	return 0;
}

/* When a new definition takes effect. */
static const char *effective_from(const struct vm *vm)
{
	if (vm->managed_save)
		return "after-restore"; /* the saved memory has its own definition */
	return vm->active ? "after-stop" : "next-start";
}

int api_domain_put(struct api_call *call, struct api_reply *reply, struct err *err)
{
	AUTO_DOMAIN_XML struct domain_xml domain = { 0 };
	struct disks none; /* only a spec can ask for disks */
	const struct arg *xml = api_arg(call, "xml");
	struct vm_ref of;
	struct vm vm;
	if (domain_resolve(call->api->host->hypervisor, api_text(call, "ref"), &of, err) < 0)
		return -1;
	if (!xml)
		return err_set(err, ERR_BAD_REQUEST,
			"the body is missing: send a definition as domain XML");
	if (!text_is_name(of.name))
		return err_set(err, ERR_UNSUPPORTED,
			"the VM's name '%.64s' is not one that virtgate accepts, so its definition "
			"cannot be replaced",
			of.name);
	if (domain_xml_read(xml->text, xml->len, &domain, err) < 0 ||
		domain_xml_adopt(&domain, of.name, of.uuid, err) < 0 ||
		settle_domain(call, &domain, &none, "", reply, err) < 0)
		return -1;
	const char *if_match = call->req->if_match;
	if (api_flag(call, "dry_run", false))
		return redefine_check(call->api->config, call->api->host, &domain, if_match, err) <
				0
			? -1
			: reply_dry_run(call, &domain, NULL, reply, err);
	if (redefine_vm(call->api->config, call->api->host, &domain, if_match, &vm, err) < 0)
		return -1;
	const struct domain_answer answer = { vm, effective_from(&vm), domain.warnings,
		domain.warning_count };
	return api_reply_answer(call, &answer, reply, err);
}
