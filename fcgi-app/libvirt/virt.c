/* SPDX-License-Identifier: MIT */
#include "libvirt/virt.h"

#include "libvirt/event_loop.h"

#include <signal.h>
#include <string.h>

static void silence_libvirt(void *data, virErrorPtr error)
{
	(void)data;
	(void)error;
}

_Static_assert((int)EVENT_READABLE == VIR_EVENT_HANDLE_READABLE &&
		(int)EVENT_WRITABLE == VIR_EVENT_HANDLE_WRITABLE &&
		(int)EVENT_ERROR == VIR_EVENT_HANDLE_ERROR &&
		(int)EVENT_HANGUP == VIR_EVENT_HANDLE_HANGUP,
	"event_loop.h numbers events as libvirt does");

int virt_start(struct err *err)
{
	/* libvirt's client writes to sockets that libvirtd may have closed. */
	(void)signal(SIGPIPE, SIG_IGN);
	virSetErrorFunc(NULL, silence_libvirt);
	if (virInitialize() < 0)
		return err_set(err, ERR_INTERNAL, "libvirt cannot be initialised");
	if (event_loop_start() < 0)
		return err_set(err, ERR_INTERNAL, "libvirt's event loop cannot be started");
	virEventRegisterImpl(event_loop_add_watch, event_loop_update_watch, event_loop_remove,
		event_loop_add_timer, event_loop_update_timer, event_loop_remove);
	return 0;
}

void virt_stop(void)
{
	event_loop_stop();
}

bool virt_is_test(const struct lease *lease)
{
	const char *driver = virConnectGetType(lease->conn);
	return driver && !strcmp(driver, "TEST");
}
