/* SPDX-License-Identifier: MIT */
#include "format/metrics.h"

#include "base/clock.h"
#include "base/text.h"

#include <assert.h>
#include <dirent.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>

/* The format */

void metric_head(FILE *out, const char *name, enum metric_kind kind, const char *help)
{
	static const char *const kinds[] = {
		[METRIC_COUNTER] = "counter",
		[METRIC_GAUGE] = "gauge",
		[METRIC_HISTOGRAM] = "histogram",
	};
	(void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kinds[kind]);
}

/* The format escapes exactly these three characters in a label's value. */
static void put_label_value(FILE *out, const char *value)
{
	char masked[METRIC_VALUE_MAX + 1];
	(void)snprintf(masked, sizeof masked, "%s", value);
	text_mask_malformed(masked);
	for (const char *s = masked; *s; s++) {
		if (*s == '\\' || *s == '"')
			(void)fputc('\\', out);
		if (*s == '\n')
			(void)fputs("\\n", out);
		else
			(void)fputc(*s, out);
	}
}

void metric_sample(
	FILE *out, const char *name, const struct metric_label *labels, size_t count, double value)
{
	assert(count <= METRIC_LABELS_MAX);
	(void)fputs(name, out);
	for (size_t i = 0; i < count; i++) {
		(void)fprintf(out, "%c%s=\"", i ? ',' : '{', labels[i].name);
		put_label_value(out, labels[i].value);
		(void)fputc('"', out);
	}
	(void)fprintf(out, "%s %.15g\n", count ? "}" : "", value);
}

void metric_put(FILE *out, const char *name, enum metric_kind kind, const char *help, double value)
{
	metric_head(out, name, kind, help);
	metric_sample(out, name, NULL, 0, value);
}

/* Requests */

enum { STATUS_MIN = 200, STATUS_END = 600, MICROSECONDS = 1000000 };

/* The upper bounds of the histogram's buckets. */
static const struct {
	int64_t microseconds;
	const char *le;
} bounds[] = {
	{ 1000, "0.001" },
	{ 5000, "0.005" },
	{ 25000, "0.025" },
	{ 100000, "0.1" },
	{ 500000, "0.5" },
	{ 2500000, "2.5" },
	{ 10000000, "10" },
	{ 60000000, "60" },
	{ INT64_MAX, "+Inf" },
};

struct counts {
	struct metrics_row row;
	atomic_uint_least64_t
		status[STATUS_END - STATUS_MIN]; /* pages that stay untouched take no memory */
	atomic_uint_least64_t bucket[ARRAY_LEN(bounds)];
	atomic_uint_least64_t microseconds;
};

struct metrics {
	int64_t start_ms;
	atomic_int in_flight;
	size_t count;
	struct counts counts[];
};

/* Relaxed: no other memory depends on these counters. */
static void counter_add(atomic_uint_least64_t *counter, uint64_t n)
{
	(void)atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static uint64_t counter_get(const atomic_uint_least64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

struct metrics *metrics_new(const struct metrics_row *rows, size_t count)
{
	struct metrics *metrics = calloc(1, sizeof *metrics + count * sizeof metrics->counts[0]);
	if (!metrics)
		return NULL;
	metrics->start_ms = clock_wall_ms();
	metrics->count = count;
	for (size_t i = 0; i < count; i++)
		metrics->counts[i].row = rows[i];
	return metrics;
}

void metrics_free(struct metrics *metrics)
{
	free(metrics);
}

void metrics_begin(struct metrics *metrics)
{
	(void)atomic_fetch_add_explicit(&metrics->in_flight, 1, memory_order_relaxed);
}

void metrics_count(struct metrics *metrics, size_t row, int status, int64_t microseconds)
{
	assert(row < metrics->count && status >= STATUS_MIN && status < STATUS_END);
	struct counts *counts = &metrics->counts[row];
	size_t i = 0;
	while (microseconds > bounds[i].microseconds)
		i++;
	counter_add(&counts->status[status - STATUS_MIN], 1);
	counter_add(&counts->bucket[i], 1);
	counter_add(&counts->microseconds, (uint64_t)microseconds);
	(void)atomic_fetch_sub_explicit(&metrics->in_flight, 1, memory_order_relaxed);
}

static void put_status_counts(const struct counts *counts, const char *name, FILE *out)
{
	for (int status = STATUS_MIN; status < STATUS_END; status++) {
		uint64_t n = counter_get(&counts->status[status - STATUS_MIN]);
		char text[12];
		(void)snprintf(text, sizeof text, "%d", status);
		const struct metric_label labels[] = { { "route", counts->row.route },
			{ "method", counts->row.method }, { "status", text } };
		if (n)
			metric_sample(out, name, labels, ARRAY_LEN(labels), (double)n);
	}
}

/* The count is that of the last bucket, even if requests are counted meanwhile. */
static void put_durations(const struct counts *counts, FILE *out)
{
	struct metric_label labels[] = { { "route", counts->row.route },
		{ "method", counts->row.method }, { "le", NULL } };
	uint64_t buckets[ARRAY_LEN(bounds)];
	uint64_t n = 0;
	for (size_t i = 0; i < ARRAY_LEN(bounds); i++)
		buckets[i] = n += counter_get(&counts->bucket[i]);
	if (!n)
		return;
	for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
		labels[2].value = bounds[i].le;
		metric_sample(out, "virtgate_request_duration_seconds_bucket", labels, 3,
			(double)buckets[i]);
	}
	metric_sample(out, "virtgate_request_duration_seconds_sum", labels, 2,
		(double)counter_get(&counts->microseconds) / MICROSECONDS);
	metric_sample(out, "virtgate_request_duration_seconds_count", labels, 2, (double)n);
}

void metrics_put_requests(const struct metrics *metrics, FILE *out)
{
	static const char requests[] = "virtgate_requests_total";
	metric_head(out, requests, METRIC_COUNTER,
		"Requests by route, method and status; the route is empty where none matched.");
	for (size_t i = 0; i < metrics->count; i++)
		put_status_counts(&metrics->counts[i], requests, out);
	metric_head(out, "virtgate_request_duration_seconds", METRIC_HISTOGRAM,
		"Time from the arrival of a request until its reply is complete.");
	for (size_t i = 0; i < metrics->count; i++)
		put_durations(&metrics->counts[i], out);
	metric_put(out, "virtgate_requests_in_flight", METRIC_GAUGE,
		"Requests that are being answered.",
		atomic_load_explicit(&metrics->in_flight, memory_order_relaxed));
}

/* The process */

/* proc(5), statm: total pages and resident pages. */
static double resident_bytes(void)
{
	long size = 0;
	long resident = 0;
	FILE *file = fopen("/proc/self/statm", "re");
	if (!file)
		return 0;
	int n = fscanf(file, "%ld %ld", &size, &resident);
	(void)fclose(file);
	return n == 2 ? (double)resident * (double)sysconf(_SC_PAGESIZE) : 0;
}

/* Counts the entries of a directory of /proc/self. */
static int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;
	if (!dir)
		return 0;
	for (const struct dirent *entry; (entry = readdir(dir));)
		n += entry->d_name[0] != '.';
	(void)closedir(dir);
	return n;
}

static double cpu_seconds(void)
{
	struct timespec used = { 0 };
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

void metrics_put_process(const struct metrics *metrics, FILE *out)
{
	enum { MS = 1000 };
	struct rlimit files = { 0 };
	(void)getrlimit(RLIMIT_NOFILE, &files);
	const struct {
		const char *name, *help;
		double value;
		enum metric_kind kind;
	} rows[] = {
		{ "process_cpu_seconds_total", "CPU time used, in seconds.", cpu_seconds(),
			METRIC_COUNTER },
		{ "process_resident_memory_bytes", "Resident memory, in bytes.", resident_bytes(),
			METRIC_GAUGE },
		/* Without the descriptor that reads the directory. */
		{ "process_open_fds", "Open file descriptors.", count_entries("/proc/self/fd") - 1,
			METRIC_GAUGE },
		{ "process_max_fds", "Limit of open file descriptors.", (double)files.rlim_cur,
			METRIC_GAUGE },
		{ "process_threads", "Threads.", count_entries("/proc/self/task"), METRIC_GAUGE },
		{ "process_start_time_seconds", "Start of the process, in seconds since 1970.",
			(double)metrics->start_ms / MS, METRIC_GAUGE },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		metric_put(out, rows[i].name, rows[i].kind, rows[i].help, rows[i].value);
}
