/* SPDX-License-Identifier: MIT */
#pragma once
/* `virtgate convert`: the conversion on a terminal. */
#include "base/config.h"

/*
 * The result on standard output, what became of each option on standard error. Returns the exit
 * status: 0, or 1 when the policy refuses what came out, or it cannot be converted.
 */
int convert_command(const struct config *config);
