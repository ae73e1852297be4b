/* SPDX-License-Identifier: MIT */
/* An image's bytes, as a guest or whoever uploaded it may have left them. */
#include "fuzz.h"

#include "files/qcow2.h"

#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qcow2 image;
	/* Whatever is not written shows up as more text than there can be. */
	memset(&image, 'x', sizeof image);
	AUTO(close) int fd = memfd_create("image", MFD_CLOEXEC);
	insist(fd >= 0 && pwrite(fd, data, size, 0) == (ssize_t)size, "no image");
	const char *why = qcow2_read(fd, &image);
	size_t n = strnlen(image.backing, sizeof image.backing);
	insist(why || n < sizeof image.backing, "the backing file's name does not end");
	insist(why || !n || memmem(data, size, image.backing, n),
		"'%s' stands nowhere in the image", image.backing);
	insist(why || qcow2_is(fd), "what is let through is no image");
	insist(qcow2_capacity(fd) >= -1, "a size below 0");
	insist(qcow2_is(fd) || !qcow2_lacks_snapshot(fd, "one"), "what is no image lacks one");
	insist(!qcow2_is_written(fd), "nobody has it open");
	return 0;
}
