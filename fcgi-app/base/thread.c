/* SPDX-License-Identifier: MIT */
#include "base/thread.h"

/* libvirt's client parses XML and its test driver checks schemas on these stacks. */
enum { STACK_BYTES = 1024 * 1024 };

int thread_start(pthread_t *ret, const char *name, void *(*function)(void *), void *data)
{
	pthread_attr_t attr;
	pthread_t thread;
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	int rc = pthread_create(&thread, &attr, function, data);
	(void)pthread_attr_destroy(&attr);
	if (rc)
		return -1;
	(void)pthread_setname_np(thread, name);
	if (ret)
		*ret = thread;
	else
		(void)pthread_detach(thread);
	return 0;
}

void cond_init_monotonic(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(cond, &attr);
	(void)pthread_condattr_destroy(&attr);
}
