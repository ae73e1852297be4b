/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * All handlers, by the file that defines them, and the field tables that their rows of routes.c
 * name. What each handler is for stands in its row. Handlers may be called from any thread.
 */
#include "api/api.h"
#include "vm/stop.h"

/* api_bulk.c: one action on many VMs */
api_handler api_bulk_act; /* enum bulk_action */
extern const struct field api_bulk_fields[];
extern const struct field api_bulk_stop_fields[];
extern const struct field api_bulk_answer[];

/* api_convert.c: QEMU command lines */
api_handler api_convert_qemu_argv;
extern const struct field api_convert_fields[];
extern const struct field api_convert_answer[];

/* api_docs.c: the OpenAPI document */
api_handler api_docs_get;
extern const struct field api_docs_answer[];
/* Renders the document once: it is the same for every client. The caller frees api->document.text.
 */
int api_docs_prepare(struct api *api, struct err *err);

/* api_domain.c: everything that takes or returns domain XML */
api_handler api_domain_create;
api_handler api_domain_create_transient;
api_handler api_domain_get;
api_handler api_domain_put;
extern const struct field api_domain_transient_query[];
extern const struct field api_domain_create_query[];
extern const struct field api_domain_get_query[];
extern const struct field api_domain_put_query[];
extern const struct field api_domain_create_answer[];
extern const struct field api_domain_put_answer[];
extern const struct field api_domain_dry_answer[];

/* api_host.c: the process and its hosts */
api_handler api_host_about;
api_handler api_host_get;
api_handler api_host_healthz;
api_handler api_host_readyz;
api_handler api_host_shutdown;
extern const struct field api_host_about_answer[];
extern const struct field api_host_get_answer[];
extern const struct field api_host_healthz_answer[];
extern const struct field api_host_readyz_answer[];
extern const struct field api_host_shutdown_answer[];

/* api_job.c: libvirt's job on a VM */
api_handler api_job_get;
api_handler api_job_abort;
extern const struct field api_job_answer[];
extern const struct field api_job_abort_answer[];

/* api_list.c: lists of VMs */
api_handler api_list_vms;
api_handler api_list_active;
extern const struct field api_list_query[];
extern const struct field api_list_answer[];

/* api_metrics.c: metrics for Prometheus */
api_handler api_metrics_get;
extern const struct field api_metrics_query[];
/* A host with more VMs than this has totals only, no metrics of each VM. */
enum { API_METRICS_VMS_MAX = 1000 };

/* api_patch.c: changes to a VM */
api_handler api_patch_vm;
extern const struct field api_patch_query[];
extern const struct field api_patch_answer[];

/* api_power.c: starting and stopping a VM */
api_handler api_power_act; /* enum power_action */
api_handler api_power_stop;
api_handler api_power_drop_save;
extern const struct field api_power_answer[];
extern const struct field api_power_start_answer[];
extern const struct field api_power_stop_answer[];
enum { API_POWER_TIMEOUT_MAX = 600 }; /* seconds */
extern const struct field api_power_stop_fields[];
/* What a body of api_power_stop_fields says; api_bulk_stop_fields has the same members. */
struct stop_how api_power_stop_how(const struct api_call *call);

/* api_screenshot.c */
api_handler api_screenshot_get;
extern const struct field api_screenshot_query[];

/* api_snapshot.c */
api_handler api_snapshot_list;
api_handler api_snapshot_create;
api_handler api_snapshot_get;
api_handler api_snapshot_delete;
api_handler api_snapshot_revert;
extern const struct field api_snapshot_fields[];
extern const struct field api_snapshot_delete_query[];
extern const struct field api_snapshot_revert_fields[];
extern const struct field api_snapshot_list_answer[];
extern const struct field api_snapshot_answer[];
extern const struct field api_snapshot_delete_answer[];
extern const struct field api_snapshot_revert_answer[];

/* api_stats.c: a VM's counters */
api_handler api_stats_get;
extern const struct field api_stats_answer[];

/* api_template.c */
api_handler api_template_list;
extern const struct field api_template_list_answer[];

/* api_vm.c: one VM, shown and deleted */
api_handler api_vm_get;
api_handler api_vm_delete;
extern const struct field api_vm_get_answer[];
extern const struct field api_vm_delete_query[];
extern const struct field api_vm_delete_answer[];
