/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "files/qcow2.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MIB (1LL << 20)
#define GIB (1LL << 30)
#define TIB (1LL << 40)

static const long long sizes[] = { MIB, MIB + 512, 512 * MIB, 512 * MIB + 512, 10 * GIB,
	4096 * GIB - 512, 4 * TIB, 4 * TIB + 512, QCOW2_CAPACITY_MAX };

/* QEMU's own judge: nothing leaks, nothing is damaged, and the size is what was asked for. */
static void judge(const char *path, long long capacity)
{
	char command[512];
	(void)snprintf(command, sizeof command, "qemu-img check -q -f qcow2 %s >/dev/null", path);
	CHECK(!system(command), "%lld bytes: %s", capacity, command);
	(void)snprintf(command, sizeof command,
		"qemu-img info -f qcow2 --output=json %s | grep -q '\"virtual-size\": %lld,'", path,
		capacity);
	CHECK(!system(command), "%lld bytes: %s", capacity, command);
}

static void test_qemu_finds_nothing_wrong_with_an_empty_image(void **state)
{
	(void)state;
	if (system("command -v qemu-img >/dev/null"))
		skip();
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		char path[] = "/tmp/virtgate-qcow2-XXXXXX";
		struct qcow2 header;
		struct stat st;
		AUTO(close) int fd = mkstemp(path);
		assert_true(fd >= 0);
		CHECK(qcow2_write_empty(fd, (uint64_t)sizes[i]), "%lld bytes: %s", sizes[i],
			strerror(errno));
		const char *why = qcow2_read(fd, &header);
		CHECK(!why, "%lld bytes: %s", sizes[i], why);
		assert_string_equal(header.backing, "");
		assert_int_equal(fstat(fd, &st), 0);
		CHECK(st.st_blocks * 512 <= MIB, "%lld bytes: it takes %lld", sizes[i],
			(long long)st.st_blocks * 512);
		judge(path, sizes[i]);
		(void)unlink(path);
	}
}

static void test_a_size_that_no_image_can_have_is_refused(void **state)
{
	(void)state;
	AUTO(close) int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	assert_true(fd >= 0);
	assert_false(qcow2_write_empty(fd, (uint64_t)QCOW2_CAPACITY_MAX + GIB));
	assert_int_equal(errno, EINVAL);
	assert_false(qcow2_write_empty(fd, MIB + 1));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_qemu_finds_nothing_wrong_with_an_empty_image),
		cmocka_unit_test(test_a_size_that_no_image_can_have_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
