/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Metrics: counters of requests, and Prometheus' text format 0.0.4 for these and for others. To
 * count a request takes a few atomic additions and never waits. All functions may be called from
 * any thread; one thread at a time uses a FILE.
 */
#include "base/base.h"

#include <stdio.h>

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* The format */

enum { METRIC_VALUE_MAX = 511 }; /* in bytes; a VM's name has at most 255 */
struct metric_label {
	const char *name, *value; /* metric_sample() cuts, masks and escapes the value */
};

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* The head of a metric, once, before its samples. `help` must not contain \ or line ends. */
void metric_head(FILE *out, const char *name, enum metric_kind kind, const char *help);
/* One sample, with at most METRIC_LABELS_MAX labels. Whole numbers are exact up to 10^15. */
enum { METRIC_LABELS_MAX = 4 };
void metric_sample(
	FILE *out, const char *name, const struct metric_label *labels, size_t count, double value);
/* Head and sample of a metric with one sample and no labels. */
void metric_put(FILE *out, const char *name, enum metric_kind kind, const char *help, double value);

/* Requests */

/* Requests are counted by row and status. */
struct metrics_row {
	const char *route, *method; /* literals */
};

struct metrics;
/* Copies the rows. NULL: out of memory. */
struct metrics *metrics_new(const struct metrics_row *rows, size_t count);
void metrics_free(struct metrics *metrics);
DEFINE_AUTO(struct metrics *, metrics_free)

/* For each request: once when it has arrived, and once when its reply is complete. */
void metrics_begin(struct metrics *metrics);
void metrics_count(struct metrics *metrics, size_t row, int status, int64_t microseconds);

/* Writes all rows that have counted a request. */
void metrics_put_requests(const struct metrics *metrics, FILE *out);

/* Writes the process's own metrics, with the names that Prometheus' client libraries use. */
void metrics_put_process(const struct metrics *metrics, FILE *out);
