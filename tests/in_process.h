/* SPDX-License-Identifier: MIT */
#pragma once
/* What tests in process share: libvirt's test driver as their host, and requests as values. */
#include "check.h"

#include "api/api.h"
#include "format/xml.h"
#include "vm/host.h"

/* test:///default, one for the whole process; NULL: it cannot be had. */
static inline struct hypervisor *test_hypervisor_new(int connections)
{
	struct err err;
	xml_init();
	if (virt_start(&err) < 0)
		return NULL;
	return hypervisor_new("local", "test:///default", connections, 2);
}

static inline void test_hypervisor_free(struct hypervisor *hypervisor)
{
	hypervisor_free(hypervisor);
	virt_stop();
}

/* The same with all its services but the listeners, which host_watch() starts. */
static inline struct host *test_host_new(int connections)
{
	struct err err;
	xml_init();
	if (virt_start(&err) < 0)
		return NULL;
	return host_new("local", "test:///default", connections, 2, 10000);
}

static inline void test_host_free(struct host *host)
{
	host_free(host);
	virt_stop();
}

/* Of "somebody", who has a role; what it does not say is empty. */
static inline struct http_req test_request(
	enum http_method method, const char *target, const char *role)
{
	return (struct http_req){
		.method = method,
		.target = target,
		.content_type = "",
		.body = "",
		.request_id = "id-1",
		.user = "somebody",
		.role = role,
		.origin = "",
		.sec_fetch_site = "",
		.scheme = "https",
		.host = "",
		.if_match = "",
		.if_none_match = "",
		.cache_control = "",
		.idempotency_key = "",
	};
}

static inline void test_answer(struct api *api, const struct http_req *req, struct api_reply *ret)
{
	struct api_call call;
	api_call_init(api, req, &call);
	api_answer(&call, ret);
	api_call_done(&call);
}
