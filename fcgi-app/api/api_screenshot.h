/* SPDX-License-Identifier: MIT */
#pragma once
/* The handler of what a VM's screen shows. */
#include "api/api.h"

api_handler api_vm_screenshot;

extern const struct field api_vm_screenshot_query[];
