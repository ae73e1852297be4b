/* SPDX-License-Identifier: MIT */
#include "libvirt/long_work.h"

#include "base/clock.h"
#include "base/thread.h"
#include "base/wait.h"

#include <string.h>

struct long_works {
	int max;
	int max_calls;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	LIST_HEAD(long_work_list, long_work) running;
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

/* How many are running; the lock is held. */
struct long_count {
	int all, calls, parked;
};

/* Of this user; NULL: of all. */
static struct long_count count_running(const struct long_works *works, const char *user)
{
	struct long_count count = { 0 };
	const struct long_work *work;
	LIST_FOREACH(work, &works->running, entry) {
		if (user && strcmp(work->user, user) != 0)
			continue;
		count.all++;
		count.calls += work->kind == LONG_WORK_CALL;
		count.parked += work->kind == LONG_WORK_PARKED;
	}
	return count;
}

static bool has_place(struct long_count count, int max, int max_calls, enum long_work_kind kind)
{
	if (kind == LONG_WORK_PARKED)
		return count.parked < max * LONG_WORK_PARKED_TIMES;
	return count.all - count.parked < max &&
		(kind != LONG_WORK_CALL || count.calls < max_calls);
}

static int half_of(int max)
{
	return max > 1 ? max / 2 : 1;
}

static bool has_own_place(
	const struct long_works *works, enum long_work_kind kind, const char *user)
{
	return has_place(
		count_running(works, user), half_of(works->max), half_of(works->max_calls), kind);
}

static bool try_locked(struct hypervisor *hypervisor, enum long_work_kind kind, const char *user,
	struct long_work *ret)
{
	struct long_works *works = hypervisor->long_works;
	if (!has_place(count_running(works, NULL), works->max, works->max_calls, kind) ||
		!has_own_place(works, kind, user))
		return false;
	*ret = (struct long_work){ .hypervisor = hypervisor, .kind = kind, .user = user };
	LIST_INSERT_HEAD(&works->running, ret, entry);
	return true;
}

bool long_work_try(struct hypervisor *hypervisor, enum long_work_kind kind, const char *user,
	struct long_work *ret)
{
	LOCK(&hypervisor->long_works->lock);
	return try_locked(hypervisor, kind, user ? user : "", ret);
}

static int fail_no_place(
	struct hypervisor *hypervisor, enum long_work_kind kind, const char *user, struct err *err)
{
	if (has_own_place(hypervisor->long_works, kind, user))
		return err_set(err, ERR_HOST_BUSY,
			"host '%s' is already running its maximum number of long operations",
			hypervisor->name);
	return err_set(err, ERR_HOST_BUSY,
		"host '%s' is already running as many long operations as one user may have",
		hypervisor->name);
}

int long_work_begin(struct hypervisor *hypervisor, enum long_work_kind kind, const char *user,
	struct long_work *ret, struct err *err)
{
	struct long_works *works = hypervisor->long_works;
	const char *name = user ? user : "";
	int64_t until = clock_ms() + LONG_WORK_WAIT_MS;
	AUTO_WAIT struct wait wait = wait_begin("long work", name);
	LOCK(&works->lock);
	while (!try_locked(hypervisor, kind, name, ret))
		if (!wait_on(&wait, &works->changed, &works->lock, until))
			return fail_no_place(hypervisor, kind, name, err);
	return 0;
}

void long_work_leave_call(struct long_work *work)
{
	struct long_works *works = work->hypervisor->long_works;
	LOCK(&works->lock);
	work->kind = LONG_WORK_WAIT;
	(void)pthread_cond_broadcast(&works->changed);
}

void long_work_end(struct long_work *work)
{
	if (!work->hypervisor)
		return;
	struct long_works *works = work->hypervisor->long_works;
	LOCK(&works->lock);
	LIST_REMOVE(work, entry);
	work->hypervisor = NULL;
	(void)pthread_cond_broadcast(&works->changed);
}

struct long_works_load long_works_load(struct long_works *works)
{
	LOCK(&works->lock);
	return (struct long_works_load){ count_running(works, NULL).all, works->max };
}
