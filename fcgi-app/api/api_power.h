/* SPDX-License-Identifier: MIT */
#pragma once
/* Handlers of what starts and stops a VM. */
#include "api/api.h"
#include "vm/stop.h"

api_handler api_vm_start;
api_handler api_vm_stop;
api_handler api_vm_suspend;
api_handler api_vm_resume;
api_handler api_vm_reboot;
api_handler api_vm_reset;
api_handler api_vm_save;
api_handler api_vm_drop_save;

/* Of most actions, of a start and of a stop. */
extern const struct field api_power_answer[];
extern const struct field api_power_start_answer[];
extern const struct field api_power_stop_answer[];

/* The body of a stop. */
enum { API_POWER_TIMEOUT_MAX = 600 };
extern const struct field api_power_stop_fields[];
/* What a body with such fields says. */
struct stop_how api_power_stop_how(const struct api_call *call);
