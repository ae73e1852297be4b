/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A combiner runs one job for many callers. One thread runs it, again and again while callers wait.
 * Each call gets the result of a run that began after the call: a run that is in progress may have
 * begun too early, so the call waits for the next one, and all calls that wait share it. However
 * many callers there are, one run at a time is the cost. A job that hangs blocks only that thread,
 * because each call limits its wait.
 *
 * All functions may be called from any thread.
 */
#include "base/err.h"

struct combiner_turn {
	unsigned wants; /* of all calls that share this run, or-ed together */
	bool asked;     /* a caller waits; false: the run was due */
	/* Set by the job: when the next run is due without a caller, by clock_ms(); 0: never. */
	int64_t due;
};

struct combiner_job {
	const char *thread; /* the thread's name */
	/* Makes a result at `ret`; or fails, and then leaves nothing there. */
	int (*run)(void *data, struct combiner_turn *turn, void *ret, struct err *err);
	void *data;
	size_t size;                              /* of a result */
	void (*copy)(void *to, const void *from); /* NULL: memcpy(); called by many threads */
	void (*done)(void *result);               /* frees what a result owns; NULL: nothing */
};

struct combiner;
struct combiner *combiner_new(const struct combiner_job *job); /* NULL: out of memory or threads */
void combiner_free(struct combiner *combiner); /* waits for the run in progress; nobody may ask */

/* How long a call waits, in this order. */
struct combiner_terms {
	unsigned wants;  /* goes to the job */
	int64_t wait_ms; /* for a fresh result */
	/* After that, the last result is taken if its run began at most this long ago; 0: never. */
	int64_t stale_ms;
	/* Otherwise the call waits until the run in progress has taken this long. */
	int64_t patience_ms;
};

enum combined {
	COMBINED_FRESH,  /* the run began after the call */
	COMBINED_STALE,  /* the last result; *ret_ms is the age of its run's begin */
	COMBINED_LATE,   /* no result; *ret_ms is how long the run in progress has taken so far */
	COMBINED_CROWD,  /* the same, before the time: too many wait for that run (wait.h) */
	COMBINED_FAILED, /* the run failed, with this error */
};

/* With COMBINED_FRESH and COMBINED_STALE the caller owns *ret. */
enum combined combiner_ask(struct combiner *combiner, const struct combiner_terms *terms, void *ret,
	int64_t *ret_ms, struct err *err);

/* For the job, during a run: does a caller wait for the next one? */
bool combiner_is_asked(struct combiner *combiner);

/* Counts since combiner_new(). */
struct combiner_figures {
	uint64_t runs;                         /* with those that failed */
	uint64_t asked;                        /* calls, with those that still wait */
	uint64_t answers[COMBINED_FAILED + 1]; /* calls by their result */
};
struct combiner_figures combiner_figures(const struct combiner *combiner);
