/* SPDX-License-Identifier: MIT */
#include "base/err.h"

#include "base/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static const struct {
	int status;
	const char *code;
	int retry_after;
} kinds[] = {
#define X(kind, status, code, retry) [kind] = { status, code, retry },
	ERR_KINDS(X)
#undef X
};

int err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
{
	assert(kind < ERR_KIND_COUNT);
	struct err made = { .kind = kind };
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(made.text, sizeof made.text, fmt, args);
	va_end(args);
	text_mask_malformed(made.text);
	*err = made;
	return -1;
}

int err_hint(struct err *err, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(err->hint, sizeof err->hint, fmt, args);
	va_end(args);
	text_mask_malformed(err->hint);
	return -1;
}

int err_state(struct err *err, const char *state)
{
	(void)snprintf(err->state, sizeof err->state, "%s", state);
	return -1;
}

int err_memory(struct err *err)
{
	return err_set(err, ERR_INTERNAL, "virtgate ran out of memory on this request");
}

int err_status(enum err_kind kind)
{
	return kinds[kind].status;
}

const char *err_code(enum err_kind kind)
{
	return kinds[kind].code;
}

int err_retry_after(enum err_kind kind)
{
	return kinds[kind].retry_after;
}
