/* SPDX-License-Identifier: MIT */
#include "server.h"

#include "log.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
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

/* From nginx; busy while a worker has it, else waiting in the epoll set. */
struct connection {
	int fd;
	bool busy;
	struct connection *next, *previous;
};

struct server {
	const struct config *config;
	struct api *api;
	bool inherited;   /* the listener: its backlog is for whoever serves it next */
	bool bound;       /* by us, to a path */
	struct stat path; /* what is there then: another may take our place */
	int epoll;
	int wake; /* readable from the moment that workers shall end */
	pthread_t *workers;
	int worker_count;

	pthread_mutex_t lock;
	int listener; /* -1 once closed */
	struct connection *connections;
};

/* The socket */

static int listen_inherited(void)
{
	const char *pid = getenv("LISTEN_PID");
	const char *fds = getenv("LISTEN_FDS");
	enum { FIRST_FD = 3 };
	int listening = 0;
	if (!pid || !fds || strtol(pid, NULL, 10) != getpid() || strtol(fds, NULL, 10) < 1)
		return -1;
	if (getsockopt(FIRST_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening,
		    &(socklen_t){ sizeof(int) }) < 0 ||
		!listening)
		return -1;
	(void)fcntl(FIRST_FD, F_SETFD, FD_CLOEXEC);
	(void)fcntl(FIRST_FD, F_SETFL, O_NONBLOCK);
	return FIRST_FD;
}

/* A full backlog is somebody's, too. */
static bool is_served(const struct sockaddr_un *address)
{
	AUTO(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return !connect(fd, (const struct sockaddr *)address, sizeof *address) || errno == EAGAIN;
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
	server->bound = !lstat(config->listen, &server->path);
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

/* Whoever can connect can claim any role, so nobody on another machine may. */
static bool is_loopback(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)(const void *)address)
				       ->sin_addr.s_addr) >>
			24 ==
			IN_LOOPBACKNET;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
	return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
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
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	int rc = getaddrinfo(host[0] ? host : NULL, colon + 1, &hints, &info);
	if (rc)
		return cannot_listen(config, gai_strerror(rc), err);
	if (!is_loopback(info->ai_addr))
		return cannot_listen(config, "not a loopback address", err);
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
	server->inherited = server->listener >= 0;
	if (server->inherited)
		return 0;
	return server->config->listen[0] == '/' ? listen_unix(server, err)
						: listen_tcp(server, err);
}

/* The epoll set */

/* Arms a descriptor for one event, which will carry the tag. */
static int arm(const struct server *server, int fd, void *tag, int op)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT,
		.data.ptr = tag,
	};
	return epoll_ctl(server->epoll, op, fd, &event);
}

/* nginx may keep more connections than the usual 1024 allow. */
static void allow_many_files(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

int server_open(const struct config *config, struct api *api, struct server **ret, struct err *err)
{
	struct server *server = calloc(1, sizeof *server);
	if (!server)
		return err_memory(err);
	*server = (struct server){ .config = config, .api = api, .listener = -1 };
	(void)pthread_mutex_init(&server->lock, NULL);
	allow_many_files();
	server->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	server->workers = calloc((size_t)config->workers, sizeof server->workers[0]);
	struct epoll_event wake = { .events = EPOLLIN, .data.ptr = &server->wake };
	bool good = server->workers && !FCGX_Init() &&
		!epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->wake, &wake);
	if (!good)
		(void)err_set(err, ERR_INTERNAL, "cannot set up: %s", strerror(errno));
	if (good && !open_listener(server, err)) {
		/* libfcgi puts a handler of its own on it. */
		(void)signal(SIGPIPE, SIG_IGN);
		if (!arm(server, server->listener, &server->listener, EPOLL_CTL_ADD)) {
			*ret = server;
			return 0;
		}
		(void)cannot_listen(config, strerror(errno), err);
	}
	server_free(server);
	return -1;
}

/* Its path first: as soon as nobody serves it, another virtgate may put its own there. */
static void close_listener(struct server *server)
{
	struct stat now;
	if (server->listener < 0)
		return;
	if (server->bound && !lstat(server->config->listen, &now) &&
		now.st_dev == server->path.st_dev && now.st_ino == server->path.st_ino)
		(void)unlink(server->config->listen);
	(void)close(server->listener);
	server->listener = -1;
}

void server_free(struct server *server)
{
	close_listener(server);
	if (server->epoll >= 0)
		(void)close(server->epoll);
	if (server->wake >= 0)
		(void)close(server->wake);
	(void)pthread_mutex_destroy(&server->lock);
	free(server->workers);
	free(server);
}

/* Connections; the lock is held for these. */

static void add_connection(struct server *server, int fd)
{
	const struct timeval timeout = { .tv_sec = IO_TIMEOUT_SECONDS };
	struct connection *connection = calloc(1, sizeof *connection);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
	if (!connection || arm(server, fd, connection, EPOLL_CTL_ADD) < 0) {
		free(connection);
		(void)close(fd);
		return;
	}
	connection->fd = fd;
	connection->next = server->connections;
	if (connection->next)
		connection->next->previous = connection;
	server->connections = connection;
}

/* Its descriptor is closed already. The last one to go, in draining, lets the workers end. */
static void remove_connection(struct server *server, struct connection *connection)
{
	if (connection->next)
		connection->next->previous = connection->previous;
	if (connection->previous)
		connection->previous->next = connection->next;
	else
		server->connections = connection->next;
	free(connection);
	if (!server->connections && atomic_load(&server->api->draining))
		(void)eventfd_write(server->wake, 1);
}

/*
 * In draining: closes a connection that has nothing more to say, by letting a worker read its end.
 * One whose next request is there already is answered first.
 */
static void end_if_silent(const struct connection *connection)
{
	struct pollfd pending = { .fd = connection->fd, .events = POLLIN };
	if (!poll(&pending, 1, 0))
		(void)shutdown(connection->fd, SHUT_RD);
}

/* A worker is done with it: nginx closed it, or it waits for its next request. */
static void release_connection(struct server *server, struct connection *connection, bool closed)
{
	LOCK(&server->lock);
	connection->busy = false;
	if (!closed && atomic_load(&server->api->draining))
		end_if_silent(connection);
	if (!closed && !arm(server, connection->fd, connection, EPOLL_CTL_MOD))
		return;
	if (!closed)
		(void)close(connection->fd);
	remove_connection(server, connection);
}

/* Accepts one connection; false: there is none. *ret_error is errno then. */
static bool accept_one(struct server *server, int *ret_error)
{
	int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
	*ret_error = errno;
	if (fd >= 0)
		add_connection(server, fd);
	return fd >= 0;
}

/* One request */

static const char *param(const FCGX_Request *fcgi, const char *name)
{
	const char *value = FCGX_GetParam(name, fcgi->envp);
	return value ? value : "";
}

/*
 * Reads the whole body, for what stays unread would be taken for the next request on this
 * connection, and keeps no more than API_BODY_MAX of it. A body that is not as long as announced
 * broke off somewhere and is not acted upon.
 */
static int read_body(
	const FCGX_Request *fcgi, struct http_req *req, char **ret_body, struct err *err)
{
	const char *length = param(fcgi, "CONTENT_LENGTH");
	long long announced = strtoll(length, NULL, 10);
	size_t room = announced < 0        ? 0
		: announced > API_BODY_MAX ? API_BODY_MAX
					   : (size_t)announced;
	AUTO(free) char *body = malloc(room + 1);
	char surplus[4096];
	size_t len = 0;
	for (int n = 1; n > 0; len += (size_t)n) {
		bool fits = body && len < room;
		size_t size = fits ? room - len : sizeof surplus;
		/* cppcheck-suppress legacyUninitvar */
		n = FCGX_GetStr(fits ? body + len : surplus, (int)size, fcgi->in);
	}
	if (!body)
		return err_memory(err);
	if (len && !*length)
		return err_set(err, ERR_LENGTH_REQUIRED, "body: its length was not announced");
	if (len > API_BODY_MAX)
		return err_set(err, ERR_BODY_TOO_LARGE,
			"body: %zu bytes are more than the %d allowed", len, API_BODY_MAX);
	if (FCGX_GetError(fcgi->in) || (long long)len != announced)
		return err_set(err, ERR_BAD_REQUEST, "body: %lld bytes were announced and %zu came",
			announced, len);
	body[len] = '\0';
	req->body = body;
	req->body_len = len;
	*ret_body = TAKE(body);
	return 0;
}

static void answer(struct server *server, const FCGX_Request *fcgi, struct http_req *req,
	struct api_reply *reply)
{
	AUTO(free) char *body = NULL;
	struct err err;
	if (read_body(fcgi, req, &body, &err) < 0)
		api_answer_error(req, &err, reply);
	else
		api_answer(server->api, req, reply);
	req->body = "";
}

static void send_reply(
	const FCGX_Request *fcgi, const struct http_req *req, const struct api_reply *reply)
{
	FCGX_Stream *out = fcgi->out;
	(void)FCGX_FPrintF(out, "Status: %d %s\r\n", reply->status, http_reason(reply->status));
	/* An answer with an entity tag may be kept by who asked, to ask whether it still holds. */
	(void)FCGX_FPrintF(out,
		"X-Request-Id: %s\r\nCache-Control: %s\r\nVary: Accept-Encoding\r\n",
		req->request_id, reply->etag[0] ? "private, no-cache" : "no-store");
	if (reply->location)
		(void)FCGX_FPrintF(out, "Location: %s\r\n", reply->location);
	if (reply->allow[0])
		(void)FCGX_FPrintF(out, "Allow: %s\r\n", reply->allow);
	if (reply->accept_patch)
		(void)FCGX_FPrintF(out, "Accept-Patch: %s\r\n", reply->accept_patch);
	if (reply->replayed)
		(void)FCGX_FPrintF(out, "Idempotent-Replay: true\r\n");
	if (reply->etag[0])
		(void)FCGX_FPrintF(out, "ETag: %s\r\n", reply->etag);
	if (reply->status == 401) /* RFC 9110 section 15.5.2; nginx's own 401 is the usual one */
		(void)FCGX_FPrintF(out, "WWW-Authenticate: Basic realm=\"virtgate\"\r\n");
	if (reply->retry_after)
		(void)FCGX_FPrintF(out, "Retry-After: %d\r\n", reply->retry_after);
	if (reply->type)
		(void)FCGX_FPrintF(out, "Content-Type: %s\r\n", reply->type);
	/* RFC 9110 section 8.6: none with a 204; that of a 304 would be the whole answer's. */
	if (reply->status != 204 && reply->status != 304)
		(void)FCGX_FPrintF(out, "Content-Length: %d\r\n", (int)reply->body_len);
	(void)FCGX_FPrintF(out, "\r\n");
	if (reply->body && req->method != HTTP_HEAD)
		(void)FCGX_PutStr(reply->body, (int)reply->body_len, out);
}

/* Copies a value for the log, where a " would end it. */
static void copy_value(char *ret, size_t size, const char *value, size_t len)
{
	size_t n = 0;
	for (; n < len && n + 1 < size && value[n]; n++)
		ret[n] = value[n] == '"' ? '\'' : value[n];
	ret[n] = '\0';
}

static void log_request(const FCGX_Request *fcgi, const struct http_req *req,
	const struct api_reply *reply, int64_t microseconds)
{
	const struct err *err = &reply->err;
	char method[24];
	char path[256];
	char user[80];
	char detail[sizeof err->text];
	char private[sizeof err->private];
	copy_value(method, sizeof method, param(fcgi, "REQUEST_METHOD"), SIZE_MAX);
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

/* nginx's, if it can stand in a header and in the log as it is; else one of our own. */
static const char *request_id(const FCGX_Request *fcgi, char own[static UUID_SIZE])
{
	const char *given = param(fcgi, "REQUEST_ID");
	if (text_is_name(given))
		return given;
	uuid_make(own);
	return own;
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
	char own_id[UUID_SIZE];
	struct http_req req = {
		.method = http_method_of(param(fcgi, "REQUEST_METHOD")),
		.target = param(fcgi, "REQUEST_URI"),
		.content_type = param(fcgi, "CONTENT_TYPE"),
		.body = "",
		.request_id = request_id(fcgi, own_id),
		.user = param(fcgi, "REMOTE_USER"),
		.role = param(fcgi, "VIRTGATE_ROLE"),
		.origin = param(fcgi, "HTTP_ORIGIN"),
		.sec_fetch_site = param(fcgi, "HTTP_SEC_FETCH_SITE"),
		.host = param(fcgi, "HTTP_HOST"),
		.if_match = param(fcgi, "HTTP_IF_MATCH"),
		.if_none_match = param(fcgi, "HTTP_IF_NONE_MATCH"),
		.idempotency_key = param(fcgi, "HTTP_IDEMPOTENCY_KEY"),
	};
	struct api_reply reply;
	metrics_begin(server->api->metrics);
	answer(server, fcgi, &req, &reply);
	/* Before it is sent: who has an answer finds it counted. */
	api_count(server->api, &req, &reply, clock_us() - start);
	send_reply(fcgi, &req, &reply);
	log_request(fcgi, &req, &reply, clock_us() - start);
	bool stop = reply.stop;
	api_reply_done(&reply);
	FCGX_Finish_r(fcgi);
	if (stop)
		(void)kill(getpid(), SIGTERM);
}

/*
 * Reads one request from a connection that has something to read, and answers it. With no
 * listening socket libfcgi returns an error for a connection that was closed, where it would
 * otherwise wait for another.
 */
static void serve_connection(struct server *server, struct connection *connection)
{
	{
		LOCK(&server->lock);
		connection->busy = true;
	}
	FCGX_Request fcgi;
	(void)FCGX_InitRequest(&fcgi, -1, 0);
	fcgi.ipcFd = connection->fd;
	fcgi.keepConnection = 1; /* or FCGX_Accept_r() begins by closing it */
	if (!FCGX_Accept_r(&fcgi))
		serve_request(server, &fcgi);
	release_connection(server, connection, fcgi.ipcFd < 0);
}

static void accept_connection(struct server *server)
{
	enum { PAUSE_MICROSECONDS = 10000 };
	int error = 0;
	bool accepted = true;
	{
		LOCK(&server->lock);
		if (server->listener >= 0)
			accepted = accept_one(server, &error);
	}
	/* Out of descriptors or memory the listener stays ready: without a pause this would spin.
	 */
	if (!accepted && error != EAGAIN && error != ECONNABORTED)
		(void)usleep(PAUSE_MICROSECONDS);
	LOCK(&server->lock);
	if (server->listener >= 0)
		(void)arm(server, server->listener, &server->listener, EPOLL_CTL_MOD);
}

/* Workers */

static void *work(void *data)
{
	struct server *server = data;
	for (;;) {
		struct epoll_event event;
		if (epoll_wait(server->epoll, &event, 1, -1) < 1)
			continue;
		if (event.data.ptr == &server->wake)
			return NULL;
		if (event.data.ptr == &server->listener)
			accept_connection(server);
		else
			serve_connection(server, event.data.ptr);
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

/* Returns how many requests are not finished when time is up. */
static int join_workers(struct server *server)
{
	struct timespec deadline;
	(void)clock_gettime(CLOCK_REALTIME, &deadline);
	/* Without a moment for the threads to end, --drain 0 would always find some. */
	deadline.tv_sec += server->config->drain ? server->config->drain : 1;
	bool late = false;
	for (int i = 0; i < server->worker_count; i++)
		late |= pthread_timedjoin_np(server->workers[i], NULL, &deadline) != 0;
	if (!late)
		return 0;
	LOCK(&server->lock);
	int unfinished = 0;
	for (const struct connection *c = server->connections; c; c = c->next)
		unfinished += c->busy;
	return unfinished ? unfinished : 1;
}

/* Accepts no more but what waits already; ends what is idle, and the rest when it is answered. */
static void drain(struct server *server)
{
	LOCK(&server->lock);
	atomic_store(&server->api->draining, true);
	(void)epoll_ctl(server->epoll, EPOLL_CTL_DEL, server->listener, NULL);
	int error = 0;
	while (!server->inherited && accept_one(server, &error))
		;
	close_listener(server);
	for (const struct connection *c = server->connections; c; c = c->next)
		if (!c->busy)
			end_if_silent(c);
	if (!server->connections)
		(void)eventfd_write(server->wake, 1);
}

int server_run(struct server *server)
{
	sigset_t signals;
	int got = 0;
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	start_workers(server);
	if (!server->worker_count) {
		log_error("no worker could be started");
		return 1;
	}
	(void)sigwait(&signals, &got);
	drain(server);
	return join_workers(server);
}
