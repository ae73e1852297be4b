/* SPDX-License-Identifier: MIT */
#include "server/request_log.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

/* Copies a value that the log shows in quotation marks: a " in it becomes a '. */
static void copy_value(char *ret, size_t size, const char *value, size_t len)
{
	size_t n = 0;
	for (; n < len && n + 1 < size && value[n]; n++)
		ret[n] = value[n] == '"' ? '\'' : value[n];
	ret[n] = '\0';
}

void request_log(
	const struct exchange *exchange, const struct api_reply *reply, int64_t microseconds)
{
	const struct http_req *req = exchange_request(exchange);
	const struct err *err = &reply->err;
	char method[24];
	char path[256];
	char user[80];
	char detail[sizeof err->text];
	char private[sizeof err->private];
	copy_value(method, sizeof method, exchange_method(exchange), SIZE_MAX);
	copy_value(path, sizeof path, req->target, strcspn(req->target, "?"));
	copy_value(user, sizeof user, req->user, SIZE_MAX);
	copy_value(detail, sizeof detail, err->text, SIZE_MAX);
	copy_value(private, sizeof private, err->private, SIZE_MAX);
	char failure[sizeof detail + sizeof private + 100] = "";
	if (reply->failed)
		(void)snprintf(failure, sizeof failure,
			" code=%s detail=\"%s\" libvirt=%d/%d private=\"%s\"", err_code(err->kind),
			detail, err->libvirt_code, err->libvirt_domain, private);
	log_info("request id=%s method=\"%s\" path=\"%s\" user=\"%s\" role=%s status=%d bytes=%zu "
		 "ms=%lld.%03lld%s",
		req->request_id, method, path, user, api_role_name(reply->role), reply->status,
		reply->body_len, (long long)microseconds / 1000, (long long)microseconds % 1000,
		failure);
}

void request_log_late(
	const struct exchange *exchange, const struct api_reply *reply, int64_t microseconds)
{
	log_info("late id=%s status=%d ms=%lld%s%s", exchange_request(exchange)->request_id,
		reply->status, (long long)microseconds / 1000, reply->failed ? " code=" : "",
		reply->failed ? err_code(reply->err.kind) : "");
}
