/* SPDX-License-Identifier: MIT */
#pragma once
/* Handlers of VMs; what each is for stands in its row of routes.c. */
#include "api.h"

api_handler api_vm_list;
api_handler api_vm_list_active;
api_handler api_vm_get;
api_handler api_vm_delete;
api_handler api_vm_start;
api_handler api_vm_stop;
api_handler api_vm_suspend;
api_handler api_vm_resume;
api_handler api_vm_reboot;
api_handler api_vm_reset;

extern const struct field api_vm_list_answer[];
