/* SPDX-License-Identifier: MIT */
#pragma once
/* -device: a table of drivers, each with its reader. Thread-safe: no state. */
#include "convert/qemu_option.h"

#include <stdio.h>

/* Properties of every device: libvirt chooses its place, and the guest which virtio it uses. */
#define QEMU_DEVICE_IGNORE \
	"id|bus|addr|multifunction|port|chassis|disable-legacy|disable-modern|packed|iommu_" \
	"platform"

/* Read after all other options: a device refers to drives, netdevs and chardevs. */
qemu_reader qemu_read_device;

/* The table, as Markdown. */
void qemu_device_print(FILE *out);
