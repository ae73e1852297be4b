/* SPDX-License-Identifier: MIT */
/* Which VMs may let libvirt open or name their images at the same time. */
#include "in_process.h"

#include "storage/guard.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static char images[] = "/tmp/test_guard.XXXXXX";
static struct hypervisor *one, *other; /* two processes on one host */

static void make_overlay(const char *name, const char *backing)
{
	enum { HEADER = 104, NAME = 128 };
	unsigned char h[1400] = "QFI\xfb\0\0\0\3";
	char path[128];
	h[23] = 16;
	h[103] = HEADER;
	if (*backing) {
		h[15] = NAME;
		h[19] = (unsigned char)strlen(backing);
		memcpy(h + HEADER, "\xe2\x79\x2a\xca\0\0\0\5qcow2", 13);
		memcpy(h + NAME, backing, strlen(backing));
	}
	(void)snprintf(path, sizeof path, "%s/%s", images, name);
	AUTO(close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, h, sizeof h), sizeof h);
}

/* A gate that is not free is not waited for. */
typedef int enter_gate(struct hypervisor *, const char *, int, struct gate *, struct err *);
enter_gate __real_gate_enter_within, __wrap_gate_enter_within;
enter_gate __real_gate_enter_shared, __wrap_gate_enter_shared;
int __wrap_gate_enter_within(
	struct hypervisor *hypervisor, const char *key, int ms, struct gate *ret, struct err *err)
{
	(void)ms;
	return __real_gate_enter_within(hypervisor, key, 0, ret, err);
}
int __wrap_gate_enter_shared(
	struct hypervisor *hypervisor, const char *key, int ms, struct gate *ret, struct err *err)
{
	(void)ms;
	return __real_gate_enter_shared(hypervisor, key, 0, ret, err);
}

/* "+": the VM may write to the image. */
static int lock_image(
	struct guard *guard, struct hypervisor *hypervisor, const char *image, struct err *err)
{
	char text[512];
	bool writes = *image == '+';
	struct lease lease = { .hypervisor = hypervisor };
	AUTO(xml_free) struct xml *doc = NULL;
	(void)snprintf(text, sizeof text,
		"<domain><devices><disk><driver type='qcow2'/><source file='%s/%s'/>%s</disk>"
		"</devices></domain>",
		images, image + writes, writes ? "" : "<readonly/>");
	assert_int_equal(xml_parse_trusted(text, &doc, err), 0);
	return guard_lock(guard, &lease, xml_root(doc), err);
}

static void test_who_writes_to_a_file_of_a_chain_has_it_alone(void **state)
{
	static const struct {
		const char *first, *second;
		bool together;
	} rows[] = {
		{ "+base", "+over", false },
		{ "+base", "+second", false },
		{ "+second", "+base", false },
		{ "+over", "+second", false },
		{ "+over", "+over", false },
		{ "+link", "+second", false },
		{ "+over", "+beside", true }, /* one base */
		{ "over", "beside", true },
		{ "base", "over", true },
		{ "base", "+over", true },
		{ "over", "+over", false },
		{ "+none", "+none", false },
		{ "none", "none", true },
	};
	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		struct hypervisor *hypervisor = i % 2 ? one : other;
		const char *first = rows[i / 2].first;
		const char *second = rows[i / 2].second;
		AUTO_GUARD struct guard held = { 0 };
		AUTO_GUARD struct guard wanted = { 0 };
		struct err err;
		CHECK(!lock_image(&held, one, first, &err), "%s: %s", first, err.text);
		bool together = !lock_image(&wanted, hypervisor, second, &err);
		CHECK(together == rows[i / 2].together, "%s and %s", first, second);
		CHECK(together || (err.kind == ERR_VM_BUSY && strstr(err.text, "an image")), "%s",
			err.text);
	}
	assert_int_equal(hypervisor_load(one).gates.held, 0);
}

/* A guard that reads an image may go on to write to it, and to read it. */
static void test_a_guard_may_be_entered_again(void **state)
{
	AUTO_GUARD struct guard held = { 0 };
	AUTO_GUARD struct guard wanted = { 0 };
	struct err err;
	(void)state;
	assert_int_equal(lock_image(&held, one, "over", &err), 0);
	assert_int_equal(lock_image(&held, one, "+over", &err), 0);
	assert_int_equal(lock_image(&held, one, "over", &err), 0);
	assert_int_equal(held.count, 2);
	assert_int_equal(lock_image(&wanted, one, "over", &err), -1);
	guard_leave(&held);
	assert_int_equal(lock_image(&wanted, one, "over", &err), 0);
}

static int set_up(void **state)
{
	char path[128];
	char to[128];
	struct err err;
	(void)state;
	xml_init();
	one = hypervisor_new("local", "test:///default", 1, 1);
	other = hypervisor_new("local", "test:///default", 1, 1);
	if (!one || !other || !mkdtemp(images))
		return -1;
	make_overlay("base", "");
	make_overlay("over", "base");
	make_overlay("beside", "base");
	make_overlay("second", "over");
	(void)snprintf(path, sizeof path, "%s/base", images);
	(void)snprintf(to, sizeof to, "%s/link", images);
	if (symlink(path, to) < 0)
		return -1;
	(void)snprintf(path, sizeof path, "%s/locks", images);
	return gate_share(one, path, &err) || gate_share(other, path, &err) ? -1 : 0;
}

static int tear_down(void **state)
{
	char command[64];
	(void)state;
	hypervisor_free(one);
	hypervisor_free(other);
	(void)snprintf(command, sizeof command, "rm -r %s", images);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_writes_to_a_file_of_a_chain_has_it_alone),
		cmocka_unit_test(test_a_guard_may_be_entered_again),
	};
	return cmocka_run_group_tests_name("guard", tests, set_up, tear_down);
}
