/* SPDX-License-Identifier: MIT */
#include "api_host.h"

#include "host.h"

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
