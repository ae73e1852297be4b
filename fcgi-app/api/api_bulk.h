/* SPDX-License-Identifier: MIT */
#pragma once
/* Handlers of one action on many VMs. */
#include "api/api.h"

api_handler api_bulk_start;
api_handler api_bulk_stop;
api_handler api_bulk_suspend;
api_handler api_bulk_resume;
api_handler api_bulk_delete;

extern const struct field api_bulk_fields[];
extern const struct field api_bulk_stop_fields[];
extern const struct field api_bulk_answer[];
