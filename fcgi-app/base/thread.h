/* SPDX-License-Identifier: MIT */
#pragma once
/* Starting threads, all but the first, and condition variables. Callable from any thread. */
#include <pthread.h>

/*
 * Starts a thread that runs function(data) on a stack of 1 MiB. The name is what ps and gdb show,
 * at most 15 bytes. With ret the caller joins or detaches the thread; with NULL it is detached. It
 * inherits the caller's signal mask: main() blocks SIGTERM and SIGINT before the first thread.
 * Returns 0; or -1: the system is out of memory or threads.
 */
int thread_start(pthread_t *ret, const char *name, void *(*function)(void *), void *data);

/* Like pthread_cond_init(), but timed waits go by the monotonic clock: see clock_after_ms(). */
void cond_init_monotonic(pthread_cond_t *cond);
