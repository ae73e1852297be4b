/* SPDX-License-Identifier: MIT */
/* Images that virtgate makes are for their owner alone, although the umask is 000. */
#include "check.h"

#include "storage/carrier.h"
#include "storage/disk.h"

#include <stdio.h>
#include <sys/stat.h>

static char images[] = "/tmp/virtgate-modes-XXXXXX";
static const struct config config = { .images = images };

static void assert_private(const char *path)
{
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	CHECK((st.st_mode & 07777) == 0600, "%s: %o", path, (unsigned)st.st_mode);
}

static void test_a_carrier_disk_is_for_its_owner(void **state)
{
	static const char uuid[] = "1a7d8530-3b50-44af-9bbe-36b7bc4f8567";
	char path[CARRIER_PATH_SIZE];
	struct err err;
	(void)state;
	CHECK(!carrier_make(&config, uuid, &err), "%s", err.text);
	carrier_path(&config, uuid, path);
	assert_private(path);
	assert_true(carrier_remove(&config, uuid));
}

static void test_disks_are_for_their_owner(void **state)
{
	struct disks disks = { .count = 2 };
	struct err err;
	(void)state;
	for (size_t i = 0; i < disks.count; i++) {
		disks.disks[i] = (struct disk){ .index = i, .capacity = 1 << 20, .raw = i };
		(void)snprintf(disks.disks[i].path, DISK_PATH_SIZE, "%s/%zu", images, i);
	}
	CHECK(!disk_make(&disks, &config, &err), "%s", err.text);
	for (size_t i = 0; i < disks.count; i++)
		assert_private(disks.disks[i].path);
	disk_unmake(&disks, &config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_carrier_disk_is_for_its_owner),
		cmocka_unit_test(test_disks_are_for_their_owner),
	};
	(void)umask(0);
	if (!mkdtemp(images))
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(images);
	return failed;
}
