/* SPDX-License-Identifier: MIT */
#pragma once
/* -device: a table of drivers, each with what reads it. Thread-safe: no state. */
#include "convert/qemu_option.h"

#include <stdio.h>

/* Read when all other options are: a device speaks of drives, netdevs, chardevs. */
int qemu_read_device(struct qemu_reading *r, struct qemu_option *o);

/* The table, as Markdown. */
void qemu_device_print(FILE *out);
