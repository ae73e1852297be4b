/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Reports to systemd (sd_notify(3)). Without NOTIFY_SOCKET, so outside of a unit of Type=notify,
 * nothing is sent. May be called from any thread.
 */

/* "READY=1", "STOPPING=1" or "WATCHDOG=1". A report that cannot be sent is lost. */
void notify(const char *state);
