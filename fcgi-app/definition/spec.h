/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Makes domain XML from a spec, the JSON description of a VM: always as a tree, never as text, so
 * that a title with a tag in it stays a title. The result goes through the policy like any client's
 * XML. Thread-safe: no state.
 */
#include "format/field.h"
#include "format/xml.h"

/*
 * The fields of a spec, which is the body of POST /v1/vms. The fields "template", "xml",
 * "persistent", "start" and "carrier_disk" are for the caller; spec_apply() applies the others.
 */
extern const struct field spec_fields[];

/*
 * The document that a spec without template or XML starts from: QEMU's default machine with a
 * serial console, and VNC on the loopback. ERR_INVALID_SPEC if the spec has no name or no
 * memory_kib.
 */
int spec_base(const struct json *spec, struct xml **ret, struct err *err);

/*
 * Puts the fields of the spec into a <domain>, replacing what it has. The lists of disks,
 * interfaces, filesystems and labels are replaced as a whole, and so are graphics and serial.
 * ERR_INVALID_SPEC if fields contradict each other.
 */
int spec_apply(const struct json *spec, struct xml_node *domain, struct err *err);

/* Adds a qcow2 disk on a bus that the machine of the <domain> has. */
int spec_add_disk(struct xml_node *domain, const char *path, struct err *err);
