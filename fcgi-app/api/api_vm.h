/* SPDX-License-Identifier: MIT */
#pragma once
/* Handlers of VMs; what each is for stands in its row of routes.c. */
#include "api/api.h"

extern const struct field api_vm_delete_answer[];

api_handler api_vm_list;
api_handler api_vm_list_active;
api_handler api_vm_delete;

extern const struct field api_vm_list_answer[];
