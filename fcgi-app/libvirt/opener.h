/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Opens connections to one libvirt URI, one at a time, in a thread of its own: virConnectOpen() has
 * no timeout, and hangs for ever on a daemon that is stopped. What hangs for long is given up, and
 * another thread tries; what it opens late is closed.
 *
 * After a failure it tries again by itself until it succeeds, each time after a longer pause, so
 * that a host that is back is noticed though nobody asks, and however many ask there is one attempt
 * for each pause.
 *
 * All functions may be called from any thread, opened() among them.
 */
#include "libvirt/virt.h"

enum { OPENER_PAUSE_MIN_MS = 100, OPENER_PAUSE_MAX_MS = 2000 }; /* give or take a half */
enum { OPENER_GIVEN_UP_MAX = 3 };                               /* that hang, at a time */

/*
 * opened() gets each connection as its own, and NULL for each failure; no lock is held. An attempt
 * is given up after give_up_ms.
 */
struct opener;
typedef void opened_fn(void *data, virConnectPtr conn);
struct opener *opener_new(const char *uri, int give_up_ms, opened_fn *opened, void *data);
/* Afterwards opened() is not called any more; a thread that hangs is left to itself. */
void opener_free(struct opener *opener);

/* Shall there be another connection? Holds until the next one is there, or the next call. */
void opener_want(struct opener *opener, bool want);

/*
 * Can one be expected? ERR_HYPERVISOR_UNAVAILABLE when the attempt under way has taken longer than
 * patience_ms already; the last attempt's error while the pause after it lasts.
 */
int opener_check(struct opener *opener, int patience_ms, struct err *err);

struct opener_load {
	uint64_t attempts, failures; /* ever */
	int64_t opening_ms;          /* of the attempt under way; 0: there is none */
	int pause_ms;                /* after the last attempt; 0: it succeeded */
	int given_up;                /* that still hang */
};
struct opener_load opener_load(struct opener *opener);
