/* SPDX-License-Identifier: MIT */
#include "api/routes.h"

#include "api/handlers.h"
#include "definition/spec.h"
#include "vm/bulk.h"
#include "vm/patch.h"
#include "vm/power.h"
#include "vm/selection.h"

/* The first API's routes name the VM in the query. */
static const struct field ref_query[] = {
	{ "name", .as = "ref", .type = FIELD_TEXT, .required = true, .max = REF_BYTES_MAX },
	{ 0 },
};

/* Errors that several rows share. */
#define HOST "hypervisor_unavailable|host_busy|overloaded"
#define VM HOST "|vm_busy|wrong_state"
#define BULK HOST "|too_many_selected"
#define XML_BODY "invalid_xml|policy_denied"
#define START \
	"policy_denied|not_bootable|start_failed|storage_unavailable|unknown_network|unknown_pool"
#define CREATE \
	HOST "|vm_busy|already_exists|template_not_found|invalid_spec|unsupported|" XML_BODY \
	     "|" START

#define SNAPSHOT_GUARD HOST "|vm_busy|policy_denied|storage_unavailable|snapshot_unsupported"
#define SNAPSHOT_CREATE SNAPSHOT_GUARD "|already_exists|invalid_xml|invalid_spec"
#define SNAPSHOT_REVERT \
	SNAPSHOT_GUARD "|wrong_state|revert_needs_force|start_failed|not_supported_by_driver"

static const char snapshot_example[] =
	"{\"name\":\"before-upgrade\",\"description\":\"as it worked\"}";

static const char create_example[] =
	"{\"name\":\"web\",\"memory_kib\":65536,\"kernel\":\"httpreply_qemu-x86_64\",\"start\":"
	"true,"
	"\"interfaces\":[{\"bridge\":\"virbr0\"}],\"labels\":{\"tier\":\"front\"}}";

enum {
	JSON = API_BODY_JSON,
	XML = API_BODY_XML,
	PLAIN = API_BODY_TEXT,
	PATCH = API_BODY_PATCH,
};

/* Sorted by path, then by method as enum http_method has them; tests/api checks it. */
const struct route routes[] = {
	{ "/healthz", HTTP_GET, ROLE_NONE, api_host_healthz, 200, .answer = api_host_healthz_answer,
		.instant = true,
		.summary = "Report that the process is alive, without asking libvirt." },
	{ "/metrics", HTTP_GET, ROLE_VIEWER, api_metrics_get, 200, .query = api_metrics_query,
		.media = METRICS_TYPE,
		.summary = "Return metrics of virtgate and of the VMs for Prometheus." },
	{ "/readyz", HTTP_GET, ROLE_NONE, api_host_readyz, 200, .answer = api_host_readyz_answer,
		.errors = HOST "|draining",
		.summary = "Report whether virtgate can serve requests that need the host." },
	{ "/resume", HTTP_POST, ROLE_OPERATOR, api_power_act, 200, .what = POWER_RESUME,
		.query = ref_query, .if_match = true, .answer = api_power_answer, .errors = VM,
		.summary = "Resume a VM, like POST /v1/vms/{ref}/resume." },
	{ "/shutdown", HTTP_POST, ROLE_ADMIN, api_host_shutdown, 200,
		.answer = api_host_shutdown_answer,
		.summary = "Finish the running requests and end the process." },
	{ "/suspend", HTTP_POST, ROLE_OPERATOR, api_power_act, 200, .what = POWER_SUSPEND,
		.query = ref_query, .if_match = true, .answer = api_power_answer, .errors = VM,
		.summary = "Pause a VM, like POST /v1/vms/{ref}/suspend." },
	{ "/v1", HTTP_GET, ROLE_VIEWER, api_host_about, 200, .answer = api_host_about_answer,
		.summary = "Return versions, hosts, features, and the caller's user and role." },
	{ "/v1/convert/qemu-argv", HTTP_POST, ROLE_VIEWER, api_convert_qemu_argv, 200, JSON | PLAIN,
		.fields = api_convert_fields, .answer = api_convert_answer,
		.errors = "invalid_spec",
		.example = "{\"argv\":[\"qemu-system-x86_64\",\"-m\",\"64\"]}",
		.summary = "Convert a QEMU command line into a spec and domain XML." },
	{ "/v1/host", HTTP_GET, ROLE_VIEWER, api_host_get, 200, .answer = api_host_get_answer,
		.errors = HOST, .aged = true,
		.summary = "Return the host's hardware and its number of VMs by state." },
	{ "/v1/openapi.json", HTTP_GET, ROLE_NONE, api_docs_get, 200, .answer = api_docs_answer,
		.instant = true, .summary = "Return this OpenAPI 3.1 document." },
	{ "/v1/templates", HTTP_GET, ROLE_VIEWER, api_template_list, 200,
		.answer = api_template_list_answer,
		.summary = "List the templates that VMs can be created from." },
	{ "/v1/vms", HTTP_GET, ROLE_VIEWER, api_list_vms, 200, .query = api_list_query,
		.answer = api_list_answer, .errors = HOST, .aged = true,
		.summary = "List VMs by name, in pages." },
	{ "/v1/vms", HTTP_POST, ROLE_ADMIN, api_domain_create, 201, JSON | XML,
		api_domain_create_query, spec_fields, .answer = api_domain_create_answer,
		.dry_answer = api_domain_dry_answer, .errors = CREATE, .example = create_example,
		.keyed = true, .summary = "Create a VM from a spec, a template or domain XML." },
	{ "/v1/vms/{ref}", HTTP_GET, ROLE_VIEWER, api_vm_get, 200, .answer = api_vm_get_answer,
		.errors = HOST "|vm_busy", .summary = "Return one VM with its devices." },
	{ "/v1/vms/{ref}", HTTP_PATCH, ROLE_OPERATOR, api_patch_vm, 200, PATCH, api_patch_query,
		patch_fields, .answer = api_patch_answer,
		.errors = VM "|invalid_spec|unsupported|invalid_xml|policy_denied|"
			     "denied_by_hypervisor",
		.example = "{\"title\":\"the front\",\"labels\":{\"tier\":null}}", .if_match = true,
		.summary = "Change members of a VM, in its definition or its running guest." },
	{ "/v1/vms/{ref}", HTTP_DELETE, ROLE_ADMIN, api_vm_delete, 200,
		.query = api_vm_delete_query, .answer = api_vm_delete_answer,
		.errors = VM "|denied_by_hypervisor", .if_match = true,
		.summary = "Stop a VM and remove it, with disks=1 also its images." },
	{ "/v1/vms/{ref}/job", HTTP_GET, ROLE_VIEWER, api_job_get, 200, .answer = api_job_answer,
		.errors = HOST "|vm_busy",
		.summary = "Return the progress of the VM's running job, such as a save." },
	{ "/v1/vms/{ref}/job", HTTP_DELETE, ROLE_OPERATOR, api_job_abort, 200,
		.answer = api_job_abort_answer, .errors = VM,
		.summary = "Abort the VM's running job." },
	{ "/v1/vms/{ref}/reboot", HTTP_POST, ROLE_OPERATOR, api_power_act, 200,
		.what = POWER_REBOOT, .if_match = true, .answer = api_power_answer,
		.errors = VM "|agent_unavailable|cannot_shut_down",
		.summary = "Ask the VM's guest to reboot." },
	{ "/v1/vms/{ref}/reset", HTTP_POST, ROLE_OPERATOR, api_power_act, 200, .what = POWER_RESET,
		.if_match = true, .answer = api_power_answer, .errors = VM,
		.summary = "Reset a VM, as by its reset button." },
	{ "/v1/vms/{ref}/resume", HTTP_POST, ROLE_OPERATOR, api_power_act, 200,
		.what = POWER_RESUME, .if_match = true, .answer = api_power_answer, .errors = VM,
		.summary = "Resume a paused VM." },
	{ "/v1/vms/{ref}/save", HTTP_POST, ROLE_OPERATOR, api_power_act, 200, .what = POWER_SAVE,
		.if_match = true, .answer = api_power_answer, .errors = VM "|unsupported|aborted",
		.takes_long = true,
		.summary = "Save a VM's memory for its next start, and stop the VM." },
	{ "/v1/vms/{ref}/save", HTTP_DELETE, ROLE_OPERATOR, api_power_drop_save, 200,
		.if_match = true, .answer = api_power_answer, .errors = HOST "|vm_busy",
		.summary = "Remove the saved memory: the next start is afresh." },
	{ "/v1/vms/{ref}/screenshot", HTTP_GET, ROLE_OPERATOR, api_screenshot_get, 200,
		.query = api_screenshot_query, .media = "image/png",
		.errors = VM "|unsupported|not_supported_by_driver",
		.summary = "Return what the VM's screen shows, as PNG." },
	{ "/v1/vms/{ref}/snapshots", HTTP_GET, ROLE_VIEWER, api_snapshot_list, 200,
		.answer = api_snapshot_list_answer, .errors = HOST "|snapshot_unsupported",
		.summary = "List a VM's snapshots, parents before their children." },
	{ "/v1/vms/{ref}/snapshots", HTTP_POST, ROLE_OPERATOR, api_snapshot_create, 201, JSON | XML,
		.fields = api_snapshot_fields, .answer = api_snapshot_answer,
		.errors = SNAPSHOT_CREATE, .example = snapshot_example, .if_match = true,
		.keyed = true, .takes_long = true, .summary = "Take a snapshot of a VM." },
	{ "/v1/vms/{ref}/snapshots/{snap}", HTTP_GET, ROLE_VIEWER, api_snapshot_get, 200,
		.answer = api_snapshot_answer, .errors = HOST, .summary = "Return one snapshot." },
	{ "/v1/vms/{ref}/snapshots/{snap}", HTTP_DELETE, ROLE_OPERATOR, api_snapshot_delete, 200,
		.query = api_snapshot_delete_query, .answer = api_snapshot_delete_answer,
		.errors = SNAPSHOT_GUARD, .if_match = true, .takes_long = true,
		.summary = "Delete a snapshot, with children=1 also its descendants." },
	{ "/v1/vms/{ref}/snapshots/{snap}/revert", HTTP_POST, ROLE_OPERATOR, api_snapshot_revert,
		200, JSON, .fields = api_snapshot_revert_fields,
		.answer = api_snapshot_revert_answer, .errors = SNAPSHOT_REVERT,
		.example = "{\"state\":\"paused\"}", .if_match = true, .takes_long = true,
		.summary = "Revert a VM to a snapshot." },
	{ "/v1/vms/{ref}/start", HTTP_POST, ROLE_OPERATOR, api_power_act, 200, .what = POWER_START,
		.if_match = true, .answer = api_power_start_answer, .errors = VM "|" START,
		.takes_long = true,
		.summary = "Start a VM, from its saved memory if there is one." },
	{ "/v1/vms/{ref}/stats", HTTP_GET, ROLE_VIEWER, api_stats_get, 200,
		.answer = api_stats_answer, .errors = HOST "|vm_busy",
		.summary = "Return a VM's counters of CPU, memory, disks and interfaces." },
	{ "/v1/vms/{ref}/stop", HTTP_POST, ROLE_OPERATOR, api_power_stop, 200, JSON,
		.if_match = true, .fields = api_power_stop_fields, .answer = api_power_stop_answer,
		.errors = VM "|agent_unavailable|cannot_shut_down|still_running|draining",
		.example = "{\"timeout\":60,\"then\":\"kill\"}", .takes_long = true,
		.summary = "Shut a VM's guest down, or cut the VM's power." },
	{ "/v1/vms/{ref}/suspend", HTTP_POST, ROLE_OPERATOR, api_power_act, 200,
		.what = POWER_SUSPEND, .if_match = true, .answer = api_power_answer, .errors = VM,
		.summary = "Pause a running VM." },
	{ "/v1/vms/{ref}/xml", HTTP_GET, ROLE_OPERATOR, api_domain_get, 200,
		.query = api_domain_get_query, .errors = HOST "|vm_busy",
		.summary = "Return a VM's definition, or with live=1 its running state, as XML." },
	{ "/v1/vms/{ref}/xml", HTTP_PUT, ROLE_ADMIN, api_domain_put, 200, XML, api_domain_put_query,
		.if_match = true, .answer = api_domain_put_answer,
		.dry_answer = api_domain_dry_answer,
		.errors = VM "|unsupported|invalid_spec|" XML_BODY,
		.summary = "Replace a VM's definition." },
	{ "/v1/vms:delete", HTTP_POST, ROLE_ADMIN, api_bulk_act, 200, JSON, .what = BULK_DELETE,
		.fields = api_bulk_fields, .answer = api_bulk_answer, .errors = BULK,
		.example = "{\"refs\":[\"web-1\",\"web-2\"]}", .takes_long = true,
		.summary = "Delete many VMs." },
	{ "/v1/vms:resume", HTTP_POST, ROLE_OPERATOR, api_bulk_act, 200, JSON, .what = BULK_RESUME,
		.fields = api_bulk_fields, .answer = api_bulk_answer, .errors = BULK,
		.example = "{\"select\":{\"state\":\"paused\"},\"max\":10}", .takes_long = true,
		.summary = "Resume many paused VMs." },
	{ "/v1/vms:start", HTTP_POST, ROLE_OPERATOR, api_bulk_act, 200, JSON, .what = BULK_START,
		.fields = api_bulk_fields, .answer = api_bulk_answer, .errors = BULK,
		.example = "{\"refs\":[\"web-1\",\"web-2\"]}", .takes_long = true,
		.summary = "Start many VMs." },
	{ "/v1/vms:stop", HTTP_POST, ROLE_OPERATOR, api_bulk_act, 200, JSON, .what = BULK_STOP,
		.fields = api_bulk_stop_fields, .answer = api_bulk_answer, .errors = BULK,
		.example = "{\"select\":{\"name\":\"web-*\"},\"max\":10,\"then\":\"kill\"}",
		.takes_long = true, .summary = "Shut many VMs down and wait for all of them." },
	{ "/v1/vms:suspend", HTTP_POST, ROLE_OPERATOR, api_bulk_act, 200, JSON,
		.what = BULK_SUSPEND, .fields = api_bulk_fields, .answer = api_bulk_answer,
		.errors = BULK, .example = "{\"refs\":[\"web-1\",\"web-2\"]}", .takes_long = true,
		.summary = "Pause many VMs." },
	{ "/vm", HTTP_POST, ROLE_ADMIN, api_domain_create_transient, 201, XML,
		api_domain_transient_query, .answer = api_domain_create_answer, .errors = CREATE,
		.summary = "Create and start a transient VM." },
	{ "/vm", HTTP_DELETE, ROLE_ADMIN, api_vm_delete, 200, .query = ref_query,
		.answer = api_vm_delete_answer, .errors = VM "|denied_by_hypervisor",
		.if_match = true, .summary = "Remove a VM, like DELETE /v1/vms/{ref}." },
	{ "/vm/resume", HTTP_POST, ROLE_OPERATOR, api_power_act, 200, .what = POWER_RESUME,
		.query = ref_query, .if_match = true, .answer = api_power_answer, .errors = VM,
		.summary = "Resume a VM, like POST /v1/vms/{ref}/resume." },
	{ "/vm/snapshot", HTTP_POST, ROLE_OPERATOR, api_snapshot_create, 201, JSON | XML, ref_query,
		api_snapshot_fields, .answer = api_snapshot_answer, .errors = SNAPSHOT_CREATE,
		.example = snapshot_example, .if_match = true, .keyed = true, .takes_long = true,
		.summary = "Take a snapshot, like POST /v1/vms/{ref}/snapshots." },
	{ "/vm/snapshot/revert", HTTP_POST, ROLE_OPERATOR, api_snapshot_revert, 200,
		.query = ref_query, .answer = api_snapshot_revert_answer,
		.errors = "snapshot_not_found|" SNAPSHOT_REVERT, .if_match = true,
		.takes_long = true, .summary = "Revert a VM to its current snapshot." },
	{ "/vm/suspend", HTTP_POST, ROLE_OPERATOR, api_power_act, 200, .what = POWER_SUSPEND,
		.query = ref_query, .if_match = true, .answer = api_power_answer, .errors = VM,
		.summary = "Pause a VM, like POST /v1/vms/{ref}/suspend." },
	{ "/vms", HTTP_GET, ROLE_VIEWER, api_list_active, 200, .answer = api_list_answer,
		.errors = HOST, .aged = true, .summary = "List the VMs that are not shut off." },
};
const size_t route_count = ARRAY_LEN(routes);
