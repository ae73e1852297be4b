/* SPDX-License-Identifier: MIT */
#pragma once
/* What tests in process share: libvirt's test driver as their host, and requests as values. */
#include "check.h"

#include "api/api.h"
#include "format/xml.h"
#include "libvirt/virt.h"

/* test:///default, one for the whole process; NULL: it cannot be had. */
static inline struct host *test_host_new(int connections)
{
	struct err err;
	xml_init();
	if (virt_start(&err) < 0)
		return NULL;
	return virt_host_new("local", "test:///default", connections, 2);
}

static inline void test_host_free(struct host *host)
{
	virt_host_free(host);
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
