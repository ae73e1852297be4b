/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Which parts of a VM's definition take effect only at its next start: those in which it differs
 * from the running domain, apart from what libvirt itself adds to a running domain. Both are XML
 * that libvirt wrote. Thread-safe: no state.
 */
#include "base/named.h"
#include "format/xml.h"

/* PENDING_BOOT: kernel, firmware and boot order of the machine. PENDING_DEVICES: all other devices.
 */
#define PENDING_PARTS(FIRST, NEXT) \
	FIRST(PENDING_TITLE, "title") \
	NEXT(PENDING_DESCRIPTION, "description") \
	NEXT(PENDING_LABELS, "labels") \
	NEXT(PENDING_VCPUS, "vcpus") \
	NEXT(PENDING_MEMORY, "memory_kib") \
	NEXT(PENDING_BOOT, "boot") \
	NEXT(PENDING_DISKS, "disks") \
	NEXT(PENDING_INTERFACES, "interfaces") \
	NEXT(PENDING_GRAPHICS, "graphics") \
	NEXT(PENDING_DEVICES, "devices")
enum pending_part { PENDING_PARTS(NAMED_VALUE, NAMED_VALUE) PENDING_COUNT };
#define PENDING_NAMES PENDING_PARTS(NAMED_FIRST, NAMED_NEXT)
const char *pending_name(enum pending_part part);

/* A bit, 1 << part, for each part that differs. */
unsigned pending_parts(const struct xml_node *live, const struct xml_node *definition);
