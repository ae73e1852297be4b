/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * An event loop with the functions that libvirt asks of one (libvirt-event.h), in a thread of its
 * own.
 *
 * libvirt has such a loop, made with GLib, in which each change of a watch wakes the loop's thread
 * several times. A client makes two changes for each call to a daemon, because the calling thread
 * reads the socket itself meanwhile; that was more than half of what a call costs. Here a change is
 * one system call, and wakes nobody.
 *
 * All functions but event_loop_start() and event_loop_stop() may be called from any thread, also by
 * callbacks. Callbacks run one after another, in the loop's thread, with no lock held.
 */

/* What a watch waits for, with libvirt's numbers (virEventHandleType, 9.0.0). */
enum {
	EVENT_READABLE = 1,
	EVENT_WRITABLE = 2,
	EVENT_ERROR = 4,
	EVENT_HANGUP = 8,
};

typedef void event_watch_call(int watch, int fd, int events, void *data);
typedef void event_timer_call(int timer, void *data);
typedef void event_done(void *data);

int event_loop_start(void); /* once; -1: no memory, descriptor or thread */
/* Removes what is still watched. Nothing can be added afterwards. */
void event_loop_stop(void);

/*
 * Calls call() for as long as one of the events is there. A watch that waits for any event also
 * gets errors and hang-ups. A descriptor has at most one watch, and is closed after the watch is
 * removed. If call() is about to run when the watch is removed, it still runs once; done(), which
 * may be NULL, runs after that. Returns the watch's number, from 1 on, or -1.
 */
int event_loop_add_watch(int fd, int events, event_watch_call *call, void *data, event_done *done);
void event_loop_update_watch(int watch, int events);

/* Calls call() every ms milliseconds; -1: never. Otherwise like a watch. */
int event_loop_add_timer(int ms, event_timer_call *call, void *data, event_done *done);
void event_loop_update_timer(int timer, int ms);

/* Removes a watch or a timer: no two of them have the same number. -1: there is none. */
int event_loop_remove(int number);
