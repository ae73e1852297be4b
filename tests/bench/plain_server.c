/* SPDX-License-Identifier: MIT */
/*
 * The references of GET /v1/vms and of actions: virtgate's own front, dispatcher and rendering,
 * with the plainest ways there are to get what is rendered.
 *
 *     plain_server fetch   one fetch for each request, on a connection of its own meanwhile
 *     plain_server each    a call for each VM, all on one connection that the requests share
 *     plain_server act     suspends and resumes by lookup and action alone, on that connection; the
 *                          answer says nothing
 *
 * The settings are virtgate's environment variables.
 */
#include "api/vm_json.h"
#include "format/xml.h"
#include "server/server.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static struct host *host;

/* What one request got; `vms` is in no order until it is sorted. */
struct fetched {
	size_t count;
	struct vm *vms;
};

static int compare_name(const void *a, const void *b)
{
	return strcmp(((const struct vm *)a)->name, ((const struct vm *)b)->name);
}

static int compare_uuid(const void *a, const void *b)
{
	return strcmp(((const struct vm *)a)->uuid, ((const struct vm *)b)->uuid);
}

static int answer(struct fetched *fetched, struct api_reply *reply, struct err *err)
{
	struct json *answer = json_new_object();
	struct json *items = json_new_array();
	struct api api = { .host = host };
	const struct api_call call = { .api = &api };
	qsort(fetched->vms, fetched->count, sizeof fetched->vms[0], compare_name);
	for (size_t i = 0; i < fetched->count; i++)
		json_push(items, answer_json(vm_json_item_fields, &fetched->vms[i], &call));
	json_put(answer, "items", items);
	json_put_string(answer, "next", NULL);
	free(fetched->vms);
	return api_reply_json(reply, answer, err);
}

/* One fetch for each request */

/* As virtgate keeps them: sizes have no bulk call. These VMs stay as they are, so once will do. */
static struct {
	pthread_mutex_t lock;
	struct fetched sized;
} known = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int read_sizes(virDomainStatsRecordPtr *stats, size_t count)
{
	LOCK(&known.lock);
	if (known.sized.count)
		return 0;
	known.sized.vms = calloc(count, sizeof known.sized.vms[0]);
	for (size_t i = 0; i < count; i++) {
		virDomainInfo info;
		struct vm *vm = &known.sized.vms[i];
		if (virDomainGetInfo(stats[i]->dom, &info) < 0)
			return -1;
		vm_set_identity(vm, stats[i]->dom);
		vm_set_size(vm, &info);
	}
	qsort(known.sized.vms, count, sizeof known.sized.vms[0], compare_uuid);
	known.sized.count = count;
	return 0;
}

static void set(struct vm *vm, const virDomainStatsRecord *record)
{
	vm_set_from_stats(vm, record);
	const struct vm *size =
		bsearch(vm, known.sized.vms, known.sized.count, sizeof *vm, compare_uuid);
	if (!size)
		return;
	vm->sized = true;
	vm->vcpus = size->vcpus;
	vm->memory_kib = size->memory_kib;
}

/* Those that are listed have the flag, or the others. */
static int set_flag(
	virConnectPtr conn, unsigned filter, bool has, size_t offset, struct fetched *fetched)
{
	virDomainPtr *list = NULL;
	int count = virConnectListAllDomains(conn, &list, filter);
	for (size_t i = 0; i < fetched->count; i++)
		*(bool *)(void *)((char *)&fetched->vms[i] + offset) = !has;
	for (int i = 0; i < count; i++) {
		struct vm key = { 0 };
		(void)virDomainGetUUIDString(list[i], key.uuid);
		struct vm *vm =
			bsearch(&key, fetched->vms, fetched->count, sizeof key, compare_uuid);
		if (vm)
			*(bool *)(void *)((char *)vm + offset) = has;
		(void)virDomainFree(list[i]);
	}
	free(list);
	return count;
}

static int fetch(struct lease *lease, void *data, struct err *err)
{
	struct fetched *fetched = data;
	virDomainStatsRecordPtr *stats = NULL;
	virConnectPtr conn = lease->conn;
	int count = virConnectGetAllDomainStats(conn, VIR_DOMAIN_STATS_STATE, &stats, 0);
	if (count < 0 || read_sizes(stats, (size_t)count) < 0)
		return virt_fail(lease, VIRT_READ, err);
	fetched->count = (size_t)count;
	fetched->vms = calloc(fetched->count, sizeof fetched->vms[0]);
	for (size_t i = 0; i < fetched->count; i++)
		set(&fetched->vms[i], stats[i]);
	virDomainStatsRecordListFree(stats);
	qsort(fetched->vms, fetched->count, sizeof fetched->vms[0], compare_uuid);
	if (set_flag(conn, VIR_CONNECT_LIST_DOMAINS_AUTOSTART, true, offsetof(struct vm, autostart),
		    fetched) < 0 ||
		set_flag(conn, VIR_CONNECT_LIST_DOMAINS_TRANSIENT, false,
			offsetof(struct vm, persistent), fetched) < 0 ||
		set_flag(conn, VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE, true,
			offsetof(struct vm, managed_save), fetched) < 0 ||
		set_flag(conn, VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT, true,
			offsetof(struct vm, snapshots), fetched) < 0)
		return virt_fail(lease, VIRT_READ, err);
	return 0;
}

static int list_by_fetch(struct api_call *call, struct api_reply *reply, struct err *err)
{
	(void)call;
	struct fetched fetched = { 0 };
	int rc = 0;
	do /* all of them get their turn, however long that takes */
		rc = lease_read(host->hypervisor, fetch, &fetched, err);
	while (rc < 0 && err->kind == ERR_HOST_BUSY);
	return rc < 0 ? -1 : answer(&fetched, reply, err);
}

/* A call for each VM, on one connection */

/*
 * One request at a time: libvirt 9.0.0's client may crash when two threads are inside calls on one
 * connection (CVE-2024-4418). It costs nothing: without the lock as many requests are answered.
 */
static struct {
	pthread_mutex_t lock;
	virConnectPtr conn;
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int read_vm(virDomainPtr dom, struct vm *vm)
{
	virDomainInfo info;
	if (virDomainGetInfo(dom, &info) < 0)
		return -1;
	vm_set_identity(vm, dom);
	vm_set_state(vm, info.state, 0);
	vm_set_size(vm, &info);
	return 0;
}

static int read_each(struct fetched *fetched)
{
	virDomainPtr *list = NULL;
	LOCK(&shared.lock);
	int count = virConnectListAllDomains(shared.conn, &list, 0);
	int rc = count < 0 ? -1 : 0;
	fetched->vms = calloc((size_t)count + 1, sizeof fetched->vms[0]);
	for (int i = 0; i < count; i++) {
		rc |= read_vm(list[i], &fetched->vms[fetched->count++]);
		(void)virDomainFree(list[i]);
	}
	free(list);
	return rc;
}

static int list_by_each(struct api_call *call, struct api_reply *reply, struct err *err)
{
	(void)call;
	struct fetched fetched = { 0 };
	if (read_each(&fetched) < 0)
		return err_set(err, ERR_INTERNAL, "libvirt failed");
	return answer(&fetched, reply, err);
}

/* An action, on one connection */

static int act(int (*action)(virDomainPtr), const char *name)
{
	LOCK(&shared.lock);
	AUTO(virDomainFree) virDomainPtr dom = virDomainLookupByName(shared.conn, name);
	return dom ? action(dom) : -1;
}

static int answer_action(struct api_call *call, int (*action)(virDomainPtr),
	struct api_reply *reply, struct err *err)
{
	if (act(action, api_text(call, "ref")) < 0)
		return err_set(err, ERR_INTERNAL, "libvirt failed");
	return api_reply_json(reply, json_new_object(), err);
}

static int suspend(struct api_call *call, struct api_reply *reply, struct err *err)
{
	return answer_action(call, virDomainSuspend, reply, err);
}

static int resume(struct api_call *call, struct api_reply *reply, struct err *err)
{
	return answer_action(call, virDomainResume, reply, err);
}

static int is_ready(struct api_call *call, struct api_reply *reply, struct err *err)
{
	(void)call;
	return api_reply_json(reply, json_new_object(), err);
}

static const struct field query[] = { { "limit", .type = FIELD_NUMBER, .min = 1, .max = 1000 },
	{ 0 } };
static const struct route fetch_routes[] = {
	{ "/v1/vms", HTTP_GET, ROLE_VIEWER, list_by_fetch, 200, .query = query },
};
static const struct route each_routes[] = {
	{ "/v1/vms", HTTP_GET, ROLE_VIEWER, list_by_each, 200, .query = query },
};
static const struct route act_routes[] = {
	{ "/readyz", HTTP_GET, ROLE_NONE, is_ready, 200 },
	{ "/v1/vms/{ref}/resume", HTTP_POST, ROLE_OPERATOR, resume, 200 },
	{ "/v1/vms/{ref}/suspend", HTTP_POST, ROLE_OPERATOR, suspend, 200 },
};
static const struct way {
	const char *name;
	const struct route *routes;
	size_t count;
} ways[] = {
	{ "fetch", fetch_routes, ARRAY_LEN(fetch_routes) },
	{ "each", each_routes, ARRAY_LEN(each_routes) },
	{ "act", act_routes, ARRAY_LEN(act_routes) },
};

static const struct way *way_of(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_LEN(ways); i++)
		if (!strcmp(name, ways[i].name))
			return &ways[i];
	return NULL;
}

static int complain(const struct err *err)
{
	(void)fprintf(stderr, "plain_server: %s\n", err->text);
	return 1;
}

int main(int argc, char *argv[])
{
	struct config config;
	struct err err;
	struct server *server = NULL;
	const struct way *way = way_of(argc == 2 ? argv[1] : NULL);
	sigset_t stop;
	if (!way) {
		(void)fputs("usage: plain_server fetch|each|act\n", stderr);
		return 2;
	}
	(void)sigemptyset(&stop);
	(void)sigaddset(&stop, SIGTERM);
	(void)pthread_sigmask(SIG_BLOCK, &stop, NULL);
	xml_init();
	if (config_load(&config, 1, argv, &err) < 0 || virt_start(&err) < 0)
		return complain(&err);
	host = host_new("local", config.uri, config.connections, config.workers / 4, 10000);
	struct api api = {
		.config = &config,
		.host = host,
		.routes = way->routes,
		.route_count = way->count,
		.metrics = api_metrics_new(way->routes, way->count),
	};
	shared.conn = way->routes == fetch_routes ? NULL : virConnectOpen(config.uri);
	if (server_new(&config, &api, &server, &err) < 0 || server_start(server, &err) < 0)
		return complain(&err);
	int stuck = 0;
	int unfinished = server_run(server, &stuck);
	(void)fflush(NULL);
	_exit(unfinished ? 1 : 0);
}
