/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a patch can change of a VM: how each member is edited in a <domain>, pushed into the running
 * guest, and compared. Thread-safe: no state.
 */
#include "base/named.h"
#include "format/field.h"
#include "format/xml.h"
#include "libvirt/virt.h"

/* In the order in which they are pushed: those that can fail come first. */
#define PATCH_MEMBERS(FIRST, NEXT) \
	FIRST(PATCH_MEMORY_KIB, "memory_kib") \
	NEXT(PATCH_VCPUS, "vcpus") \
	NEXT(PATCH_TITLE, "title") \
	NEXT(PATCH_DESCRIPTION, "description") \
	NEXT(PATCH_LABELS, "labels")
enum patch_member { PATCH_MEMBERS(NAMED_VALUE, NAMED_VALUE) PATCH_MEMBER_COUNT };
#define PATCH_MEMBER_NAMES PATCH_MEMBERS(NAMED_FIRST, NAMED_NEXT)
const char *patch_member_name(enum patch_member member);

/* The body of PATCH /v1/vms/{ref}: the members, and autostart, which is a setting of the host. */
extern const struct field patch_fields[];

/*
 * Puts the value into a <domain>: the definition, or, with `live`, what the guest runs with. Null
 * removes a member that may be missing. ERR_INVALID_SPEC, ERR_UNSUPPORTED.
 */
int patch_member_edit(enum patch_member member, bool live, struct xml_node *domain,
	const struct json *value, struct err *err);

/* Changes the running guest to what the <domain> says. -1: libvirt has the error. */
int patch_member_push(enum patch_member member, virDomainPtr dom, const struct xml_node *domain);

/* Do the two <domain>s have the same value? Also false when memory runs out. */
bool patch_member_is_same(
	enum patch_member member, const struct xml_node *a, const struct xml_node *b);
