/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The connection opener of one libvirt URI. It opens one connection at a time, in a thread of its
 * own, because virConnectOpen() has no timeout and hangs for ever if libvirtd is stopped. An
 * attempt that takes too long is given up: another thread tries again, and what the old thread
 * opens late is closed.
 *
 * After a failure the opener tries again by itself until it succeeds, with growing pauses. So a
 * host that is back is noticed even if no request asks for it, and many requests together cause one
 * attempt for each pause.
 *
 * All functions may be called from any thread, also by opened().
 */
#include "libvirt/virt.h"

enum { OPENER_PAUSE_MIN_MS = 100, OPENER_PAUSE_MAX_MS = 2000 }; /* plus or minus one half */
enum { OPENER_GIVEN_UP_MAX = 3 }; /* attempts that were given up and still hang */

/*
 * opened() gets each connection, which it then owns, and NULL after each failed attempt; no lock is
 * held. An attempt is given up after give_up_ms. NULL: no memory.
 */
struct opener;
typedef void opened_fn(void *data, virConnectPtr conn);
struct opener *opener_new(const char *uri, int give_up_ms, opened_fn *opened, void *data);
/* opened() is not called afterwards. A thread that hangs ends when libvirt lets it go. */
void opener_free(struct opener *opener);

/*
 * Says whether another connection is wanted. This holds until a connection is opened, an attempt
 * fails, or the next call.
 */
void opener_want(struct opener *opener, bool want);

/*
 * Can a connection be expected? ERR_HYPERVISOR_UNAVAILABLE if the running attempt has taken longer
 * than patience_ms. During the pause after a failed attempt: the error of that attempt.
 */
int opener_check(struct opener *opener, int patience_ms, struct err *err);

/* The version of the last connection's libvirt, as virConnectGetLibVersion(); 0: not known. */
unsigned long opener_libvirt_version(struct opener *opener);

struct opener_load {
	uint64_t attempts, failures; /* since the start */
	int64_t opening_ms;          /* age of the running attempt; 0: none runs */
	int pause_ms;                /* after the last attempt; 0: it succeeded */
	int given_up;                /* attempts that were given up and still hang */
};
struct opener_load opener_load(struct opener *opener);
