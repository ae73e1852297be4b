/* SPDX-License-Identifier: MIT */
#include "vm/detail.h"

#include "check.h"
#include "files/hostpath.h"
#include "files/qcow2.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char root[] = "/tmp/virtgate-detail-XXXXXX";

static void path_of(const char *name, char ret[static 128])
{
	(void)snprintf(ret, 128, "%s/%s", root, name);
}

/* Sizes */

static int64_t capacity_of(const char *bytes, size_t len)
{
	char path[128];
	path_of("image", path);
	AUTO(close) int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, bytes, len), len);
	int64_t capacity = qcow2_capacity(fd);
	(void)unlink(path);
	return capacity;
}

static void test_a_qcow2_images_capacity_stands_in_its_header(void **state)
{
	char header[104] = "QFI\xfb\0\0\0\3";
	(void)state;
	assert_int_equal(capacity_of(header, sizeof header), 0);
	memcpy(header + 24, "\0\0\0\x12\x34\x56\x78\x9a", 8);
	assert_int_equal(capacity_of(header, sizeof header), 0x123456789a);
	assert_int_equal(capacity_of(header, 31), -1);
	header[24] = '\x80';
	assert_int_equal(capacity_of(header, sizeof header), -1);
	assert_int_equal(capacity_of("no image at all, but as long as a header", 40), -1);
	assert_int_equal(capacity_of("", 0), -1);
}

static void test_a_file_is_measured_only_beneath_its_root(void **state)
{
	char file[128];
	char link[128];
	char fifo[128];
	struct stat st;
	(void)state;
	path_of("file", file);
	path_of("link", link);
	path_of("fifo", fifo);
	AUTO(close) int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0);
	assert_int_equal(ftruncate(fd, 12345), 0);
	assert_int_equal(symlink("/etc/passwd", link), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(hostpath_stat(root, file, &st), 0); /* nobody may read it */
	assert_int_equal(st.st_size, 12345);
	assert_int_equal(hostpath_stat(root, link, &st), -1);
	assert_int_equal(hostpath_stat(root, "/etc/passwd", &st), -1);
	assert_int_equal(hostpath_stat("/nowhere", "/nowhere/x", &st), -1);
	assert_int_equal(hostpath_stat(root, fifo, &st), 0);
	assert_false(S_ISREG(st.st_mode));
	(void)unlink(file);
	(void)unlink(link);
	(void)unlink(fifo);
}

/* Versions */

static void version_of(const struct vm *vm, const char *xml, char ret[static HASH_SIZE])
{
	struct err err;
	assert_int_equal(domain_version_of(vm, xml, ret, &err), 0);
}

static void test_a_guests_balloon_changes_no_version(void **state)
{
	static const char small[] =
		"<d>\n  <currentMemory unit='KiB'>1</currentMemory>\n  <a/></d>";
	static const char large[] =
		"<d>\n  <currentMemory unit='KiB'>22</currentMemory>\n  <a/></d>";
	static const char other[] =
		"<d>\n  <currentMemory unit='KiB'>1</currentMemory>\n  <b/></d>";
	struct vm vm = { .state = VM_RUNNING, .reason = "booted" };
	char a[HASH_SIZE];
	char b[HASH_SIZE];
	(void)state;
	version_of(&vm, small, a);
	version_of(&vm, large, b);
	assert_string_equal(a, b);
	version_of(&vm, other, b);
	assert_string_not_equal(a, b);
	vm.reason = "unpaused";
	version_of(&vm, small, b);
	assert_string_not_equal(a, b);
	/* In a definition it is somebody's wish. */
	vm.persistent = true;
	version_of(&vm, small, a);
	version_of(&vm, large, b);
	assert_string_not_equal(a, b);
}

/* Addresses */

static void add(
	struct vm_detail *detail, const char *mac, const char *text, enum address_source source)
{
	struct vm_address address = { .source = source };
	(void)snprintf(address.text, sizeof address.text, "%s", text);
	detail_add_address(detail, mac, &address);
}

static void test_an_address_is_shown_once_by_its_best_source(void **state)
{
	char mac[] = "52:54:00:00:00:AA";
	struct vm_interface interfaces[2] = { { .mac = mac }, { 0 } };
	struct vm_detail detail = { .interfaces = interfaces, .interface_count = 2 };
	(void)state;
	add(&detail, "52:54:00:00:00:aa", "10.0.0.1", ADDRESS_BY_LEASE);
	add(&detail, "52:54:00:00:00:aa", "10.0.0.1", ADDRESS_BY_ARP);
	add(&detail, "52:54:00:00:00:aa", "10.0.0.2", ADDRESS_BY_ARP);
	add(&detail, "52:54:00:00:00:aa", "10.0.0.2", ADDRESS_BY_AGENT);
	add(&detail, "00:00:00:00:00:00", "127.0.0.1", ADDRESS_BY_AGENT);
	assert_int_equal(interfaces[0].address_count, 2);
	assert_int_equal(interfaces[0].addresses[0].source, ADDRESS_BY_LEASE);
	assert_int_equal(interfaces[0].addresses[1].source, ADDRESS_BY_AGENT);
	for (int i = 0; i < 2 * VM_ADDRESSES_MAX; i++) {
		char text[16];
		(void)snprintf(text, sizeof text, "10.1.0.%d", i);
		add(&detail, mac, text, ADDRESS_BY_AGENT);
	}
	assert_int_equal(interfaces[0].address_count, VM_ADDRESSES_MAX);
}

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	return rmdir(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_qcow2_images_capacity_stands_in_its_header),
		cmocka_unit_test(test_a_file_is_measured_only_beneath_its_root),
		cmocka_unit_test(test_a_guests_balloon_changes_no_version),
		cmocka_unit_test(test_an_address_is_shown_once_by_its_best_source),
	};
	return cmocka_run_group_tests_name("detail", tests, set_up, tear_down);
}
