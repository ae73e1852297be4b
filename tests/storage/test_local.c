/* SPDX-License-Identifier: MIT */
/*
 * What is answered of the files of a host that is this machine, and of one that is not: there the
 * files here say nothing, even those at the same paths.
 */
#include "check.h"

#include "files/qcow2.h"
#include "storage/bootable.h"
#include "storage/guard.h"
#include "storage/local.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char images[] = "/tmp/virtgate-local-XXXXXX";
static struct config config = { .images = images, .shares = images, .logs = images };
static struct hypervisor *here, *remote; /* never connected to */

static const char *path_of(const char *name)
{
	static char path[128];
	(void)snprintf(path, sizeof path, "%s/%s", images, name);
	return path;
}

static void make_image(const char *name, uint64_t capacity)
{
	AUTO(close) int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(qcow2_write_empty(fd, capacity));
}

static enum local_state look_at(const struct hypervisor *hypervisor, const char *name)
{
	const struct policy_path path = { .root = images, .value = path_of(name) };
	return local_look(hypervisor, &path).state;
}

static void test_files_are_looked_at_here(void **state)
{
	const struct policy_path nowhere = { .root = "/nowhere", .value = "/nowhere/a" };
	(void)state;
	assert_int_equal(look_at(here, "a.qcow2"), LOCAL_PRESENT);
	assert_int_equal(look_at(here, "none"), LOCAL_ABSENT);
	assert_int_equal(look_at(here, "none/deeper"), LOCAL_NO_DIRECTORY);
	assert_int_equal(look_at(here, "a.qcow2/deeper"), LOCAL_NO_DIRECTORY);
	assert_int_equal(local_look(here, &nowhere).state, LOCAL_UNSEEN);
	assert_int_equal(look_at(remote, "a.qcow2"), LOCAL_UNSEEN);
	assert_int_equal(look_at(remote, "none"), LOCAL_UNSEEN);
}

static void test_images_are_measured_here(void **state)
{
	const char *path = path_of("a.qcow2");
	(void)state;
	assert_int_equal(local_measure(here, images, path, "qcow2").capacity, 1 << 20);
	assert_int_equal(local_measure(here, images, path, NULL).capacity, -1);
	assert_int_equal(local_measure(here, images, path, "vmdk").capacity, -1);
	assert_true(local_measure(here, images, path, "raw").capacity > 0);
	assert_true(local_measure(here, images, path, "vmdk").allocation > 0);
	assert_int_equal(local_measure(remote, images, path, "qcow2").capacity, -1);
	assert_int_equal(local_measure(remote, images, path, "qcow2").allocation, -1);
	assert_int_equal(local_measure(here, images, "/etc/passwd", "raw").capacity, -1);
}

static int check_snapshot(const struct hypervisor *hypervisor, const char *file, struct err *err)
{
	char text[512];
	AUTO(xml_free) struct xml *doc = NULL;
	(void)snprintf(text, sizeof text,
		"<domainsnapshot><name>a</name><disks><disk name='vda' snapshot='internal'/>"
		"<disk name='vdb' snapshot='no'/></disks><domain><devices><disk>"
		"<source file='%s/%s'/><target dev='vda'/></disk></devices></domain>"
		"</domainsnapshot>",
		images, file);
	assert_int_equal(xml_parse_trusted(text, &doc, err), 0);
	return local_check_snapshot(hypervisor, xml_root(doc), err);
}

static void test_a_snapshot_that_the_image_lost_is_found_here(void **state)
{
	struct err err = { 0 };
	(void)state;
	assert_int_equal(check_snapshot(here, "a.qcow2", &err), -1);
	assert_int_equal(err.kind, ERR_SNAPSHOT_UNSUPPORTED);
	CHECK(strstr(err.text, "disk vda does not contain snapshot 'a'"), "%s", err.text);
	assert_int_equal(check_snapshot(here, "none", &err), 0);
	assert_int_equal(check_snapshot(remote, "a.qcow2", &err), 0);
}

static void test_an_image_of_another_machine_is_not_removed(void **state)
{
	struct used_file file;
	(void)state;
	make_image("b.qcow2", 1 << 20);
	const char *path = path_of("b.qcow2");
	const char *why = local_claim(remote, images, path, &file);
	CHECK(why && strstr(why, "another machine"), "%s", why);
	assert_string_equal(
		local_claim(here, images, "/etc/passwd", &file), "it is outside VIRTGATE_IMAGES");
	assert_null(local_claim(here, images, path, &file));
	assert_null(local_remove(images, &file));
	assert_int_equal(look_at(here, "b.qcow2"), LOCAL_ABSENT);
}

static void test_a_missing_kernel_matters_here(void **state)
{
	char text[256];
	struct err err;
	AUTO(xml_free) struct xml *doc = NULL;
	(void)state;
	(void)snprintf(text, sizeof text,
		"<domain><memory>4096</memory><os><kernel>%s</kernel></os></domain>",
		path_of("none"));
	assert_int_equal(xml_parse_trusted(text, &doc, &err), 0);
	assert_int_equal(bootable_check(here, xml_root(doc), &config, &err), -1);
	assert_int_equal(bootable_check(remote, xml_root(doc), &config, &err), 0);
}

static void test_images_are_locked_here(void **state)
{
	char text[256];
	struct err err;
	AUTO(xml_free) struct xml *doc = NULL;
	(void)state;
	(void)snprintf(text, sizeof text,
		"<domain><devices><disk><driver type='qcow2'/><source file='%s'/></disk></devices>"
		"</domain>",
		path_of("a.qcow2"));
	assert_int_equal(xml_parse_trusted(text, &doc, &err), 0);
	for (int i = 0; i < 2; i++) {
		AUTO_GUARD struct guard guard = { 0 };
		struct lease lease = { .hypervisor = i ? remote : here };
		assert_int_equal(
			guard_enter(&guard, &lease, xml_root(doc), &config, GUARD_OFF, &err), 0);
		assert_int_equal(guard.count, i ? 0 : 1);
	}
}

static int set_up(void **state)
{
	(void)state;
	xml_init();
	here = hypervisor_new("local", "test:///default", 1, 1);
	remote = hypervisor_new("remote", "qemu+tls://other/system", 1, 1);
	if (!here || !remote || !mkdtemp(images))
		return -1;
	make_image("a.qcow2", 1 << 20);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	hypervisor_free(here);
	hypervisor_free(remote);
	return unlink(path_of("a.qcow2")) || rmdir(images) ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_are_looked_at_here),
		cmocka_unit_test(test_images_are_measured_here),
		cmocka_unit_test(test_a_snapshot_that_the_image_lost_is_found_here),
		cmocka_unit_test(test_an_image_of_another_machine_is_not_removed),
		cmocka_unit_test(test_a_missing_kernel_matters_here),
		cmocka_unit_test(test_images_are_locked_here),
	};
	return cmocka_run_group_tests_name("local", tests, set_up, tear_down);
}
