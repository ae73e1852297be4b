/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * VMs of libvirt's test driver, which is one host for the whole process: "on", which runs and has
 * the snapshot "one", and "off". For one thread.
 */
#include "fuzz.h"

void world_open(void);
/* Removes whatever there is, and makes these anew. */
void world_reset(void);
/* Of all that there is, but for what changes by itself. */
uint64_t world_fingerprint(void);

#define WORLD_ON "00000000-0000-4000-8000-000000000001"
#define WORLD_OFF "00000000-0000-4000-8000-000000000002"
