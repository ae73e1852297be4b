/* SPDX-License-Identifier: MIT */
/*
 * The whole server in this process, with routes of its own: its start. Threads begin late, as on a
 * busy machine.
 */
#include "check.h"
#include "fastcgi.h"

#include "api/handlers.h"
#include "base/thread.h"
#include "server/server.h"

#include <signal.h>

enum { REQUESTS = 8, PATIENCE_MS = 20000 };

/* The thread that thread_start() asks for begins this late if it is a worker. */
enum { LATE_MS = 100 };

static int reply_body(struct api_call *call, struct api_reply *reply, struct err *err)
{
	struct json *object = json_new_object();
	(void)call;
	json_put_string(object, "kind", "body");
	return api_reply_json(reply, object, err);
}

static const struct route routes[] = {
	{ "/body", HTTP_GET, ROLE_NONE, reply_body, 200, .summary = "" },
};

static struct config config = {
	.socket_group = "",
	.workers = REQUESTS,
	.read_deadline = 10,
	.action_deadline = 10,
	.long_deadline = 10,
};
static struct api api = { .config = &config, .routes = routes, .route_count = ARRAY_LEN(routes) };

struct late {
	void *(*function)(void *);
	void *data;
};

static void *begin_late(void *data)
{
	struct late late = *(struct late *)data;
	const struct timespec pause = { .tv_nsec = LATE_MS * 1000000L };
	free(data);
	(void)nanosleep(&pause, NULL);
	return late.function(late.data);
}

int __real_thread_start(pthread_t *, const char *, void *(*)(void *), void *);
int __wrap_thread_start(pthread_t *, const char *, void *(*)(void *), void *);

int __wrap_thread_start(pthread_t *ret, const char *name, void *(*function)(void *), void *data)
{
	struct late *late = NULL;
	if (strcmp(name, "worker") != 0 || !(late = malloc(sizeof *late)))
		return __real_thread_start(ret, name, function, data);
	*late = (struct late){ function, data };
	return __real_thread_start(ret, name, begin_late, late);
}

/* nginx: reads the answers, and then stops the server. */
static void *receive(void *data)
{
	static char texts[REQUESTS][2048];
	const int *fds = data;
	for (int i = 0; i < REQUESTS; i++) {
		(void)nginx_receive(fds[i], texts[i], sizeof texts[i], PATIENCE_MS);
		(void)close(fds[i]);
	}
	(void)kill(getpid(), SIGTERM);
	return texts;
}

static void test_requests_that_came_before_the_workers_wait_for_them(void **state)
{
	char path[] = "/tmp/virtgate-server-XXXXXX";
	struct server *server = NULL;
	struct err err;
	int fds[REQUESTS];
	int stuck = 0;
	pthread_t nginx;
	void *texts = NULL;
	(void)state;
	(void)close(mkstemp(path));
	(void)unlink(path);
	config.listen = path;
	api.metrics = api_metrics_new(routes, ARRAY_LEN(routes));
	CHECK(!server_new(&config, &api, &server, &err), "%s", err.text);
	for (int i = 0; i < REQUESTS; i++) {
		fds[i] = nginx_connect(path);
		nginx_send(fds[i], "GET", "/body");
	}
	CHECK(!server_start(server, &err), "%s", err.text);
	assert_int_equal(thread_start(&nginx, "nginx", receive, fds), 0);
	assert_int_equal(server_run(server, &stuck), 0);
	assert_int_equal(pthread_join(nginx, &texts), 0);
	for (int i = 0; i < REQUESTS; i++)
		CHECK(!strncmp((char *)texts + (size_t)i * 2048, "Status: 200 OK\r\n", 16), "%s",
			(char *)texts + (size_t)i * 2048);
	server_free(server);
	metrics_free(api.metrics);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_that_came_before_the_workers_wait_for_them),
	};
	sigset_t stop;
	(void)sigemptyset(&stop);
	(void)sigaddset(&stop, SIGTERM);
	(void)pthread_sigmask(SIG_BLOCK, &stop, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
