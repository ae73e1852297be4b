/* SPDX-License-Identifier: MIT */
#include "libvirt/opener.h"

#include "base/clock.h"
#include "base/thread.h"
#include "libvirt/virt_error.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* A silent daemon loses the connection after KEEPALIVE_SECONDS * (KEEPALIVE_COUNT + 1). */
enum { KEEPALIVE_SECONDS = 5, KEEPALIVE_COUNT = 3 };

/* How long opener_free() waits for an attempt: it takes a millisecond, or hangs. */
enum { FREE_WAIT_MS = 200 };

struct opener {
	char *uri;
	int give_up_ms;
	opened_fn *opened;
	void *data;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	int users; /* the owner and each thread; the last one frees the opener */
	bool stop;
	bool wanted;
	bool running;    /* there is a thread that has not been given up */
	bool delivering; /* that thread is inside opened() */
	unsigned turn;   /* that thread's; a thread with an older turn was given up */
	int64_t since;   /* clock_ms() when the running attempt began; 0: none runs */
	int64_t retry_at;
	int pause_ms;   /* before jitter; 0: the last attempt did not fail */
	struct err err; /* of the last attempt that failed */
	unsigned long libvirt_version;
	struct opener_load load;
};

static void release_opener(struct opener *opener)
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

/* The opener's thread */

static void note_version(struct opener *opener, virConnectPtr conn)
{
	unsigned long version = 0;
	(void)virConnectGetLibVersion(conn, &version);
	LOCK(&opener->lock);
	opener->libvirt_version = version;
}

static virConnectPtr open_connection(const char *uri, struct err *err)
{
	virConnectPtr conn = virConnectOpen(uri[0] ? uri : NULL);
	struct lease none = { 0 };
	if (!conn) {
		(void)virt_fail(&none, VIRT_READ, err);
		return NULL;
	}
	/* It fails for drivers inside this process, which need no keepalive. */
	(void)virConnectSetKeepAlive(conn, KEEPALIVE_SECONDS, KEEPALIVE_COUNT);
	return conn;
}

/* Several processes must not try again at the same moments. */
static int64_t add_jitter(int ms)
{
	uint16_t random;
	if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
		return ms;
	return ms / 2 + (int64_t)ms * random / UINT16_MAX;
}

/* The lock is held. */
static void begin_pause(struct opener *opener, const struct err *err)
{
	opener->pause_ms = opener->pause_ms ? opener->pause_ms * 2 : OPENER_PAUSE_MIN_MS;
	if (opener->pause_ms > OPENER_PAUSE_MAX_MS)
		opener->pause_ms = OPENER_PAUSE_MAX_MS;
	opener->retry_at = clock_ms() + add_jitter(opener->pause_ms);
	opener->err = *err;
	opener->load.failures++;
}

/* Waits until there is something to open. Returns false if the thread must end instead. */
static bool begin_attempt(struct opener *opener, unsigned *ret_turn)
{
	LOCK(&opener->lock);
	opener->delivering = false;
	(void)pthread_cond_broadcast(&opener->changed);
	while (!opener->stop &&
		!(opener->pause_ms ? clock_ms() >= opener->retry_at : opener->wanted)) {
		struct timespec until = clock_after_ms(opener->retry_at - clock_ms());
		if (opener->pause_ms)
			(void)pthread_cond_timedwait(&opener->changed, &opener->lock, &until);
		else
			(void)pthread_cond_wait(&opener->changed, &opener->lock);
	}
	*ret_turn = opener->turn; /* it changes only during an attempt */
	if (opener->stop)
		return false;
	opener->since = clock_ms();
	opener->load.attempts++;
	return true;
}

/* Returns false if the attempt was given up meanwhile, or the opener is being freed. */
static bool end_attempt(
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
		begin_pause(opener, failure);
	return true;
}

static void *opener_main(void *data)
{
	struct opener *opener = data;
	unsigned turn = 0;
	while (begin_attempt(opener, &turn)) {
		struct err err;
		virConnectPtr conn = open_connection(opener->uri, &err);
		if (conn)
			note_version(opener, conn);
		if (!end_attempt(opener, turn, conn, &err)) {
			if (conn)
				(void)virConnectClose(conn);
			break;
		}
		opener->opened(opener->data, conn);
	}
	{
		LOCK(&opener->lock);
		if (turn == opener->turn)
			opener->running = false;
		(void)pthread_cond_broadcast(&opener->changed);
	}
	release_opener(opener);
	return NULL;
}

/* The callers' side */

/* The lock is held. */
static void start_opener_thread(struct opener *opener)
{
	struct err err;
	opener->users++;
	opener->running = true;
	if (!thread_start(NULL, "libvirt-opener", opener_main, opener))
		return;
	opener->users--;
	opener->running = false;
	(void)err_memory(&err);
	begin_pause(opener, &err);
}

/* The daemon may have been replaced while the old one hangs. The lock is held. */
static void give_up_hung_attempt(struct opener *opener)
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
	give_up_hung_attempt(opener);
	if (!opener->running && !opener->stop)
		start_opener_thread(opener);
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

unsigned long opener_libvirt_version(struct opener *opener)
{
	LOCK(&opener->lock);
	return opener->libvirt_version;
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
	release_opener(opener);
	return NULL;
}

void opener_free(struct opener *opener)
{
	struct timespec deadline = clock_after_ms(FREE_WAIT_MS);
	{
		LOCK(&opener->lock);
		bool late = false;
		opener->stop = true;
		(void)pthread_cond_broadcast(&opener->changed);
		while (opener->running && (!late || !opener->since || opener->delivering))
			late = pthread_cond_timedwait(&opener->changed, &opener->lock, &deadline) ==
				ETIMEDOUT;
	}
	release_opener(opener);
}
