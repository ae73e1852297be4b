/* SPDX-License-Identifier: MIT */
#include "host.h"

#include <stdio.h>

/* libvirt packs major * 1000000 + minor * 1000 + release. */
static void unpack(unsigned long version, char *ret, size_t size)
{
	(void)snprintf(
		ret, size, "%lu.%lu.%lu", version / 1000000, version / 1000 % 1000, version % 1000);
}

static int read_info(struct lease *lease, void *data, struct err *err)
{
	struct host_info info = { 0 };
	unsigned long libvirt = 0;
	unsigned long driver = 0;
	const char *type = virConnectGetType(lease->conn);
	if (!type || virConnectGetLibVersion(lease->conn, &libvirt) < 0 ||
		virConnectGetVersion(lease->conn, &driver) < 0)
		return virt_fail(lease, VIRT_READ, err);
	(void)snprintf(info.driver, sizeof info.driver, "%s", type);
	unpack(libvirt, info.libvirt_version, sizeof info.libvirt_version);
	unpack(driver, info.driver_version, sizeof info.driver_version);
	*(struct host_info *)data = info;
	return 0;
}

int host_read(struct host *host, struct host_info *ret, struct err *err)
{
	return virt_read(host, read_info, ret, err);
}
