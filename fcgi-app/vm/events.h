/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a host's VMs go through while this process watches, by libvirt's events, on a connection of
 * its own beside the pool. Events are hints: they come after the fact, and some come for what did
 * not happen. Whoever uses one compares it with what it has read.
 *
 * When the connection is lost, all that was remembered is forgotten, because events may have been
 * missed; it is opened again for as long as it takes. All functions may be called from any thread.
 */
#include "libvirt/domain.h"

struct events;

/* Starts a thread that opens the connection: nobody waits for that. NULL: no memory, no thread. */
struct events *events_new(struct hypervisor *hypervisor);
/* Waits for the connection to be closed, for which libvirt has no timeout. */
void events_free(struct events *events);

/*
 * When the VM came into this state, in milliseconds since 1970, by the clock here; id is libvirt's
 * of the domain that runs. -1: that was not seen, as of a VM that was in it before the watch began.
 */
int64_t events_since(struct events *events, const char *uuid, enum vm_state state, int id);

/*
 * For threads that wait for a VM to change. Events are numbered; events_latest() is the number of
 * the latest one, and 0 while there is no connection. events may be NULL: there never is one.
 */
uint64_t events_latest(struct events *events);
/* Waits at most ms for an event that is later than `seen`; returns events_latest(). */
uint64_t events_wait(struct events *events, uint64_t seen, int ms);
/* Has the VM changed since, or may it have, because the connection was opened after that? */
bool events_changed(struct events *events, const char *uuid, uint64_t seen);
