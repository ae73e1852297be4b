/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * An event loop of the shape that libvirt asks for (libvirt-event.h), on a thread of its own.
 *
 * libvirt's own does the same with GLib, and there each change to a watch wakes the loop's thread
 * several times. A client makes two for each call to a daemon: the thread that calls reads the
 * socket itself meanwhile. That was more than half of what a call costs. Here a change is a system
 * call, and nothing wakes.
 *
 * All functions but event_loop_start() and event_loop_stop() may be called from any thread, from
 * within callbacks too. Callbacks run one after the other, on the loop's thread, with no lock held.
 */

/* Of a watch, as libvirt numbers them (virEventHandleType, 9.0.0). */
enum {
	EVENT_READABLE = 1,
	EVENT_WRITABLE = 2,
	EVENT_ERROR = 4,
	EVENT_HANGUP = 8,
};

typedef void event_watch_call(int watch, int fd, int events, void *data);
typedef void event_timer_call(int timer, void *data);
typedef void event_done(void *data);

int event_loop_start(void); /* once; -1: there is no memory, descriptor or thread for it */
/* What is still watched is let go, too, as if it had been removed; nothing can be added then. */
void event_loop_stop(void);

/*
 * Calls when one of the events is there, as long as it is; a watch that wants any is also told of
 * errors and hang-ups. A descriptor has one watch at a time, and is removed before it is closed. A
 * watch that was removed may be called once more if that has begun; done, which may be NULL, is
 * called after that. Returns the watch's number, from 1 on, or -1.
 */
int event_loop_add_watch(int fd, int events, event_watch_call *call, void *data, event_done *done);
void event_loop_update_watch(int watch, int events);

/* Calls each time so many milliseconds have passed; -1: never. The rest is as above. */
int event_loop_add_timer(int ms, event_timer_call *call, void *data, event_done *done);
void event_loop_update_timer(int timer, int ms);

/* A watch or a timer, of which no two have one number. -1: there is none. */
int event_loop_remove(int number);
