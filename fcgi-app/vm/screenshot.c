/* SPDX-License-Identifier: MIT */
#include "vm/screenshot.h"

#include <stdio.h>
#include <string.h>

enum { FIRST_BYTES = 64 * 1024 };

static int off(struct err *err)
{
	(void)err_set(err, ERR_WRONG_STATE, "a VM that is shutoff shows nothing");
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

/* Drivers have a code each for this, and the test driver does not look. */
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
			"screen: %u is not from 0 to %u, which VM '%.64s' has", screen, screens - 1,
			hold->vm.name);
	return 0;
}

/* Makes room for another byte at least. */
static int grow(struct screenshot *shot, size_t *size, struct err *err)
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

static int receive(
	struct lease *lease, virStreamPtr stream, struct screenshot *shot, struct err *err)
{
	size_t size = 0;
	for (;;) {
		if (grow(shot, &size, err) < 0)
			return -1;
		int n = virStreamRecv(stream, shot->png + shot->len, size - shot->len);
		if (n < 0)
			return virt_fail(lease, VIRT_READ, err);
		if (!n)
			break;
		shot->len += (size_t)n;
	}
	/* What went wrong with the last of it is told here alone. */
	return virStreamFinish(stream) < 0 ? virt_fail(lease, VIRT_READ, err) : 0;
}

static int check_type(const char *type, struct err *err)
{
	if (!strcmp(type, "image/png"))
		return 0;
	return err_set(err, ERR_NOT_SUPPORTED_BY_DRIVER,
		"the hypervisor has the screen as %.64s, and only image/png is answered", type);
}

static int take(struct hold *hold, unsigned screen, struct screenshot *shot, struct err *err)
{
	AUTO(virStreamFree) virStreamPtr stream = virStreamNew(hold->lease.conn, 0);
	AUTO(free) char *type = stream ? virDomainScreenshot(hold->dom, stream, screen, 0) : NULL;
	if (!type)
		return virt_fail(&hold->lease, VIRT_READ, err);
	if (!check_type(type, err) && !receive(&hold->lease, stream, shot, err))
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
		return off(err);
	if (check_screen(&hold, screen, err) < 0)
		return -1;
	if (take(&hold, screen, &shot, err) < 0) {
		free(shot.png);
		/* It may have gone off meanwhile. */
		bool gone = !hold.lease.broken && domain_read_state(hold.dom) == VM_SHUTOFF;
		return gone ? off(err) : -1;
	}
	*ret = shot;
	return 0;
}
