/* SPDX-License-Identifier: MIT */
#pragma once
/* Handlers of what starts and stops VMs. */
#include "api.h"

api_handler api_vm_start;
api_handler api_vm_stop;
api_handler api_vm_suspend;
api_handler api_vm_resume;
api_handler api_vm_reboot;
api_handler api_vm_reset;
