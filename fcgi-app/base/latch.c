/* SPDX-License-Identifier: MIT */
#include "base/latch.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

void latch_open(struct latch *latch)
{
	atomic_store_explicit(&latch->open, 1, memory_order_release);
	(void)syscall(SYS_futex, &latch->open, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* FUTEX_WAIT_BITSET, because it takes an absolute time, of the monotonic clock (futex(2)). */
bool latch_wait(struct latch *latch, const struct timespec *deadline)
{
	long rc = 0;
	while (!atomic_load_explicit(&latch->open, memory_order_acquire)) {
		if (rc < 0 && errno == ETIMEDOUT)
			return false;
		rc = syscall(SYS_futex, &latch->open, FUTEX_WAIT_BITSET_PRIVATE, 0, deadline, NULL,
			FUTEX_BITSET_MATCH_ANY);
	}
	return true;
}
