/* SPDX-License-Identifier: MIT */
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

void secret_make(unsigned char ret[static SECRET_SIZE])
{
	while (getrandom(ret, SECRET_SIZE, 0) != (ssize_t)SECRET_SIZE)
		;
}

static int secret_unusable(const char *path, const char *why, struct err *err)
{
	return err_set(err, ERR_INTERNAL, "the secret '%.200s' cannot be used: %s", path, why);
}

/* The caller has locked the file, so no other process fills it at the same time. */
static int fill_secret(int fd, const char *path, bool *ret_made, struct err *err)
{
	struct stat st;
	unsigned char made[SECRET_SIZE];
	if (fstat(fd, &st) < 0)
		return secret_unusable(path, strerror(errno), err);
	if (!S_ISREG(st.st_mode) || (st.st_mode & (S_IRWXG | S_IRWXO)))
		return secret_unusable(
			path, "it must be a file that its owner alone may read", err);
	*ret_made = !st.st_size;
	if (st.st_size)
		return st.st_size == SECRET_SIZE
			? 0
			: secret_unusable(path, "it is damaged; remove it", err);
	secret_make(made);
	if (pwrite(fd, made, sizeof made, 0) != (ssize_t)sizeof made || fsync(fd) < 0)
		return secret_unusable(path, strerror(errno), err);
	return 0;
}

int secret_share(
	const char *path, unsigned char ret[static SECRET_SIZE], bool *ret_made, struct err *err)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	/* The lock ends with the descriptor. */
	AUTO(close) int fd =
		open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0 || fcntl(fd, F_OFD_SETLKW, &whole) < 0)
		return secret_unusable(path, strerror(errno), err);
	if (fill_secret(fd, path, ret_made, err) < 0)
		return -1;
	if (pread(fd, ret, SECRET_SIZE, 0) != (ssize_t)SECRET_SIZE)
		return secret_unusable(path, "it cannot be read", err);
	return 0;
}
