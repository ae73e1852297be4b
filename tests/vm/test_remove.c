/* SPDX-License-Identifier: MIT */
/*
 * Which disks are removed with a VM, in cases that the end-to-end tests cannot set up. On libvirt's
 * test driver, with a hostpath_open() that fails for one path.
 */
#include "in_process.h"

#include "files/hostpath.h"
#include "vm/remove.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char images[] = "/tmp/test_remove.XXXXXX";
static struct config config = { .images = images };
static struct host *host;

static const char *unreadable = "";

int __real_hostpath_open(const char *root, const char *path);
int __wrap_hostpath_open(const char *root, const char *path);
int __wrap_hostpath_open(const char *root, const char *path)
{
	if (strcmp(path + strlen(images) + 1, unreadable) != 0)
		return __real_hostpath_open(root, path);
	errno = EACCES;
	return -1;
}

static void make_image(const char *name)
{
	char path[128];
	(void)snprintf(path, sizeof path, "%s/%s", images, name);
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
}

static bool is_there(const char *name)
{
	char path[128];
	struct stat st;
	(void)snprintf(path, sizeof path, "%s/%s", images, name);
	return !stat(path, &st);
}

static void unlink_image(const char *name)
{
	char path[128];
	(void)snprintf(path, sizeof path, "%s/%s", images, name);
	(void)unlink(path);
}

/* A VM with two raw disks, both recorded as made by virtgate. */
static void define(const char *name, const char *first, const char *second)
{
	AUTO_LEASE struct lease lease = { 0 };
	struct err err;
	char xml[2048];
	(void)snprintf(xml, sizeof xml,
		"<domain type='test'><name>%s</name><memory>1024</memory><os><type>hvm</type></os>"
		"<metadata><v:vm xmlns:v='urn:virtgate:vm:1'><v:disk path='%s/%s'/>"
		"<v:disk path='%s/%s'/></v:vm></metadata><devices>"
		"<disk type='file'><driver name='qemu' type='raw'/><source file='%s/%s'/>"
		"<target dev='vda'/></disk>"
		"<disk type='file'><driver name='qemu' type='raw'/><source file='%s/%s'/>"
		"<target dev='vdb'/></disk></devices></domain>",
		name, images, first, images, second, images, first, images, second);
	assert_int_equal(lease_take(host->hypervisor, LEASE_READ, &lease, &err), 0);
	AUTO(virDomainFree) virDomainPtr dom = virDomainDefineXML(lease.conn, xml);
	assert_non_null(dom);
}

static void remove_it(const char *name, struct removed *ret)
{
	const struct target target = { name, "" };
	struct err err;
	CHECK(!remove_vm(&config, host, &target, true, ret, &err), "%s", err.text);
	assert_int_equal(ret->disk_count, 2);
}

static void test_an_image_that_cannot_be_opened_is_kept(void **state)
{
	AUTO_REMOVED struct removed removed = { 0 };
	(void)state;
	make_image("shut");
	make_image("open");
	define("unreadable", "shut", "open");
	unreadable = "shut";
	remove_it("unreadable", &removed);
	unreadable = "";
	assert_string_equal(
		removed.disks[0].reason, "virtgate cannot read it, so it may be in use");
	assert_true(is_there("shut"));
	assert_true(removed.disks[1].removed);
	assert_false(is_there("open"));
	unlink_image("shut");
}

static void test_two_disks_on_one_image_do_not_wait_for_each_other(void **state)
{
	AUTO_REMOVED struct removed removed = { 0 };
	(void)state;
	make_image("twin");
	define("twins", "twin", "twin");
	remove_it("twins", &removed);
	CHECK(removed.disks[0].removed, "%s", removed.disks[0].reason);
	assert_string_equal(removed.disks[1].reason, "it does not exist");
	assert_false(is_there("twin"));
}

static int set_up(void **state)
{
	(void)state;
	host = mkdtemp(images) ? test_host_new(2) : NULL;
	return host ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	test_host_free(host);
	return rmdir(images);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_image_that_cannot_be_opened_is_kept),
		cmocka_unit_test(test_two_disks_on_one_image_do_not_wait_for_each_other),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
