/* SPDX-License-Identifier: MIT */
#include "server.h"

#include "log.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

enum {
	BACKLOG = 511,
	/* nginx sends a request at once and whole; a peer that stalls inside one is dropped. */
	IO_TIMEOUT_SECONDS = 30,
	/* libvirt's client parses XML and the test driver checks schemas on these stacks. */
	STACK_BYTES = 1024 * 1024,
};

struct server {
	const struct config *config;
	struct api *api;
	int listener;
	int epoll;
	int wake; /* readable from the moment that workers shall drain and end */
	pthread_t *workers;
	int worker_count;
	const char *unlink_path; /* or NULL */
};

/* The socket */

static int listen_inherited(void)
{
	const char *pid = getenv("LISTEN_PID");
	const char *fds = getenv("LISTEN_FDS");
	enum { FIRST_FD = 3 };
	if (!pid || !fds || strtol(pid, NULL, 10) != getpid() || strtol(fds, NULL, 10) < 1)
		return -1;
	(void)fcntl(FIRST_FD, F_SETFD, FD_CLOEXEC);
	(void)fcntl(FIRST_FD, F_SETFL, O_NONBLOCK);
	return FIRST_FD;
}

static bool is_served(const struct sockaddr_un *address)
{
	AUTO(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return !connect(fd, (const struct sockaddr *)address, sizeof *address);
}

static int cannot_listen(const struct config *config, const char *why, struct err *err)
{
	return err_set(err, ERR_INTERNAL, "cannot listen on '%.200s': %s", config->listen, why);
}

static int grant_group(const struct config *config, struct err *err)
{
	if (!config->socket_group[0])
		return 0;
	const struct group *group = getgrnam(config->socket_group);
	if (!group)
		return cannot_listen(config, "there is no such socket-group", err);
	if (chown(config->listen, (uid_t)-1, group->gr_gid) < 0)
		return cannot_listen(config, strerror(errno), err);
	return 0;
}

static int listen_unix(struct server *server, struct err *err)
{
	const struct config *config = server->config;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(config->listen) >= sizeof address.sun_path)
		return cannot_listen(config, "a unix socket's path has at most 107 bytes", err);
	memcpy(address.sun_path, config->listen, strlen(config->listen) + 1);
	if (is_served(&address))
		return cannot_listen(config, "another process serves it", err);
	struct stat st;
	if (!lstat(config->listen, &st) && S_ISSOCK(st.st_mode))
		(void)unlink(config->listen);
	AUTO(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* Whoever may connect may claim any role: the owner and the group, nobody else. */
	mode_t old = umask(0117);
	int rc = bind(fd, (const struct sockaddr *)&address, sizeof address);
	(void)umask(old);
	if (rc < 0)
		return cannot_listen(config, strerror(errno), err);
	server->unlink_path = config->listen;
	if (grant_group(config, err) < 0)
		return -1;
	if (listen(fd, BACKLOG) < 0)
		return cannot_listen(config, strerror(errno), err);
	server->listener = TAKE_FD(fd);
	return 0;
}

static void auto_addrinfo(struct addrinfo **info)
{
	if (*info)
		freeaddrinfo(*info);
}

static int listen_tcp(struct server *server, struct err *err)
{
	const struct config *config = server->config;
	const char *colon = strrchr(config->listen, ':');
	if (!colon || !colon[1])
		return cannot_listen(config, "neither an absolute path nor host:port", err);
	char host[256];
	size_t n = (size_t)(colon - config->listen);
	bool bracketed = n >= 2 && config->listen[0] == '[' && colon[-1] == ']';
	(void)snprintf(host, sizeof host, "%.*s", (int)(bracketed ? n - 2 : n),
		config->listen + bracketed);
	__attribute__((cleanup(auto_addrinfo))) struct addrinfo *info = NULL;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	int rc = getaddrinfo(host[0] ? host : NULL, colon + 1, &hints, &info);
	if (rc)
		return cannot_listen(config, gai_strerror(rc), err);
	int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
	AUTO(close) int fd = socket(info->ai_family, info->ai_socktype | flags, info->ai_protocol);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		return cannot_listen(config, strerror(errno), err);
	server->listener = TAKE_FD(fd);
	return 0;
}

static int open_listener(struct server *server, struct err *err)
{
	server->listener = listen_inherited();
	if (server->listener >= 0)
		return 0;
	return server->config->listen[0] == '/' ? listen_unix(server, err)
						: listen_tcp(server, err);
}

/* The epoll set */

static int arm(const struct server *server, int fd, int op)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.fd = fd };
	return epoll_ctl(server->epoll, op, fd, &event);
}

int server_open(const struct config *config, struct api *api, struct server **ret, struct err *err)
{
	struct server *server = calloc(1, sizeof *server);
	if (!server)
		return err_memory(err);
	*server = (struct server){ .config = config, .api = api, .listener = -1 };
	server->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	server->workers = calloc((size_t)config->workers, sizeof server->workers[0]);
	struct epoll_event wake = { .events = EPOLLIN, .data.fd = server->wake };
	if (server->wake < 0 || server->epoll < 0 || !server->workers || FCGX_Init() ||
		epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->wake, &wake) < 0)
		(void)err_set(err, ERR_INTERNAL, "cannot set up: %s", strerror(errno));
	else if (!open_listener(server, err) && !arm(server, server->listener, EPOLL_CTL_ADD)) {
		/* libfcgi puts a handler of its own on it. */
		(void)signal(SIGPIPE, SIG_IGN);
		*ret = server;
		return 0;
	}
	server_free(server);
	return -1;
}

void server_free(struct server *server)
{
	const int fds[] = { server->listener, server->epoll, server->wake };
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	if (server->unlink_path)
		(void)unlink(server->unlink_path);
	free(server->workers);
	free(server);
}

/* One request */

static const char *param(const FCGX_Request *fcgi, const char *name)
{
	const char *value = FCGX_GetParam(name, fcgi->envp);
	return value ? value : "";
}

/*
 * Reads the whole body, keeps no more than API_BODY_MAX of it and returns its true length: what
 * stays unread would be taken for the next request on this connection. -1: memory.
 */
static int read_body(const FCGX_Request *fcgi, char **ret, size_t *ret_len)
{
	long long announced = strtoll(param(fcgi, "CONTENT_LENGTH"), NULL, 10);
	size_t room = announced < 0        ? 0
		: announced > API_BODY_MAX ? API_BODY_MAX
					   : (size_t)announced;
	char *body = malloc(room + 1);
	char surplus[4096];
	size_t len = 0;
	for (;;) {
		char *to = body && len < room ? body + len : surplus;
		size_t size = to == surplus ? sizeof surplus : room - len;
		int n = FCGX_GetStr(to, (int)size, fcgi->in);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	if (body)
		body[len < room ? len : room] = '\0';
	*ret = body;
	*ret_len = len;
	return body ? 0 : -1;
}

static void answer(struct server *server, const FCGX_Request *fcgi, struct http_req *req,
	struct api_reply *reply)
{
	AUTO(free) char *body = NULL;
	struct err err;
	if (read_body(fcgi, &body, &req->body_len) < 0) {
		(void)err_memory(&err);
		api_answer_error(req, &err, reply);
		return;
	}
	if (req->body_len > API_BODY_MAX) {
		(void)err_set(&err, ERR_BODY_TOO_LARGE,
			"body: %zu bytes are more than the %d allowed", req->body_len,
			API_BODY_MAX);
		api_answer_error(req, &err, reply);
		return;
	}
	req->body = body;
	api_answer(server->api, req, reply);
}

static void send_reply(
	const FCGX_Request *fcgi, const struct http_req *req, const struct api_reply *reply)
{
	FCGX_Stream *out = fcgi->out;
	(void)FCGX_FPrintF(out, "Status: %d %s\r\n", reply->status, http_reason(reply->status));
	(void)FCGX_FPrintF(out, "X-Request-Id: %s\r\nCache-Control: no-store\r\n", req->request_id);
	if (reply->location)
		(void)FCGX_FPrintF(out, "Location: %s\r\n", reply->location);
	if (reply->allow[0])
		(void)FCGX_FPrintF(out, "Allow: %s\r\n", reply->allow);
	if (reply->retry_after)
		(void)FCGX_FPrintF(out, "Retry-After: %d\r\n", reply->retry_after);
	if (reply->type)
		(void)FCGX_FPrintF(out, "Content-Type: %s\r\n", reply->type);
	(void)FCGX_FPrintF(out, "Content-Length: %d\r\n\r\n", (int)reply->body_len);
	if (reply->body && req->method != HTTP_HEAD)
		(void)FCGX_PutStr(reply->body, (int)reply->body_len, out);
}

static void log_request(const FCGX_Request *fcgi, const struct http_req *req,
	const struct api_reply *reply, int64_t microseconds)
{
	int path_len = (int)strcspn(req->target, "?");
	const struct err *err = &reply->err;
	char failure[1200] = "";
	if (reply->failed)
		(void)snprintf(failure, sizeof failure, " code=%s detail=\"%s\"",
			err_code(err->kind), err->text);
	if (reply->failed && err->private[0]) {
		size_t n = strlen(failure);
		(void)snprintf(failure + n, sizeof failure - n, " libvirt=%d/%d \"%s\"",
			err->libvirt_code, err->libvirt_domain, err->private);
	}
	log_info("request id=%s method=%.16s path=\"%.*s\" user=\"%.64s\" role=%s status=%d "
		 "bytes=%zu ms=%lld.%03lld%s",
		req->request_id, param(fcgi, "REQUEST_METHOD"), path_len > 200 ? 200 : path_len,
		req->target, req->user, api_role_name(reply->role), reply->status, reply->body_len,
		(long long)microseconds / 1000, (long long)microseconds % 1000, failure);
}

static int64_t clock_us(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void serve_request(struct server *server, FCGX_Request *fcgi)
{
	int64_t start = clock_us();
	struct http_req req = {
		.method = http_method_of(param(fcgi, "REQUEST_METHOD")),
		.target = param(fcgi, "REQUEST_URI"),
		.content_type = param(fcgi, "CONTENT_TYPE"),
		.body = "",
		.request_id = param(fcgi, "REQUEST_ID"),
		.user = param(fcgi, "REMOTE_USER"),
		.role = param(fcgi, "VIRTGATE_ROLE"),
	};
	struct api_reply reply;
	answer(server, fcgi, &req, &reply);
	send_reply(fcgi, &req, &reply);
	log_request(fcgi, &req, &reply, clock_us() - start);
	bool stop = reply.stop;
	api_reply_done(&reply);
	FCGX_Finish_r(fcgi);
	if (stop)
		(void)kill(getpid(), SIGTERM);
}

/*
 * Reads one request from a connection that has something to read, answers it, and arms the
 * connection for the next. With no listening socket libfcgi returns an error for a connection
 * that was closed, where it would otherwise wait for another.
 */
static void serve_connection(struct server *server, int fd)
{
	FCGX_Request fcgi;
	(void)FCGX_InitRequest(&fcgi, -1, 0);
	fcgi.ipcFd = fd;
	fcgi.keepConnection = 1; /* or FCGX_Accept_r() begins by closing it */
	if (FCGX_Accept_r(&fcgi) < 0)
		return;
	if (atomic_load(&server->api->draining))
		fcgi.keepConnection = 0;
	serve_request(server, &fcgi);
	if (fcgi.ipcFd >= 0 && arm(server, fcgi.ipcFd, EPOLL_CTL_MOD) < 0)
		(void)close(fcgi.ipcFd);
}

static void accept_connection(struct server *server)
{
	const struct timeval timeout = { .tv_sec = IO_TIMEOUT_SECONDS };
	int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
	int error = errno;
	if (!atomic_load(&server->api->draining))
		(void)arm(server, server->listener, EPOLL_CTL_MOD);
	if (fd < 0) {
		if (error == EMFILE || error == ENFILE || error == ENOMEM)
			/* The listener stays ready: without a pause this would spin. */
			(void)usleep(10000);
		return;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
	if (arm(server, fd, EPOLL_CTL_ADD) < 0)
		(void)close(fd);
}

/* Workers */

/* Answers what has arrived; what is idle then stays so, and its close tells nginx. */
static void drain(struct server *server)
{
	for (;;) {
		/* Besides the wake-up itself, which stays ready, one more. */
		struct epoll_event events[2];
		int n = epoll_wait(server->epoll, events, ARRAY_LEN(events), 0);
		int served = 0;
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			if (fd == server->wake || fd == server->listener)
				continue;
			serve_connection(server, fd);
			served++;
		}
		if (!served)
			return;
	}
}

static void *work(void *data)
{
	struct server *server = data;
	for (;;) {
		struct epoll_event event;
		if (epoll_wait(server->epoll, &event, 1, -1) < 1)
			continue;
		if (event.data.fd == server->wake) {
			drain(server);
			return NULL;
		}
		if (event.data.fd == server->listener)
			accept_connection(server);
		else
			serve_connection(server, event.data.fd);
	}
}

static void start_workers(struct server *server)
{
	pthread_attr_t attr;
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (int i = 0; i < server->config->workers; i++) {
		if (pthread_create(&server->workers[i], &attr, work, server))
			break;
		(void)pthread_setname_np(server->workers[i], "worker");
		server->worker_count++;
	}
	(void)pthread_attr_destroy(&attr);
}

static int join_workers(struct server *server, int seconds)
{
	struct timespec deadline = clock_after_ms((int64_t)seconds * 1000);
	int unfinished = 0;
	for (int i = 0; i < server->worker_count; i++)
		if (pthread_clockjoin_np(server->workers[i], NULL, CLOCK_MONOTONIC, &deadline))
			unfinished++;
	return unfinished;
}

int server_run(struct server *server)
{
	sigset_t signals;
	int got = 0;
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	start_workers(server);
	if (!server->worker_count)
		log_error("no worker could be started");
	else
		(void)sigwait(&signals, &got);
	atomic_store(&server->api->draining, true);
	(void)epoll_ctl(server->epoll, EPOLL_CTL_DEL, server->listener, NULL);
	(void)eventfd_write(server->wake, 1);
	return join_workers(server, server->config->drain);
}
