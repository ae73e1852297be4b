/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The times at which a host's VMs came into their states, from libvirt's events, which arrive on a
 * connection of its own beside the leased ones. Events are hints: they arrive after the change, and
 * some report a change that did not happen. So a caller compares them with what it has read.
 *
 * When the connection is lost, all times are forgotten, because events may have been missed, and
 * the connection is opened again, however long that takes. All functions may be called from any
 * thread.
 */
#include "libvirt/domain.h"

struct events;

/* Starts a thread, which opens the connection. NULL: memory, or no thread. */
struct events *events_new(struct hypervisor *hypervisor);
/* Waits until the connection is closed, for which libvirt has no timeout. */
void events_free(struct events *events);

/*
 * When the VM came into this state, in milliseconds since 1970 by this machine's clock; id is
 * libvirt's of the running domain. -1: no event reported it, as for a VM that was in the state
 * before the connection was opened.
 */
int64_t events_since(struct events *events, const char *uuid, enum vm_state state, int id);

/*
 * For threads that wait for a VM to change. Events are numbered; events_latest() is the number of
 * the latest event, and 0 while there is no connection, as if events is NULL.
 */
uint64_t events_latest(struct events *events);
/* Waits at most ms for an event that is later than `seen`; returns events_latest(). */
uint64_t events_wait(struct events *events, uint64_t seen, int ms);
/* Has the VM changed after the event `seen`? Also true if the connection was opened after it. */
bool events_changed(struct events *events, const char *uuid, uint64_t seen);
