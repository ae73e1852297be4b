/* SPDX-License-Identifier: MIT */
#pragma once
/* Handlers that turn others' words into ours; see api.h. */
#include "api/api.h"

api_handler api_convert_qemu_argv;
extern const struct field api_convert_answer[];
