/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What of a VM's definition waits for its next start: where that differs from the domain that runs,
 * apart from what libvirt itself adds to the latter. Both are libvirt's own XML. Thread-safe: no
 * state.
 */
#include "format/xml.h"

enum pending_part {
	PENDING_TITLE,
	PENDING_DESCRIPTION,
	PENDING_LABELS,
	PENDING_VCPUS,
	PENDING_MEMORY,
	PENDING_BOOT, /* kernel, firmware, boot order of the machine */
	PENDING_DISKS,
	PENDING_INTERFACES,
	PENDING_GRAPHICS,
	PENDING_DEVICES, /* all others */
	PENDING_COUNT
};
#define PENDING_NAMES \
	"title|description|labels|vcpus|memory_kib|boot|disks|interfaces|graphics|devices"

const char *pending_name(enum pending_part part);

/* A bit, 1 << part, for each that differs. */
unsigned pending_parts(const struct xml_node *live, const struct xml_node *definition);
