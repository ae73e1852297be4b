/* SPDX-License-Identifier: MIT */
#pragma once
/* What tests of the dispatcher and its handlers share: the API on libvirt's test driver. */
#include "in_process.h"

#include "api/routes.h"

/* The settings of a test, whose images lie in this directory. */
#define TEST_CONFIG(directory) \
	{ \
		.workers = 4, .read_deadline = 10, .action_deadline = 30, .long_deadline = 600, \
		.images = (directory), .shares = "/shares", .logs = "/logs", \
		.templates = TEMPLATES, .networks = "default", .bridges = "virbr0", \
	}

/* Gives the api a host that is watched, the routes and metrics. -1: that is not possible. */
static inline int test_api_begin(struct api *api)
{
	struct err err;
	api->host = test_host_new(4);
	if (!api->host || host_watch(api->host, &err) < 0)
		return -1;
	api->routes = routes;
	api->route_count = route_count;
	api->metrics = api_metrics_new(routes, route_count);
	return api->metrics ? 0 : -1;
}

static inline void test_api_end(struct api *api)
{
	metrics_free(api->metrics);
	test_host_free(api->host);
}
