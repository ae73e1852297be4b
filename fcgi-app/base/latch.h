/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A latch is closed until one thread opens it, once and for all. What that thread wrote before is
 * visible to every thread whose wait ended. All waiting threads wake together and none takes a
 * lock, however many they are. A latch of zero bytes is closed.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

struct latch {
	atomic_uint open;
};
void latch_open(struct latch *latch);

/* Waits until the absolute time of clock_after_ms(); NULL: without limit. false: still closed. */
bool latch_wait(struct latch *latch, const struct timespec *deadline);
