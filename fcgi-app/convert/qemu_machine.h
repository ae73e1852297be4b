/* SPDX-License-Identifier: MIT */
#pragma once
/* What reads the options that are about the machine. Thread-safe: no state. */
#include "convert/qemu_option.h"

qemu_reader qemu_read_machine;
qemu_reader qemu_read_accel;
qemu_reader qemu_read_cpu;
qemu_reader qemu_read_smp;
qemu_reader qemu_read_memory;
qemu_reader qemu_read_name;
qemu_reader qemu_read_rtc;
qemu_reader qemu_read_boot;
