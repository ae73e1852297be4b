/* SPDX-License-Identifier: MIT */
#pragma once
/* -device: a table of drivers, each with what reads it. Thread-safe: no state. */
#include "convert/qemu_option.h"

#include <stdio.h>

/* Properties of every device: libvirt chooses its place, and the guest which virtio it uses. */
#define QEMU_DEVICE_IGNORE \
	"id|bus|addr|multifunction|port|chassis|disable-legacy|disable-modern|packed|iommu_" \
	"platform"

/* Read when all other options are: a device speaks of drives, netdevs, chardevs. */
qemu_reader qemu_read_device;

/* The table, as Markdown. */
void qemu_device_print(FILE *out);
