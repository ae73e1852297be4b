/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A job done for all who ask for it: one thread does it, over and over while somebody asks, and
 * each call gets the result of a run that began after the call. A run that is under way then may
 * have begun too early, so the call waits for the next. However many ask, one run at a time is what
 * the job costs, and a job that hangs holds this one thread and nobody else, for each call says how
 * long it waits.
 *
 * All functions may be called from any thread.
 */
#include "base/err.h"

struct combiner_turn {
	unsigned wants; /* of all who wait for this run, or-ed together */
	bool asked;     /* somebody waits; else it is a run that was due */
	/* For the job to set: when it is due though nobody asks, by clock_ms(); 0: never. */
	int64_t due;
};

struct combiner_job {
	const char *thread; /* its name */
	/* Makes a result at `ret`, or fails and leaves nothing. */
	int (*run)(void *data, struct combiner_turn *turn, void *ret, struct err *err);
	void *data;
	size_t size;                              /* of a result */
	void (*copy)(void *to, const void *from); /* NULL: its bytes; may be called by many */
	void (*done)(void *result);               /* NULL: it owns nothing */
};

struct combiner;
/* NULL: memory, or no thread. */
struct combiner *combiner_new(const struct combiner_job *job);
void combiner_free(struct combiner *combiner); /* waits for the run under way; nobody may ask */

struct combiner_terms {
	unsigned wants; /* to be told to the job */
	int64_t wait_ms;
	/* When those are over: the last result, unless it began longer ago than this; 0: not at
	 * all. */
	int64_t stale_ms;
	/* If there is none: wait on until the run under way has taken so long. */
	int64_t patience_ms;
};

enum combined {
	COMBINED_FRESH,  /* began after the call */
	COMBINED_STALE,  /* the last result: *ret_ms is how long ago its run began */
	COMBINED_LATE,   /* none: *ret_ms is how long the run under way has taken so far */
	COMBINED_FAILED, /* the run did, and says why */
};
/* *ret is the caller's on COMBINED_FRESH and COMBINED_STALE. */
enum combined combiner_ask(struct combiner *combiner, const struct combiner_terms *terms, void *ret,
	int64_t *ret_ms, struct err *err);

/* For a job that is under way: does somebody wait for the next run? */
bool combiner_is_asked(struct combiner *combiner);

/* Since the start. */
struct combiner_figures {
	uint64_t runs;                         /* also those that failed */
	uint64_t asked;                        /* calls, also those that still wait */
	uint64_t answers[COMBINED_FAILED + 1]; /* by what they were */
};
struct combiner_figures combiner_figures(const struct combiner *combiner);
