/* SPDX-License-Identifier: MIT */
#include "vm/screenshot.h"

#include <stdio.h>
#include <string.h>

enum { FIRST_BYTES = 64 * 1024 };

static int fail_off(struct err *err)
{
	(void)err_set(err, ERR_WRONG_STATE, "the VM is shutoff, so its screen shows nothing");
	(void)snprintf(err->state, sizeof err->state, "%s", vm_state_name(VM_SHUTOFF));
	return err_hint(err, "start it first");
}

static int count_heads(struct xml_node *video, void *data)
{
	unsigned *total = data;
	const struct xml_node *model = xml_child(video, "model");
	AUTO(free) char *heads = model ? xml_attr(model, "heads") : NULL;
	unsigned long n = heads ? strtoul(heads, NULL, 10) : 1;
	*total += n <= SCREENSHOT_SCREEN_MAX ? (unsigned)n : SCREENSHOT_SCREEN_MAX + 1;
	return 0;
}

/* Each driver reports a missing screen by another code, and the test driver does not check. */
static int check_screen(struct hold *hold, unsigned screen, struct err *err)
{
	AUTO(xml_free) struct xml *doc = NULL;
	unsigned screens = 0;
	if (domain_read_xml(&hold->lease, hold->dom, 0, &doc, err) < 0)
		return -1;
	(void)xml_each_at(xml_root(doc), "devices/video", count_heads, &screens);
	if (!screens)
		return err_set(err, ERR_UNSUPPORTED,
			"VM '%.64s' has no video device, so it has no screen", hold->vm.name);
	if (screen >= screens)
		return err_set(err, ERR_UNSUPPORTED,
			"screen: %u is not from 0 to %u, the screens of VM '%.64s'", screen,
			screens - 1, hold->vm.name);
	return 0;
}

/* Makes room for another byte at least. */
static int screenshot_grow(struct screenshot *shot, size_t *size, struct err *err)
{
	if (shot->len < *size)
		return 0;
	if (*size == SCREENSHOT_BYTES_MAX)
		return err_set(err, ERR_UNSUPPORTED, "the picture is larger than %d MiB",
			SCREENSHOT_BYTES_MAX >> 20);
	size_t more = *size ? *size * 2 : FIRST_BYTES;
	char *grown = realloc(shot->png, more);
	if (!grown)
		return err_memory(err);
	shot->png = grown;
	*size = more;
	return 0;
}

static int screenshot_receive(
	struct lease *lease, virStreamPtr stream, struct screenshot *shot, struct err *err)
{
	size_t size = 0;
	for (;;) {
		if (screenshot_grow(shot, &size, err) < 0)
			return -1;
		int n = virStreamRecv(stream, shot->png + shot->len, size - shot->len);
		if (n < 0)
			return virt_fail(lease, VIRT_READ, err);
		if (!n)
			break;
		shot->len += (size_t)n;
	}
	/* Only this call reports a failure at the end of the picture. */
	return virStreamFinish(stream) < 0 ? virt_fail(lease, VIRT_READ, err) : 0;
}

static int take_held(struct hold *hold, unsigned screen, struct screenshot *shot, struct err *err)
{
	AUTO(virStreamFree) virStreamPtr stream = virStreamNew(hold->lease.conn, 0);
	AUTO(free) char *type = stream ? virDomainScreenshot(hold->dom, stream, screen, 0) : NULL;
	if (!type)
		return virt_fail(&hold->lease, VIRT_READ, err);
	if (strcmp(type, "image/png") != 0)
		(void)err_set(err, ERR_NOT_SUPPORTED_BY_DRIVER,
			"the hypervisor sends screenshots as %.64s; only image/png is supported",
			type);
	else if (!screenshot_receive(&hold->lease, stream, shot, err))
		return 0;
	(void)virStreamAbort(stream);
	return -1;
}

int screenshot_take(struct host *host, const char *ref, unsigned screen, struct screenshot *ret,
	struct err *err)
{
	const struct target target = { ref, "" };
	AUTO_HOLD struct hold hold = { 0 };
	struct screenshot shot = { 0 };
	if (domain_hold(host->hypervisor, &target, &hold, err) < 0)
		return -1;
	if (!hold.vm.active)
		return fail_off(err);
	if (check_screen(&hold, screen, err) < 0)
		return -1;
	if (take_held(&hold, screen, &shot, err) < 0) {
		free(shot.png);
		/* The VM may have stopped meanwhile. */
		bool gone = !hold.lease.broken && domain_read_state(hold.dom) == VM_SHUTOFF;
		return gone ? fail_off(err) : -1;
	}
	*ret = shot;
	return 0;
}
