/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What the process counts of its requests, and Prometheus' text format 0.0.4, in which it and
 * others are told. Counting is a few atomic additions; nothing ever waits. All functions may be
 * called from any thread; a FILE is used by one.
 */
#include "base/base.h"

#include <stdio.h>

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* The format */

enum { METRIC_VALUE_MAX = 511 }; /* bytes; a VM's name has at most 255 */
struct metric_label {
	const char *name, *value; /* the value is cut, masked and escaped here */
};

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* The head of a metric, once, before all of its samples. `help` has neither \ nor line ends. */
void metric_head(FILE *out, const char *name, enum metric_kind kind, const char *help);
/* Of at most METRIC_LABELS_MAX labels. Exact for whole numbers up to 10^15. */
enum { METRIC_LABELS_MAX = 4 };
void metric_sample(
	FILE *out, const char *name, const struct metric_label *labels, size_t count, double value);
/* Both, for a metric of one sample without labels. */
void metric_put(FILE *out, const char *name, enum metric_kind kind, const char *help, double value);

/* Requests */

/* What requests are counted by, besides their status. */
struct metrics_row {
	const char *route, *method; /* literals */
};

struct metrics;
/* Copies the rows. NULL: memory. */
struct metrics *metrics_new(const struct metrics_row *rows, size_t count);
void metrics_free(struct metrics *metrics);
DEFINE_AUTO(struct metrics *, metrics_free)

/* A request has come; each is counted once, when its answer is made. */
void metrics_begin(struct metrics *metrics);
void metrics_count(struct metrics *metrics, size_t row, int status, int64_t microseconds);

/* Rows that nobody has asked for yet are left out. */
void metrics_put_requests(const struct metrics *metrics, FILE *out);

/* The process, by the names that client libraries of Prometheus use. */
void metrics_put_process(const struct metrics *metrics, FILE *out);
