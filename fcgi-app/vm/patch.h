/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Changing a VM by a JSON merge patch (RFC 7396): in its definition, which takes effect at the next
 * start, in the running guest, or in both. All or nothing: when a step fails, the steps before it
 * are rolled back. A part stays changed only when virtgate itself dies in between. May be called
 * from any thread.
 */
#include "base/config.h"
#include "vm/host.h"
#include "vm/patch_member.h"

/* PATCH_USUAL: the definition; title, description and labels in the guest too (docs/api.md). */
#define PATCH_APPLIES(FIRST, NEXT) \
	FIRST(PATCH_CONFIG, "config") \
	NEXT(PATCH_LIVE, "live") \
	NEXT(PATCH_BOTH, "both")
enum patch_apply { PATCH_USUAL, PATCH_APPLIES(NAMED_VALUE, NAMED_VALUE) PATCH_APPLY_COUNT };
#define PATCH_APPLY_NAMES PATCH_APPLIES(NAMED_FIRST, NAMED_NEXT)
enum patch_apply patch_apply_of(const char *name); /* NULL: PATCH_USUAL */

struct patched {
	struct vm vm;
	bool changed;
	/* Sets of members, 1U << enum patch_member: */
	unsigned config;  /* changed in the definition */
	unsigned live;    /* changed in the running guest */
	unsigned restart; /* different in the guest until its next start */
};

/*
 * The fields are an object that patch_fields has accepted. ERR_WRONG_STATE when the VM does not
 * have what is to be changed: a transient VM has no definition, and a VM that is off no guest.
 * ERR_INVALID_SPEC for a value that this VM cannot have, ERR_UNSUPPORTED for a member that cannot
 * be changed in this VM.
 */
int patch_vm(const struct config *config, struct host *host, const struct target *target,
	const struct json *fields, enum patch_apply apply, struct patched *ret, struct err *err);
