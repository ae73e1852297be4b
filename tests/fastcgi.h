/* SPDX-License-Identifier: MIT */
#pragma once
/* nginx's side of a FastCGI connection (specification 1.0), for near tests. */
#include "check.h"

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Section 8. */
enum { BEGIN_REQUEST = 1, END_REQUEST = 3, PARAMS = 4, STDIN = 5, STDOUT = 6 };
enum { HEADER = 8, RESPONDER = 1, KEEP_CONN = 1 };

static inline int nginx_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static inline size_t add_record(char *to, int type, const void *data, size_t len)
{
	const char header[HEADER] = { 1, (char)type, 0, 1, (char)(len >> 8), (char)len };
	memcpy(to, header, HEADER);
	memcpy(to + HEADER, data, len);
	return HEADER + len;
}

static inline size_t add_param(char *to, const char *name, const char *value)
{
	to[0] = (char)strlen(name);
	to[1] = (char)strlen(value);
	return (size_t)sprintf(to + 2, "%s%s", name, value) + 2;
}

static inline void nginx_send(int fd, const char *method, const char *target)
{
	char params[512];
	char all[1024];
	size_t n = add_param(params, "REQUEST_METHOD", method);
	n += add_param(params + n, "REQUEST_URI", target);
	n += add_param(params + n, "REQUEST_ID", "id-1");
	size_t len = add_record(all, BEGIN_REQUEST, "\0\1\1\0\0\0\0\0", 8);
	len += add_record(all + len, PARAMS, params, n);
	len += add_record(all + len, PARAMS, "", 0);
	len += add_record(all + len, STDIN, "", 0);
	assert_int_equal(send(fd, all, len, MSG_NOSIGNAL), len);
}

/* Reads records to the end of the reply, or until none comes for ms; false: the reply goes on. */
static inline bool nginx_receive(int fd, char *ret, size_t size, int ms)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	size_t len = strlen(ret);
	while (poll(&ready, 1, ms) == 1) {
		unsigned char header[HEADER];
		char data[UINT16_MAX + UINT8_MAX];
		if (recv(fd, header, HEADER, MSG_WAITALL) != HEADER)
			return true;
		size_t n = (size_t)header[4] << 8 | header[5];
		size_t all = n + header[6];
		assert_int_equal(recv(fd, data, all, MSG_WAITALL), all);
		if (header[1] == END_REQUEST)
			return true;
		assert_true(header[1] == STDOUT || !n);
		assert_true(len + n < size);
		memcpy(ret + len, data, n);
		len += n;
		ret[len] = '\0';
	}
	return false;
}
