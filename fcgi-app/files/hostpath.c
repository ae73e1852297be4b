/* SPDX-License-Identifier: MIT */
#include "files/hostpath.h"

#include "files/image_chain.h"
#include "files/qcow2.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { PATH_BYTES_MAX = 1024, COMPONENTS_MAX = 32 };

static const char missing[] = "it does not exist";
static const char outside[] = "it does not lie beneath its directory, symbolic links followed";

const char hostpath_in_use[] = "another running VM is writing to it";
const char hostpath_exhausted[] = "virtgate is out of file descriptors or memory";

/* The process or system lacks something; the path is not at fault. */
static bool is_exhausted(int why)
{
	return why == EMFILE || why == ENFILE || why == ENOMEM;
}

const char *hostpath_below(const char *root, const char *path)
{
	size_t n = strlen(root);
	int components = 0;
	while (n && root[n - 1] == '/')
		n--;
	if (strncmp(root, path, n) != 0 || path[n] != '/')
		return NULL;
	const char *rest = path + n + strspn(path + n, "/");
	for (const char *s = rest; *s; s += strcspn(s, "/"), s += *s == '/') {
		size_t len = strcspn(s, "/");
		if ((len == 1 && s[0] == '.') || (len == 2 && !strncmp(s, "..", 2)) ||
			++components > COMPONENTS_MAX)
			return NULL;
	}
	return *rest ? rest : NULL;
}

/* RESOLVE_BENEATH: the kernel refuses each component that leads out of the root (openat2(2)). */
static int open_resolving(int root, const char *rest, int flags, unsigned more_rules)
{
	/* openat2() refuses flags without meaning for O_PATH; the last two are for pipes and ttys.
	 */
	int more = flags & O_PATH ? O_CLOEXEC : O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	struct open_how how = {
		.flags = (unsigned)(flags | more),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | more_rules,
	};
	return (int)syscall(SYS_openat2, root, rest, &how, sizeof how);
}

static int open_beneath(int root, const char *rest, int flags)
{
	return open_resolving(root, rest, flags, 0);
}

int hostpath_probe(void)
{
	AUTO(close) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO(close) int fd = open_beneath(root, ".", O_PATH | O_DIRECTORY);
	return fd < 0 ? -1 : 0;
}

/* Checks those directories of a missing path that exist. */
static const char *missing_refusal(int root, const char *rest)
{
	char parent[PATH_BYTES_MAX];
	(void)snprintf(parent, sizeof parent, "%s", rest);
	for (char *slash; (slash = strrchr(parent, '/'));) {
		*slash = '\0';
		AUTO(close) int fd = open_beneath(root, parent, O_PATH | O_DIRECTORY);
		if (fd >= 0)
			return NULL;
		if (is_exhausted(errno))
			return hostpath_exhausted;
		if (errno != ENOENT)
			return outside;
	}
	return NULL;
}

static const char *kind_refusal(int fd, enum hostpath_kind kind)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return outside;
	if (kind == HOSTPATH_DIRECTORY)
		return S_ISDIR(st.st_mode) ? NULL : "it is not a directory";
	if (!S_ISREG(st.st_mode))
		return "it is not a regular file";
	return st.st_nlink > 1 ? "it has a second name (a hard link)" : NULL;
}

static bool is_image(enum hostpath_kind kind)
{
	return kind == HOSTPATH_IMAGE || kind == HOSTPATH_SEEN_IMAGE || kind == HOSTPATH_IDLE_IMAGE;
}

/* For a path that could not be opened. */
static const char *errno_refusal(int root, const char *rest, enum hostpath_kind kind, int why)
{
	if (why == EACCES && is_image(kind))
		return kind == HOSTPATH_IMAGE
			? "virtgate may not read it, so it cannot check the header"
			: NULL;
	if (is_exhausted(why))
		return hostpath_exhausted;
	if (why != ENOENT)
		return outside;
	return is_image(kind) || kind == HOSTPATH_DIRECTORY ? missing : missing_refusal(root, rest);
}

/* Every file of an image's chain has to lie beneath the root. */
static const char *chain_refusal(
	const char *root_path, int root, const char *path, enum hostpath_kind kind)
{
	static const char elsewhere[] = "its header names a backing file outside its directory";
	struct image_chain chain;
	const char *why = outside;
	enum image_step step = IMAGE_STEP_BACKING;
	if (!image_chain_start(&chain, path, IMAGE_QCOW2))
		return outside;
	while (step == IMAGE_STEP_BACKING) {
		const char *rest = hostpath_below(root_path, chain.path);
		if (!rest || strlen(chain.path) >= PATH_BYTES_MAX)
			return elsewhere;
		AUTO(close) int fd = open_beneath(root, rest, O_RDONLY);
		if (fd < 0 && !chain.depth)
			return errno_refusal(root, rest, kind, errno);
		if (fd < 0)
			return is_exhausted(errno) ? hostpath_exhausted : elsewhere;
		why = kind_refusal(fd, kind);
		if (!why && kind == HOSTPATH_IDLE_IMAGE && qcow2_is_written(fd))
			why = hostpath_in_use;
		if (why)
			return why;
		step = image_chain_next(&chain, fd, &why);
	}
	return why;
}

const char *hostpath_text_refusal(const char *root, const char *path)
{
	return hostpath_below(root, path) && strlen(path) < PATH_BYTES_MAX ? NULL : outside;
}

const char *hostpath_refusal(const char *root_path, const char *path, enum hostpath_kind kind)
{
	const char *rest = hostpath_below(root_path, path);
	if (hostpath_text_refusal(root_path, path))
		return outside;
	AUTO(close) int root = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 && is_exhausted(errno))
		return hostpath_exhausted;
	if (root < 0) /* libvirt is on another machine, or the directory will be made later */
		return errno == ENOENT ? NULL : "virtgate may not look into its directory";
	if (is_image(kind))
		return chain_refusal(root_path, root, path, kind);
	AUTO(close) int fd = open_beneath(root, rest, O_PATH);
	return fd < 0 ? errno_refusal(root, rest, kind, errno) : kind_refusal(fd, kind);
}

int hostpath_is_qcow2(const char *root_path, const char *path)
{
	AUTO(close) int fd = hostpath_open(root_path, path);
	if (fd < 0)
		return is_exhausted(errno) ? -1 : 0;
	return qcow2_is(fd);
}

static int open_path(const char *root_path, const char *path, int flags)
{
	const char *rest = hostpath_below(root_path, path);
	if (!rest) {
		errno = EXDEV; /* as openat2() does for a path that leads out */
		return -1;
	}
	AUTO(close) int root = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return root < 0 ? -1 : open_beneath(root, rest, flags);
}

int hostpath_open(const char *root_path, const char *path)
{
	return open_path(root_path, path, O_RDONLY);
}

int hostpath_stat(const char *root_path, const char *path, struct stat *ret)
{
	AUTO(close) int fd = open_path(root_path, path, O_PATH);
	return fd < 0 ? -1 : fstat(fd, ret);
}

/* Opens the directory of a path's last component; -1 and errno. */
static int open_parent(const char *root_path, const char *path, const char **ret_name)
{
	char parent[PATH_BYTES_MAX];
	const char *rest = hostpath_below(root_path, path);
	if (!rest || strlen(path) >= sizeof parent) {
		errno = EXDEV;
		return -1;
	}
	AUTO(close) int root = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -1;
	const char *slash = strrchr(rest, '/');
	*ret_name = slash ? slash + 1 : rest;
	if (!slash)
		return TAKE_FD(root);
	(void)snprintf(parent, sizeof parent, "%.*s", (int)(slash - rest), rest);
	return open_resolving(root, parent, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
}

int hostpath_create(const char *root_path, const char *path)
{
	const char *name = NULL;
	AUTO(close) int parent = open_parent(root_path, path, &name);
	if (parent < 0)
		return -1;
	return openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

const char *hostpath_remove(const char *root_path, const char *path, uint64_t dev, uint64_t inode)
{
	struct stat st;
	const char *name = NULL;
	AUTO(close) int parent = open_parent(root_path, path, &name);
	if (parent < 0)
		return errno == ENOENT ? missing : "its path has a symbolic link";
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? missing : "virtgate may not look at it";
	if (!S_ISREG(st.st_mode))
		return "it is not a regular file";
	if (st.st_dev != dev || st.st_ino != inode)
		return "another file has taken its place";
	return unlinkat(parent, name, 0) < 0 ? "virtgate may not remove it" : NULL;
}
