/* SPDX-License-Identifier: MIT */
#pragma once
/* Handlers of snapshots; what each is for stands in its row of routes.c. */
#include "api/api.h"

api_handler api_snapshot_list;
api_handler api_snapshot_create;
api_handler api_snapshot_get;
api_handler api_snapshot_delete;
api_handler api_snapshot_revert;

extern const struct field api_snapshot_list_answer[];
extern const struct field api_snapshot_answer[];
extern const struct field api_snapshot_delete_answer[];
extern const struct field api_snapshot_revert_answer[];
