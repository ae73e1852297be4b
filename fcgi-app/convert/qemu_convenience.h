/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What reads the convenience options: those that make a device without -device. Thread-safe: no
 * state.
 */
#include "convert/qemu_option.h"

qemu_reader qemu_read_drive;
qemu_reader qemu_read_image_file; /* -hda FILE and the like; a bare FILE */
qemu_reader qemu_read_nic;
qemu_reader qemu_read_net;
qemu_reader qemu_read_virtfs;
qemu_reader qemu_read_serial;
qemu_reader qemu_read_display;
qemu_reader qemu_read_vnc;
qemu_reader qemu_read_vga;
qemu_reader qemu_read_usbdevice;
qemu_reader qemu_read_watchdog;
