/* SPDX-License-Identifier: MIT */
#pragma once
/* Handlers of a VM's job; what each is for stands in its row of routes.c. */
#include "api/api.h"

api_handler api_vm_job;
api_handler api_vm_abort_job;

extern const struct field api_vm_job_answer[];
extern const struct field api_vm_abort_job_answer[];
