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

/* qemu-img finds no leak and no damage, and the right size. */
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

/* A header and a table of two entries, "one" with an id and extra data, and "two". */
static int make_image(size_t len)
{
	unsigned char image[256] = "QFI\xfb";
	char path[] = "/tmp/virtgate-unit.XXXXXX";
	int fd = mkstemp(path);
	(void)unlink(path);
	image[63] = 2;                           /* snapshots */
	image[71] = 128;                         /* offset of their table */
	memcpy(image + 128 + 12, "\0\1\0\3", 4); /* lengths of id and name */
	image[128 + 39] = 8;                     /* length of the extra data */
	memcpy(image + 128 + 40 + 8, "1one", 4); /* up to 180, and padded to 184 */
	memcpy(image + 184 + 12, "\0\1\0\3", 4);
	memcpy(image + 184 + 40, "2two", 4);
	assert_int_equal(write(fd, image, len), (ssize_t)len);
	return fd;
}

static void test_a_snapshot_is_found_in_an_images_table(void **state)
{
	static const struct {
		size_t len;
		const char *name;
		bool lacks;
	} cases[] = {
		{ 256, "one", false },
		{ 256, "two", false },
		{ 256, "three", true },
		{ 256, "on", true },
		{ 256, "", true },
		{ 200, "one", false },
		{ 200, "three", false }, /* the table is cut off: not known */
		{ 60, "one", false },
		{ 4, "one", false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(close) int fd = make_image(cases[i].len);
		CHECK(qcow2_lacks_snapshot(fd, cases[i].name) == cases[i].lacks, "case %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_qemu_finds_nothing_wrong_with_an_empty_image),
		cmocka_unit_test(test_a_size_that_no_image_can_have_is_refused),
		cmocka_unit_test(test_a_snapshot_is_found_in_an_images_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
