/* SPDX-License-Identifier: MIT */
#pragma once
/* Is an answer what its table of fields says, as the OpenAPI document promises it? */
#include "format/field.h"

/* NULL, or the name of a member that is not as it should be, or that is missing. */
const char *shape_misfit(const struct field *fields, const struct json *object);
