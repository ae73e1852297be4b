/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "files/hostpath.h"
#include "files/image_chain.h"
#include "format/xml.h"
#include "storage/usage.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/*
 * The policy, before libvirt opens an image, and the deletion, before an image is removed, have to
 * agree on the files that an image leads to: what the policy lets through, the deletion must find.
 */

static char images[] = "/tmp/virtgate-chains-XXXXXX";

static void write_file(const char *name, const void *data, size_t size)
{
	char path[128];
	(void)snprintf(path, sizeof path, "%s/%s", images, name);
	AUTO(close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, data, size), size);
}

static void put_text(unsigned char *at, const char *text)
{
	while (*text)
		*at++ = (unsigned char)*text++;
}

/* A qcow2 header of version 3; format NULL: it does not state its backing file's. */
static void write_qcow2(const char *name, const char *backing, const char *format, bool data_file)
{
	enum { HEADER = 104, NAME = 128 };
	unsigned char h[1400] = "QFI\xfb\0\0\0\3";
	h[23] = 16;
	h[79] = data_file ? 4 : 0;
	h[103] = HEADER;
	if (format) {
		put_text(h + HEADER, "\xe2\x79\x2a\xca");
		h[HEADER + 7] = (unsigned char)strlen(format);
		put_text(h + HEADER + 8, format);
	}
	if (backing) {
		h[15] = NAME;
		h[19] = (unsigned char)strlen(backing);
		put_text(h + NAME, backing);
	}
	write_file(name, h, sizeof h);
}

enum use { FREE, IN_USE, UNKNOWN };

/* Does a VM with the image as its disk use the file? */
static enum use use_of(const char *file, const char *image)
{
	char path[128];
	char text[512];
	struct stat st = { 0 };
	struct err err;
	AUTO(xml_free) struct xml *doc = NULL;
	(void)snprintf(path, sizeof path, "%s/%s", images, file);
	(void)stat(path, &st);
	struct used_file used = { .path = path, .dev = st.st_dev, .inode = st.st_ino };
	(void)snprintf(text, sizeof text,
		"<disk type='file'><driver type='qcow2'/><source file='%s/%s'/></disk>", images,
		image);
	assert_int_equal(xml_parse_trusted(text, &doc, &err), 0);
	usage_look_at_disk(xml_root(doc), "it", &used, 1);
	if (!used.user[0])
		return FREE;
	return !strcmp(used.user, "it uses it") ? IN_USE : UNKNOWN;
}

static bool passes(const char *image)
{
	char path[128];
	(void)snprintf(path, sizeof path, "%s/%s", images, image);
	return !hostpath_refusal(images, path, HOSTPATH_IMAGE);
}

static void test_policy_and_deletion_follow_the_same_chain(void **state)
{
	static const struct {
		const char *image;
		bool passes;
		enum use base; /* of base.qcow2 */
		enum use data; /* of the raw image data */
	} cases[] = {
		{ "base.qcow2", true, IN_USE, FREE },
		{ "over.qcow2", true, IN_USE, FREE },
		{ "second.qcow2", true, IN_USE, FREE },
		{ "sub/up.qcow2", false, IN_USE, FREE }, /* ".." leads out, says the policy */
		{ "sub/absolute.qcow2", true, IN_USE, FREE },
		{ "link.qcow2", true, IN_USE, FREE },
		{ "on-raw.qcow2", true, FREE, IN_USE },
		/* What looks like a header in a raw image is data, to QEMU and to both here. */
		{ "on-header.qcow2", true, FREE, FREE },
		{ "unstated.qcow2", false, UNKNOWN, UNKNOWN },
		{ "vmdk.qcow2", false, UNKNOWN, UNKNOWN },
		{ "data-file.qcow2", false, UNKNOWN, UNKNOWN },
		{ "json.qcow2", false, UNKNOWN, UNKNOWN },
		{ "self.qcow2", false, UNKNOWN, UNKNOWN },
		{ "ring-a.qcow2", false, UNKNOWN, UNKNOWN },
		{ "on-missing.qcow2", false, FREE, FREE },
		{ "on-lie.qcow2", false, FREE, IN_USE },
		{ "data", false, FREE, IN_USE },
		{ "missing", false, FREE, FREE },
		{ "deep-8.qcow2", true, IN_USE, FREE },
		{ "deep-9.qcow2", false, UNKNOWN, UNKNOWN },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *image = cases[i].image;
		bool allowed = passes(image);
		enum use base = use_of("base.qcow2", image);
		enum use data = use_of("data", image);
		CHECK(allowed == cases[i].passes, "%s: the policy", image);
		CHECK(base == cases[i].base && data == cases[i].data, "%s: base %d, data %d", image,
			base, data);
	}
}

/* Each file of the chain that the policy has looked at is found, however deep. */
static void test_every_file_of_a_chain_that_passes_is_in_use(void **state)
{
	char file[32];
	(void)state;
	assert_true(passes("deep-8.qcow2"));
	for (int i = 1; i <= IMAGE_BACKING_MAX; i++) {
		(void)snprintf(file, sizeof file, "deep-%d.qcow2", i);
		CHECK(use_of(file, "deep-8.qcow2") == IN_USE, "%s", file);
	}
}

static void test_a_path_that_is_too_long_cannot_be_followed(void **state)
{
	char path[IMAGE_PATH_SIZE + 1];
	struct image_chain chain;
	(void)state;
	memset(path, '/', sizeof path);
	path[IMAGE_PATH_SIZE] = '\0';
	assert_false(image_chain_start(&chain, path, IMAGE_QCOW2));
	path[IMAGE_PATH_SIZE - 1] = '\0';
	assert_true(image_chain_start(&chain, path, IMAGE_QCOW2));
	assert_false(image_chain_start(&chain, "relative", IMAGE_QCOW2));
}

static void write_chains(void)
{
	char name[32];
	char backing[64];
	write_file("data", "x", 1);
	write_qcow2("base.qcow2", NULL, NULL, false);
	write_qcow2("over.qcow2", "base.qcow2", "qcow2", false);
	write_qcow2("second.qcow2", "over.qcow2", "qcow2", false);
	write_qcow2("sub/up.qcow2", "../base.qcow2", "qcow2", false);
	(void)snprintf(backing, sizeof backing, "%s/base.qcow2", images);
	write_qcow2("sub/absolute.qcow2", backing, "qcow2", false);
	write_qcow2("on-raw.qcow2", "data", "raw", false);
	write_qcow2("on-header.qcow2", "second.qcow2", "raw", false);
	write_qcow2("unstated.qcow2", "base.qcow2", NULL, false);
	write_qcow2("vmdk.qcow2", "base.qcow2", "vmdk", false);
	write_qcow2("data-file.qcow2", NULL, NULL, true);
	write_qcow2("json.qcow2", "json:{\"file\":\"base.qcow2\"}", "qcow2", false);
	write_qcow2("self.qcow2", "self.qcow2", "qcow2", false);
	write_qcow2("ring-a.qcow2", "ring-b.qcow2", "qcow2", false);
	write_qcow2("ring-b.qcow2", "ring-a.qcow2", "qcow2", false);
	write_qcow2("on-missing.qcow2", "missing", "qcow2", false);
	write_qcow2("on-lie.qcow2", "data", "qcow2", false);
	write_qcow2("deep-1.qcow2", "base.qcow2", "qcow2", false);
	for (int i = 2; i <= IMAGE_BACKING_MAX + 1; i++) {
		(void)snprintf(name, sizeof name, "deep-%d.qcow2", i);
		(void)snprintf(backing, sizeof backing, "deep-%d.qcow2", i - 1);
		write_qcow2(name, backing, "qcow2", false);
	}
}

static int set_up(void **state)
{
	char path[64];
	(void)state;
	xml_init();
	if (!mkdtemp(images))
		return -1;
	(void)snprintf(path, sizeof path, "%s/sub", images);
	if (mkdir(path, 0700) < 0)
		return -1;
	(void)snprintf(path, sizeof path, "%s/link.qcow2", images);
	write_chains();
	return symlink("over.qcow2", path);
}

static int tear_down(void **state)
{
	char command[128];
	(void)state;
	(void)snprintf(command, sizeof command, "rm -rf '%s'", images);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policy_and_deletion_follow_the_same_chain),
		cmocka_unit_test(test_every_file_of_a_chain_that_passes_is_in_use),
		cmocka_unit_test(test_a_path_that_is_too_long_cannot_be_followed),
	};
	return cmocka_run_group_tests_name("chains", tests, set_up, tear_down);
}
