/* SPDX-License-Identifier: MIT */
#include "api_host.h"

#include "host.h"

static const struct field host_fields[] = {
	{ "name", .type = FIELD_TEXT, .example = "\"local\"" },
	{ "reachable", .type = FIELD_FLAG },
	{ "driver", .type = FIELD_TEXT, .nullable = true, .example = "\"QEMU\"" },
	{ "driver_version", .type = FIELD_TEXT, .nullable = true, .example = "\"7.2.0\"" },
	{ "libvirt_version", .type = FIELD_TEXT, .nullable = true, .example = "\"9.0.0\"" },
	{ 0 },
};

const struct field api_host_about_answer[] = {
	{ "name", .type = FIELD_TEXT, .example = "\"virtgate\"" },
	{ "version", .type = FIELD_TEXT },
	{ "user", .type = FIELD_TEXT, .says = "who is asking", .example = "\"alice\"" },
	{ "role", .type = FIELD_WORD, .words = "viewer|operator|admin" },
	{ "hosts", .type = FIELD_LIST, .of = host_fields },
	{ 0 },
};

const struct field api_host_healthz_answer[] = {
	{ "alive", .type = FIELD_FLAG },
	{ 0 },
};

const struct field api_host_readyz_answer[] = {
	{ "ready", .type = FIELD_FLAG },
	{ 0 },
};

const struct field api_host_shutdown_answer[] = {
	{ "draining", .type = FIELD_FLAG },
	{ 0 },
};

static struct json *host_json(struct host *host)
{
	struct host_info info;
	struct err err;
	struct json *o = json_new_object();
	json_put_string(o, "name", virt_host_name(host));
	bool reachable = !host_read(host, &info, &err);
	json_put_bool(o, "reachable", reachable);
	json_put_string(o, "driver", reachable ? info.driver : NULL);
	json_put_string(o, "driver_version", reachable ? info.driver_version : NULL);
	json_put_string(o, "libvirt_version", reachable ? info.libvirt_version : NULL);
	return o;
}

int api_host_about(struct api_call *call, struct api_reply *reply, struct err *err)
{
	struct json *hosts = json_new_array();
	json_push(hosts, host_json(call->api->host));
	struct json *answer = json_new_object();
	json_put_string(answer, "name", "virtgate");
	json_put_string(answer, "version", VIRTGATE_VERSION);
	json_put_string(answer, "user", call->req->user);
	json_put_string(answer, "role", api_role_name(call->role));
	json_put(answer, "hosts", hosts);
	return api_reply_json(reply, answer, err);
}

int api_host_healthz(struct api_call *call, struct api_reply *reply, struct err *err)
{
	(void)call;
	struct json *answer = json_new_object();
	json_put_bool(answer, "alive", true);
	return api_reply_json(reply, answer, err);
}

int api_host_readyz(struct api_call *call, struct api_reply *reply, struct err *err)
{
	struct host_info info;
	if (atomic_load(&call->api->draining))
		return err_set(err, ERR_DRAINING, "virtgate is stopping");
	if (host_read(call->api->host, &info, err) < 0)
		return -1;
	struct json *answer = json_new_object();
	json_put_bool(answer, "ready", true);
	return api_reply_json(reply, answer, err);
}

int api_host_shutdown(struct api_call *call, struct api_reply *reply, struct err *err)
{
	(void)call;
	struct json *answer = json_new_object();
	json_put_bool(answer, "draining", true);
	reply->stop = true;
	return api_reply_json(reply, answer, err);
}
