/* SPDX-License-Identifier: MIT */
#include "server/notify.h"

#include "base/base.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A path, or a name in the abstract namespace, which is written with an @. */
void notify(const char *state)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = name ? strlen(name) : 0;
	if (!len || len >= sizeof address.sun_path)
		return;
	memcpy(address.sun_path, name, len + 1);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	AUTO(close) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
		(const struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}
