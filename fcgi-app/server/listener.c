/* SPDX-License-Identifier: MIT */
#include "server/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { BACKLOG = 511 };

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

/* Does a process listen there? EAGAIN: one does, and its backlog is full. */
static bool is_served(const struct sockaddr_un *address)
{
	AUTO(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return !connect(fd, (const struct sockaddr *)address, sizeof *address) || errno == EAGAIN;
}

static int listen_error(const struct config *config, const char *why, struct err *err)
{
	return err_set(
		err, ERR_BAD_REQUEST, "listen: cannot listen on '%.200s': %s", config->listen, why);
}

/* (gid_t)-1: no group is set, which chown() takes as no change. */
static int find_group(const struct config *config, gid_t *ret, struct err *err)
{
	const struct group *group = NULL;
	if (config->socket_group[0] && !(group = getgrnam(config->socket_group)))
		return err_set(err, ERR_BAD_REQUEST, "socket-group: there is no group '%s'",
			config->socket_group);
	*ret = group ? group->gr_gid : (gid_t)-1;
	return 0;
}

static void find_users(const struct config *config, struct listener *listener)
{
	AUTO(free) char *names = config->socket_users ? strdup(config->socket_users) : NULL;
	char *rest = NULL;
	for (char *name = names ? strtok_r(names, ", ", &rest) : NULL; name;
		name = strtok_r(NULL, ", ", &rest)) {
		const struct passwd *user = getpwnam(name);
		if (user && listener->user_count < LISTENER_USERS_MAX)
			listener->users[listener->user_count++] = user->pw_uid;
	}
}

static int make_unix_address(const struct config *config, struct sockaddr_un *ret, struct err *err)
{
	if (strlen(config->listen) >= sizeof ret->sun_path)
		return listen_error(
			config, "the path of a unix socket can have at most 107 bytes", err);
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(ret->sun_path, config->listen, strlen(config->listen) + 1);
	return 0;
}

static int listen_unix(const struct config *config, struct listener *ret, struct err *err)
{
	struct sockaddr_un address;
	gid_t group = 0;
	if (make_unix_address(config, &address, err) < 0 || find_group(config, &group, err) < 0)
		return -1;
	if (is_served(&address))
		return listen_error(config, "another process listens there", err);
	struct stat st;
	if (!lstat(config->listen, &st) && S_ISSOCK(st.st_mode))
		(void)unlink(config->listen);
	AUTO(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* A process that can connect can claim any role: only the owner and the group may. */
	mode_t old = umask(0117);
	int rc = bind(fd, (const struct sockaddr *)&address, sizeof address);
	(void)umask(old);
	if (rc < 0)
		return listen_error(config, strerror(errno), err);
	struct listener made = { .path = config->listen };
	made.bound = !lstat(config->listen, &made.stat);
	if (chown(config->listen, (uid_t)-1, group) < 0 || listen(fd, BACKLOG) < 0)
		return listen_error(config, strerror(errno), err);
	made.fd = TAKE_FD(fd);
	*ret = made;
	return 0;
}

static void auto_addrinfo(struct addrinfo **info)
{
	if (*info)
		freeaddrinfo(*info);
}

/* A process that can connect can claim any role, so none on another machine may. */
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

/* fine: what bind() may fail with. */
static int bind_tcp(const struct config *config, int fine, int *ret_fd, struct err *err)
{
	const char *colon = strrchr(config->listen, ':');
	if (!colon || !colon[1])
		return listen_error(config, "it is neither an absolute path nor host:port", err);
	char host[256];
	size_t n = (size_t)(colon - config->listen);
	bool bracketed = n >= 2 && config->listen[0] == '[' && colon[-1] == ']';
	(void)snprintf(host, sizeof host, "%.*s", (int)(bracketed ? n - 2 : n),
		config->listen + bracketed);
	__attribute__((cleanup(auto_addrinfo))) struct addrinfo *info = NULL;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	int rc = getaddrinfo(host[0] ? host : NULL, colon + 1, &hints, &info);
	if (rc)
		return listen_error(config, gai_strerror(rc), err);
	if (!is_loopback(info->ai_addr))
		return listen_error(config, "it is not a loopback address", err);
	int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
	AUTO(close) int fd = socket(info->ai_family, info->ai_socktype | flags, info->ai_protocol);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (bind(fd, info->ai_addr, info->ai_addrlen) < 0 && errno != fine)
		return listen_error(config, strerror(errno), err);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int listen_tcp(const struct config *config, struct listener *ret, struct err *err)
{
	AUTO(close) int fd = -1;
	if (bind_tcp(config, 0, &fd, err) < 0)
		return -1;
	if (listen(fd, BACKLOG) < 0)
		return listen_error(config, strerror(errno), err);
	*ret = (struct listener){ .fd = TAKE_FD(fd) };
	return 0;
}

static int check_unix(const struct config *config, struct err *err)
{
	struct sockaddr_un address;
	gid_t group = 0;
	if (make_unix_address(config, &address, err) < 0 || find_group(config, &group, err) < 0)
		return -1;
	if (access(dirname(address.sun_path), W_OK | X_OK) < 0)
		return err_set(err, ERR_BAD_REQUEST,
			"listen: cannot create '%s': %s; set VIRTGATE_LISTEN to a path in a "
			"directory that exists",
			config->listen, strerror(errno));
	return 0;
}

int listener_check(const struct config *config, struct err *err)
{
	AUTO(close) int fd = -1;
	if (listen_inherited() >= 0)
		return 0;
	return config->listen[0] == '/' ? check_unix(config, err)
					: bind_tcp(config, EADDRINUSE, &fd, err);
}

static int listen_anyhow(const struct config *config, struct listener *ret, struct err *err)
{
	int fd = listen_inherited();
	if (fd >= 0) {
		*ret = (struct listener){ .fd = fd, .inherited = true };
		return 0;
	}
	return config->listen[0] == '/' ? listen_unix(config, ret, err)
					: listen_tcp(config, ret, err);
}

int listener_init(const struct config *config, struct listener *ret, struct err *err)
{
	struct listener made = { .fd = -1 };
	if (listen_anyhow(config, &made, err) < 0)
		return -1;
	find_users(config, &made);
	*ret = made;
	return 0;
}

bool listener_admits(const struct listener *listener, int fd, uid_t *ret_user)
{
	struct ucred peer;
	socklen_t size = sizeof peer;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid == (uid_t)-1)
		return true; /* TCP, on the loopback interface */
	*ret_user = peer.uid;
	bool admitted = !peer.uid || peer.uid == geteuid();
	for (size_t i = 0; i < listener->user_count; i++)
		admitted = admitted || peer.uid == listener->users[i];
	return admitted;
}

void listener_unlink(struct listener *listener)
{
	struct stat now;
	if (listener->bound && !lstat(listener->path, &now) &&
		now.st_dev == listener->stat.st_dev && now.st_ino == listener->stat.st_ino)
		(void)unlink(listener->path);
	listener->bound = false;
}

void listener_done(struct listener *listener)
{
	if (listener->fd < 0)
		return;
	listener_unlink(listener);
	(void)close(listener->fd);
	listener->fd = -1;
}
