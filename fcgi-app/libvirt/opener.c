/* SPDX-License-Identifier: MIT */
#include "libvirt/opener.h"

#include "base/clock.h"
#include "base/thread.h"
#include "libvirt/virt_error.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* A silent daemon is given up after KEEPALIVE_SECONDS * (KEEPALIVE_COUNT + 1). */
enum { KEEPALIVE_SECONDS = 5, KEEPALIVE_COUNT = 3 };

/* An attempt takes a millisecond or hangs. */
enum { FREE_WAIT_MS = 200 };

struct opener {
	char *uri;
	int give_up_ms;
	opened_fn *opened;
	void *data;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	int users; /* the owner and each thread; the last one frees it */
	bool stop;
	bool wanted;
	bool running;    /* is there a thread that has not been given up? */
	bool delivering; /* is it inside opened()? */
	unsigned turn;   /* that thread's; one that has another was given up */
	int64_t since;   /* of the attempt under way, clock_ms(); 0: there is none */
	int64_t retry_at;
	int pause_ms; /* before jitter; 0: the last attempt did not fail */
	struct err err;
	struct opener_load load;
};

static void release(struct opener *opener)
{
	{
		LOCK(&opener->lock);
		if (--opener->users)
			return;
	}
	(void)pthread_cond_destroy(&opener->changed);
	(void)pthread_mutex_destroy(&opener->lock);
	free(opener->uri);
	free(opener);
}

static virConnectPtr open_uri(const char *uri, struct err *err)
{
	virConnectPtr conn = virConnectOpen(uri[0] ? uri : NULL);
	struct lease lease = { 0 };
	if (!conn) {
		(void)virt_fail(&lease, VIRT_READ, err);
		return NULL;
	}
	/* In-process drivers have none; the answer does not matter. */
	(void)virConnectSetKeepAlive(conn, KEEPALIVE_SECONDS, KEEPALIVE_COUNT);
	return conn;
}

/* The thread's side */

/* Those of several processes must not try at the same moments. */
static int64_t with_jitter(int ms)
{
	uint16_t random;
	if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
		return ms;
	return ms / 2 + (int64_t)ms * random / UINT16_MAX;
}

static void note_failure(struct opener *opener, const struct err *err)
{
	opener->pause_ms = opener->pause_ms ? opener->pause_ms * 2 : OPENER_PAUSE_MIN_MS;
	if (opener->pause_ms > OPENER_PAUSE_MAX_MS)
		opener->pause_ms = OPENER_PAUSE_MAX_MS;
	opener->retry_at = clock_ms() + with_jitter(opener->pause_ms);
	opener->err = *err;
	opener->load.failures++;
}

static bool is_due(const struct opener *opener)
{
	return opener->pause_ms ? clock_ms() >= opener->retry_at : opener->wanted;
}

/* Waits until there is something to open, and begins. false: it is time to stop. */
static bool begin(struct opener *opener)
{
	LOCK(&opener->lock);
	while (!opener->stop && !is_due(opener)) {
		struct timespec until = clock_after_ms(opener->retry_at - clock_ms());
		if (opener->pause_ms)
			(void)pthread_cond_timedwait(&opener->changed, &opener->lock, &until);
		else
			(void)pthread_cond_wait(&opener->changed, &opener->lock);
	}
	opener->since = clock_ms();
	opener->load.attempts += !opener->stop;
	return !opener->stop;
}

/* false: it was given up meanwhile, or nobody wants it any more. */
static bool finish(
	struct opener *opener, unsigned turn, virConnectPtr conn, const struct err *failure)
{
	LOCK(&opener->lock);
	if (turn != opener->turn) {
		opener->load.given_up--;
		return false;
	}
	opener->since = 0;
	if (opener->stop)
		return false;
	opener->wanted = false;
	opener->delivering = true;
	if (conn)
		opener->pause_ms = 0;
	else
		note_failure(opener, failure);
	return true;
}

static void finish_delivery(struct opener *opener)
{
	LOCK(&opener->lock);
	opener->delivering = false;
	(void)pthread_cond_broadcast(&opener->changed);
}

static void leave(struct opener *opener, unsigned turn)
{
	{
		LOCK(&opener->lock);
		if (turn == opener->turn) {
			opener->since = 0;
			opener->running = false;
		}
		(void)pthread_cond_broadcast(&opener->changed);
	}
	release(opener);
}

static unsigned read_turn(struct opener *opener)
{
	LOCK(&opener->lock);
	return opener->turn;
}

static void *run(void *data)
{
	struct opener *opener = data;
	unsigned turn = read_turn(opener); /* it changes in an attempt alone */
	while (begin(opener)) {
		struct err err;
		virConnectPtr conn = open_uri(opener->uri, &err);
		if (!finish(opener, turn, conn, &err)) {
			if (conn)
				(void)virConnectClose(conn);
			break;
		}
		opener->opened(opener->data, conn);
		finish_delivery(opener);
	}
	leave(opener, turn);
	return NULL;
}

/* The others' */

/* The lock is held. */
static void start(struct opener *opener)
{
	struct err err;
	opener->users++;
	opener->running = true;
	if (!thread_start(NULL, "libvirt-opener", run, opener))
		return;
	opener->users--;
	opener->running = false;
	(void)err_memory(&err);
	note_failure(opener, &err);
}

/* The daemon may have been replaced while the old one hangs. The lock is held. */
static void give_up_hung(struct opener *opener)
{
	if (!opener->since || clock_ms() - opener->since < opener->give_up_ms ||
		opener->load.given_up == OPENER_GIVEN_UP_MAX)
		return;
	opener->turn++;
	opener->load.given_up++;
	opener->since = 0;
	opener->running = false;
}

void opener_want(struct opener *opener, bool want)
{
	LOCK(&opener->lock);
	opener->wanted = want;
	if (!want)
		return;
	give_up_hung(opener);
	if (!opener->running && !opener->stop)
		start(opener);
	(void)pthread_cond_broadcast(&opener->changed);
}

int opener_check(struct opener *opener, int patience_ms, struct err *err)
{
	LOCK(&opener->lock);
	if (opener->since && clock_ms() - opener->since >= patience_ms)
		return err_set(
			err, ERR_HYPERVISOR_UNAVAILABLE, "the host's libvirt does not answer");
	if (opener->since || !opener->pause_ms || clock_ms() >= opener->retry_at)
		return 0;
	*err = opener->err;
	return -1;
}

struct opener_load opener_load(struct opener *opener)
{
	LOCK(&opener->lock);
	struct opener_load load = opener->load;
	load.opening_ms = opener->since ? clock_ms() - opener->since + 1 : 0;
	load.pause_ms = opener->pause_ms;
	return load;
}

struct opener *opener_new(const char *uri, int give_up_ms, opened_fn *opened, void *data)
{
	struct opener *opener = calloc(1, sizeof *opener);
	if (!opener)
		return NULL;
	opener->uri = strdup(uri);
	opener->give_up_ms = give_up_ms;
	opener->opened = opened;
	opener->data = data;
	opener->users = 1;
	(void)pthread_mutex_init(&opener->lock, NULL);
	cond_init_monotonic(&opener->changed);
	if (opener->uri)
		return opener;
	release(opener);
	return NULL;
}

void opener_free(struct opener *opener)
{
	struct timespec deadline = clock_after_ms(FREE_WAIT_MS);
	{
		LOCK(&opener->lock);
		opener->stop = true;
		(void)pthread_cond_broadcast(&opener->changed);
		for (bool late = false;
			opener->running && (!late || !opener->since || opener->delivering);)
			late = pthread_cond_timedwait(&opener->changed, &opener->lock, &deadline) ==
				ETIMEDOUT;
	}
	release(opener);
}
