/* SPDX-License-Identifier: MIT */
#include "libvirt/long_work.h"

#include "base/clock.h"
#include "base/thread.h"

#include <errno.h>

struct long_works {
	int max;
	int max_calls;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	int running;
	int calls; /* of them */
};

struct long_works *long_works_new(int max, int max_calls)
{
	struct long_works *works = calloc(1, sizeof *works);
	if (!works)
		return NULL;
	works->max = max > 1 ? max : 1;
	works->max_calls = max_calls > 1 ? max_calls : 1;
	(void)pthread_mutex_init(&works->lock, NULL);
	cond_init_monotonic(&works->changed);
	return works;
}

void long_works_free(struct long_works *works)
{
	(void)pthread_cond_destroy(&works->changed);
	(void)pthread_mutex_destroy(&works->lock);
	free(works);
}

/* The lock is held. */
static bool try_locked(
	struct hypervisor *hypervisor, enum long_work_kind kind, struct long_work *ret)
{
	struct long_works *works = hypervisor->long_works;
	if (works->running >= works->max ||
		(kind == LONG_WORK_CALL && works->calls >= works->max_calls))
		return false;
	works->running++;
	works->calls += kind == LONG_WORK_CALL;
	*ret = (struct long_work){ hypervisor, kind };
	return true;
}

bool long_work_try(struct hypervisor *hypervisor, enum long_work_kind kind, struct long_work *ret)
{
	LOCK(&hypervisor->long_works->lock);
	return try_locked(hypervisor, kind, ret);
}

int long_work_begin(struct hypervisor *hypervisor, enum long_work_kind kind, struct long_work *ret,
	struct err *err)
{
	struct timespec deadline = clock_after_ms(LONG_WORK_WAIT_MS);
	struct long_works *works = hypervisor->long_works;
	LOCK(&works->lock);
	for (bool late = false; !try_locked(hypervisor, kind, ret);) {
		if (late)
			return err_set(err, ERR_HOST_BUSY,
				"host '%s' is already running its maximum number of long "
				"operations",
				hypervisor->name);
		late = pthread_cond_timedwait(&works->changed, &works->lock, &deadline) ==
			ETIMEDOUT;
	}
	return 0;
}

void long_work_leave_call(struct long_work *work)
{
	struct long_works *works = work->hypervisor->long_works;
	LOCK(&works->lock);
	works->calls -= work->kind == LONG_WORK_CALL;
	work->kind = LONG_WORK_WAIT;
	(void)pthread_cond_broadcast(&works->changed);
}

void long_work_end(struct long_work *work)
{
	if (!work->hypervisor)
		return;
	struct long_works *works = work->hypervisor->long_works;
	LOCK(&works->lock);
	works->running--;
	works->calls -= work->kind == LONG_WORK_CALL;
	work->hypervisor = NULL;
	(void)pthread_cond_broadcast(&works->changed);
}

struct long_works_load long_works_load(struct long_works *works)
{
	LOCK(&works->lock);
	return (struct long_works_load){ works->running, works->max };
}
