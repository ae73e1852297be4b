/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"
#include "api/routes.h"
#include "base/config.h"
#include "base/log.h"
#include "convert/convert_command.h"
#include "definition/policy.h"
#include "format/xml.h"
#include "server/notify.h"
#include "server/server.h"
#include "server/startup.h"
#include "vm/stop_watch.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Bad settings (EX_CONFIG of sysexits.h): a restart would fail again. */
enum { EXIT_CONFIG = 78 };

static int print_error(const struct err *err, int status)
{
	(void)fprintf(
		stderr, "virtgate: %s%s%s\n", err->text, err->private[0] ? ": " : "", err->private);
	return status;
}

static bool has_problems(struct api *api)
{
	struct err err;
	const char *note = NULL;
	if (startup_check(api->config))
		return true;
	if (startup_share_gates(api->config, api->host->hypervisor, &err) < 0 ||
		startup_share_secret(api->config, api->secret, &note, &err) < 0) {
		(void)print_error(&err, EXIT_CONFIG);
		return true;
	}
	if (note && api->config->action == CONFIG_RUN)
		log_info("%s", note);
	return false;
}

/* Do its VMs have files on this machine? libvirt's test driver has none. */
static bool has_files_here(struct host *host, const struct host_info *info)
{
	return hypervisor_is_local(host->hypervisor) && strcasecmp(info->driver, "test") != 0;
}

/* --check: what a start looks at, and then what requests need. */
static int check_settings(struct api *api)
{
	struct host *host = api->host;
	const struct config *config = api->config;
	struct host_info info;
	struct err err;
	if (has_problems(api))
		return EXIT_CONFIG;
	if (host_info_read(host->hypervisor, &info, &err) < 0) {
		(void)fprintf(stderr, "virtgate: cannot reach '%s': %s\n",
			config->uri[0] ? config->uri : "libvirt's default",
			err.private[0] ? err.private : err.text);
		return EXIT_FAILURE;
	}
	if (has_files_here(host, &info) && startup_check_files(config, true))
		return EXIT_CONFIG;
	(void)printf("settings are valid; the host runs %s %s with libvirt %s\n", info.driver,
		info.driver_version, info.libvirt_version);
	return EXIT_SUCCESS;
}

static void exit_on_alarm(int signal)
{
	(void)signal;
	_exit(EXIT_SUCCESS);
}

/*
 * Limits the time that the process takes to end after its last reply: closing connections has no
 * timeout in libvirt, and the host may hang.
 */
static void exit_soon(void)
{
	enum { SECONDS = 2 };
	(void)signal(SIGALRM, exit_on_alarm);
	(void)alarm(SECONDS);
}

/* So that the first requests find a connection. A host that is away may come back later. */
static void ask_host(struct host *host, const struct config *config)
{
	struct host_info info;
	struct err err;
	if (host_probe_read(host->probe, HOST_PROBE_MS, &info, &err) < 0)
		log_error("cannot reach libvirt yet: %s", err.private[0] ? err.private : err.text);
	else if (has_files_here(host, &info))
		(void)startup_check_files(config, false);
}

static int serve(struct api *api)
{
	struct server *server = NULL;
	struct err err;
	if (has_problems(api))
		return EXIT_CONFIG;
	if (server_new(api->config, api, &server, &err) < 0)
		return print_error(&err, EXIT_FAILURE);
	if (host_watch(api->host, &err) < 0 || api_docs_prepare(api, &err) < 0)
		return print_error(&err, EXIT_FAILURE);
	AUTO(stop_watch_free) struct stop_watch *stops = stop_watch_new(api->host);
	if (!stops) {
		(void)err_memory(&err);
		return print_error(&err, EXIT_FAILURE);
	}
	api->stops = stops;
	(void)malloc_trim(0); /* frees what rendering the document needed */
	ask_host(api->host, api->config);
	if (api->config->policy == POLICY_OFF)
		log_error("VIRTGATE_POLICY is off: by domain XML, every admin is root on the host");
	if (server_start(server, &err) < 0)
		return print_error(&err, EXIT_FAILURE);
	log_info("virtgate %s serves %s", VIRTGATE_VERSION, api->config->listen);
	notify("READY=1");
	int stuck = 0;
	int unfinished = server_run(server, &stuck);
	if (unfinished)
		log_error("stopped with %d requests unfinished", unfinished);
	else if (stuck)
		log_error("stopped with %d answered requests still running", stuck);
	else
		log_info("stopped");
	if (unfinished || stuck) /* threads that still run may use anything: free nothing */
		_exit(unfinished ? EXIT_FAILURE : EXIT_SUCCESS);
	server_free(server);
	exit_soon();
	return EXIT_SUCCESS;
}

/*
 * glibc gives each processor eight arenas, and each keeps the memory freed in it. That is for
 * threads that all compute; ours mostly wait. It also raises the size from which it uses mmap()
 * when such a block is freed, and then keeps large blocks; long VM lists are large and rare. The
 * limit stays above the 64 KiB that libvirt allocates per message: mmap() would double the cost of
 * a call.
 */
static void save_memory(void)
{
	enum { ARENAS = 2, LARGE_BYTES = 128 * 1024, SPARE_BYTES = 512 * 1024 };
	(void)mallopt(M_ARENA_MAX, ARENAS);
	(void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
	(void)mallopt(M_TRIM_THRESHOLD, SPARE_BYTES);
}

/* All threads inherit the mask. The main thread waits for these signals in server_run(). */
static void block_stop_signals(void)
{
	sigset_t stop;
	(void)sigemptyset(&stop);
	(void)sigaddset(&stop, SIGTERM);
	(void)sigaddset(&stop, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, &stop, NULL);
}

/* A request that waits for a list gives up a little before the watchdog answers for it. */
static int64_t list_patience(const struct config *config)
{
	enum { MARGIN_MS = 250 };
	return (int64_t)config->read_deadline * 1000 - MARGIN_MS;
}

/* CONFIG_RUN and CONFIG_CHECK */
static int run_with_host(const struct config *config)
{
	struct err err;
	if (config->action == CONFIG_RUN)
		block_stop_signals();
	save_memory();
	xml_init();
	if (virt_start(&err) < 0)
		return print_error(&err, EXIT_FAILURE);
	int status = EXIT_FAILURE;
	{
		AUTO(host_free) struct host *host = host_new("local", config->uri,
			config->connections, config->workers / 4, list_patience(config));
		AUTO(metrics_free) struct metrics *metrics = api_metrics_new(routes, route_count);
		struct api api = {
			.config = config,
			.host = host,
			.metrics = metrics,
			.routes = routes,
			.route_count = route_count,
		};
		if (host && metrics)
			status =
				config->action == CONFIG_CHECK ? check_settings(&api) : serve(&api);
		free(api.document.text);
	}
	virt_stop();
	return status;
}

static int print_openapi(void)
{
	struct api api = { .routes = routes, .route_count = route_count };
	struct err err;
	if (api_docs_prepare(&api, &err) < 0)
		return print_error(&err, EXIT_FAILURE);
	(void)puts(api.document.text);
	free(api.document.text);
	return EXIT_SUCCESS;
}

int main(int argc, char *argv[])
{
	struct config config;
	struct err err;
	if (config_load(&config, argc, argv, &err) < 0)
		return print_error(&err, EXIT_CONFIG);
	switch (config.action) {
	case CONFIG_HELP:
		config_help(stdout);
		return EXIT_SUCCESS;
	case CONFIG_POLICY:
		policy_print(stdout);
		return EXIT_SUCCESS;
	case CONFIG_OPENAPI:
		return print_openapi();
	case CONFIG_CONVERT:
		xml_init();
		return convert_command(&config);
	case CONFIG_VERSION:
		(void)puts("virtgate " VIRTGATE_VERSION);
		return EXIT_SUCCESS;
	case CONFIG_RUN:
	case CONFIG_CHECK:
		break;
	}
	return run_with_host(&config);
}
