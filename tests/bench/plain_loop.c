/* SPDX-License-Identifier: MIT */
/*
 * The limit of GET /healthz: what is left when a FastCGI server does nothing but to read a
 * request's bytes and to write an answer that it has at hand. One thread, and a system call for
 * the wait, the reading and the writing; several requests that are ready share the first.
 *
 * Only for what nginx sends here: each request comes in one piece, and alone on its connection.
 *
 * VIRTGATE_LISTEN is the socket. SIGTERM ends it.
 */
#include "base/base.h"

#include <fastcgi.h>
#include <fcgiapp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 511, EVENTS = 64 };

static const char *path;

#define ANSWER \
	"Status: 200 OK\r\nX-Request-Id: 0123456789abcdef0123456789abcdef\r\n" \
	"Cache-Control: no-store\r\nVary: Accept-Encoding\r\n" \
	"Content-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"alive\":true}"

/* nginx gives each request the same number. */
static const struct {
	FCGI_Header head;
	char text[sizeof ANSWER - 1];
	FCGI_Header end_head;
	FCGI_EndRequestBody end;
} answer = {
	{ FCGI_VERSION_1, FCGI_STDOUT, 0, 1, (sizeof ANSWER - 1) / 256, (sizeof ANSWER - 1) % 256,
		0, 0 },
	ANSWER,
	{ FCGI_VERSION_1, FCGI_END_REQUEST, 0, 1, 0, sizeof(FCGI_EndRequestBody), 0, 0 },
	{ 0 },
};

static void watch(int epoll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
	if (fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		abort();
}

static void serve(int fd)
{
	char request[16384];
	if (read(fd, request, sizeof request) <= 0 || write(fd, &answer, sizeof answer) < 0)
		(void)close(fd);
}

static _Noreturn void stop(int number)
{
	(void)number;
	(void)unlink(path);
	_exit(0);
}

int main(void)
{
	path = getenv("VIRTGATE_LISTEN");
	int epoll = epoll_create1(0);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGTERM, stop);
	(void)umask(0117);
	int listener = path && !FCGX_Init() ? FCGX_OpenSocket(path, BACKLOG) : -1;
	if (listener < 0 || epoll < 0)
		return 1;
	watch(epoll, listener);
	for (;;) {
		struct epoll_event events[EVENTS];
		int count = epoll_wait(epoll, events, EVENTS, -1);
		for (int i = 0; i < count; i++) {
			if (events[i].data.fd == listener)
				watch(epoll, accept(listener, NULL, NULL));
			else
				serve(events[i].data.fd);
		}
	}
}
