/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "format/metrics.h"

#include <string.h>

static const struct metrics_row rows[] = { { "/a/{ref}", "GET" }, { "", "POST" } };

static void test_a_labels_value_is_escaped(void **state)
{
	static const struct {
		const char *value, *text;
	} cases[] = {
		{ "", "" },
		{ "web", "web" },
		{ "a\"b", "a\\\"b" },
		{ "a\\b", "a\\\\b" },
		{ "a\nb", "a\\nb" },
		{ "\\n\n\"", "\\\\n\\n\\\"" },
		{ "{}=,# ü\t", "{}=,# ü\t" },
		{ "a\xff"
		  "b",
			"a?b" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(free) char *text = NULL;
		char want[80];
		size_t len = 0;
		FILE *out = open_memstream(&text, &len);
		const struct metric_label labels[] = { { "x", "1" }, { "y", cases[i].value } };
		metric_sample(out, "m", labels, ARRAY_LEN(labels), 2.5);
		assert_int_equal(fclose(out), 0);
		(void)snprintf(want, sizeof want, "m{x=\"1\",y=\"%s\"} 2.5\n", cases[i].text);
		CHECK(!strcmp(text, want), "%s, not %s", text, want);
	}
}

static void test_values_are_exact(void **state)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {
		{ 0, "m 0\n" },
		{ 1795523272.233, "m 1795523272.233\n" },
		{ 999999999999999, "m 999999999999999\n" },
		{ 0.000121, "m 0.000121\n" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(free) char *text = NULL;
		size_t len = 0;
		FILE *out = open_memstream(&text, &len);
		metric_sample(out, "m", NULL, 0, cases[i].value);
		assert_int_equal(fclose(out), 0);
		CHECK(!strcmp(text, cases[i].text), "%s", text);
	}
}

static char *requests_text(const struct metrics *metrics)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	metrics_put_requests(metrics, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void test_a_request_is_counted_where_it_belongs(void **state)
{
	static const char *const parts[] = {
		"virtgate_requests_total{route=\"/a/{ref}\",method=\"GET\",status=\"200\"} 2\n",
		"virtgate_requests_total{route=\"/a/{ref}\",method=\"GET\",status=\"599\"} 1\n",
		"_bucket{route=\"/a/{ref}\",method=\"GET\",le=\"0.001\"} 1\n",
		"_bucket{route=\"/a/{ref}\",method=\"GET\",le=\"0.005\"} 2\n",
		"_bucket{route=\"/a/{ref}\",method=\"GET\",le=\"60\"} 2\n",
		"_bucket{route=\"/a/{ref}\",method=\"GET\",le=\"+Inf\"} 3\n",
		"_sum{route=\"/a/{ref}\",method=\"GET\"} 60.002002\n",
		"_count{route=\"/a/{ref}\",method=\"GET\"} 3\n",
		"virtgate_requests_in_flight 1\n",
	};
	AUTO(metrics_free) struct metrics *metrics = metrics_new(rows, ARRAY_LEN(rows));
	(void)state;
	for (int i = 0; i < 4; i++)
		metrics_begin(metrics);
	metrics_count(metrics, 0, 200, 1000);
	metrics_count(metrics, 0, 200, 1001);
	metrics_count(metrics, 0, 599, 60000001);
	AUTO(free) char *text = requests_text(metrics);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		CHECK(strstr(text, parts[i]), "no %s in %s", parts[i], text);
	CHECK(!strstr(text, "POST"), "%s", text);
}

enum { THREADS = 4, TIMES = 10000 };

static void *count_many(void *data)
{
	for (int i = 0; i < TIMES; i++) {
		metrics_begin(data);
		metrics_count(data, 1, 404, 1);
	}
	return NULL;
}

static void test_none_is_lost_among_threads(void **state)
{
	AUTO(metrics_free) struct metrics *metrics = metrics_new(rows, ARRAY_LEN(rows));
	pthread_t threads[THREADS];
	(void)state;
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_many, metrics), 0);
	free(requests_text(metrics)); /* while they count */
	for (size_t i = 0; i < THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	AUTO(free) char *text = requests_text(metrics);
	CHECK(strstr(text, "{route=\"\",method=\"POST\",status=\"404\"} 40000\n"), "%s", text);
	CHECK(strstr(text, "_count{route=\"\",method=\"POST\"} 40000\n"), "%s", text);
	CHECK(strstr(text, "virtgate_requests_in_flight 0\n"), "%s", text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_labels_value_is_escaped),
		cmocka_unit_test(test_values_are_exact),
		cmocka_unit_test(test_a_request_is_counted_where_it_belongs),
		cmocka_unit_test(test_none_is_lost_among_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
