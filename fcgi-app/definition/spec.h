/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a VM shall be, said in JSON, made into domain XML: always as a tree, never as text, so that
 * a title with a tag in it stays a title. What comes out goes through the policy like anybody's
 * XML. Thread-safe: no state.
 */
#include "format/field.h"
#include "format/xml.h"

/*
 * The body of POST /v1/vms. Of these "template", "xml", "persistent", "start" and "carrier_disk"
 * say what the caller does with the document; the rest is what spec_apply() puts into it.
 */
extern const struct field spec_fields[];

/*
 * The document that a spec starts from when it names no other: what QEMU itself would be without
 * options, a serial console, and VNC on the loopback. ERR_INVALID_SPEC when the spec lacks a name
 * or memory, which it has to say then.
 */
int spec_base(const struct json *spec, struct xml **ret, struct err *err);

/*
 * Puts what the spec says into a <domain>, in place of what stands there. Of disks, interfaces,
 * filesystems, labels the whole list is replaced, and so are graphics and serial.
 * ERR_INVALID_SPEC for what its fields cannot say together.
 */
int spec_apply(const struct json *spec, struct xml_node *domain, struct err *err);

/* Adds a qcow2 disk that any machine has a place for. */
int spec_add_disk(struct xml_node *domain, const char *path, struct err *err);
