/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Changing a VM by a JSON merge patch (RFC 7396): in its definition, which counts from the next
 * start on, in the guest that runs, or in both. All or nothing: when a step fails, those before it
 * are put back. Only when virtgate itself dies in between a part may stay done. May be called from
 * any thread.
 */
#include "base/config.h"
#include "format/field.h"
#include "vm/host.h"

enum patch_apply {
	PATCH_USUAL, /* the definition; title, description and labels live, too; see docs/api.md */
	PATCH_CONFIG,
	PATCH_LIVE,
	PATCH_BOTH,
	PATCH_APPLY_COUNT
};

/* In the order in which they are done live: the ones that can fail come first. */
enum patch_member {
	PATCH_MEMORY_KIB,
	PATCH_VCPUS,
	PATCH_TITLE,
	PATCH_DESCRIPTION,
	PATCH_LABELS,
	PATCH_MEMBER_COUNT
};

/* The body of PATCH /v1/vms/{ref}: these, and autostart, which is the host's. */
extern const struct field patch_fields[];
const char *patch_member_name(enum patch_member member);

struct patched {
	struct vm vm;
	bool changed;
	/* Sets of members, 1U << enum patch_member: what was changed where … */
	unsigned config;
	unsigned live;
	unsigned restart; /* … and what the guest that runs has otherwise than its next start */
};

/*
 * The fields are an object that patch_fields has passed. ERR_WRONG_STATE when the patch is for what
 * the VM has not: a transient one has no definition, and one that is off no guest.
 * ERR_INVALID_SPEC for a value that this VM cannot have, ERR_UNSUPPORTED for what cannot be changed
 * in it.
 */
int patch_vm(struct host *host, const struct target *target, const struct json *fields,
	enum patch_apply apply, struct patched *ret, struct err *err);
