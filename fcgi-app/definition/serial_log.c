/* SPDX-License-Identifier: MIT */
#include "definition/serial_log.h"

#include "base/text.h"
#include "base/uuid.h"

#include <stdio.h>
#include <string.h>

bool serial_log_is_name(const char *name, size_t len)
{
	char text[65];
	(void)snprintf(
		text, sizeof text, "%.*s", (int)(len < sizeof text ? len : sizeof text), name);
	return text_is_name(text);
}

bool serial_log_is_own(const char *file, const char *uuid)
{
	size_t n = strlen(uuid);
	return n == UUID_SIZE - 1 && !strncmp(file, uuid, n) && file[n] == '@' &&
		text_is_name(file + n + 1);
}
