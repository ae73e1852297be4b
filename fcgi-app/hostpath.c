/* SPDX-License-Identifier: MIT */
#include "hostpath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { PATH_BYTES_MAX = 1024, COMPONENTS_MAX = 32, BACKING_CHAIN_MAX = 8 };

static const char outside[] = "it does not lie beneath its directory, links followed";

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

/* RESOLVE_BENEATH: the kernel itself refuses whatever leads out, at every step (openat2(2)). */
static int open_beneath(int root, const char *rest, int flags)
{
	/* openat2() refuses flags that O_PATH has no use for; the others are for pipes. */
	int more = flags & O_PATH ? O_CLOEXEC : O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	struct open_how how = {
		.flags = (unsigned)(flags | more),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	return (int)syscall(SYS_openat2, root, rest, &how, sizeof how);
}

/* Of a path that does not exist: do its directories, as far as there are any? */
static const char *refuse_missing(int root, const char *rest)
{
	char parent[PATH_BYTES_MAX];
	(void)snprintf(parent, sizeof parent, "%s", rest);
	for (char *slash; (slash = strrchr(parent, '/'));) {
		*slash = '\0';
		AUTO(close) int fd = open_beneath(root, parent, O_PATH | O_DIRECTORY);
		if (fd >= 0)
			return NULL;
		if (errno != ENOENT)
			return outside;
	}
	return NULL;
}

static uint64_t big_endian(const unsigned char *p, size_t n)
{
	uint64_t value = 0;
	for (size_t i = 0; i < n; i++)
		value = value << 8 | p[i];
	return value;
}

static const char *refuse_kind(int fd, enum hostpath_kind kind)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return outside;
	if (kind == HOSTPATH_DIRECTORY)
		return S_ISDIR(st.st_mode) ? NULL : "it is not a directory";
	if (!S_ISREG(st.st_mode))
		return "it is not a regular file";
	return st.st_nlink > 1 ? "it has another name elsewhere (a hard link)" : NULL;
}

/* An image that was opened, and where: what its header names is looked for from there. */
struct image {
	const char *root_path;
	int root;
	const char *rest;
	int fd;
	int depth;
};

static const char *refuse_image(const struct image *image);

/* A backing file's name is relative to the directory of the image that names it. */
static const char *refuse_backing(const struct image *image, const char *name, bool raw)
{
	static const char why[] = "its header names a backing file outside its directory";
	char full[PATH_BYTES_MAX];
	if (image->depth == BACKING_CHAIN_MAX)
		return "its chain of backing files is too long";
	const char *slash = strrchr(image->rest, '/');
	int n = name[0] == '/'
		? snprintf(full, sizeof full, "%s", name)
		: snprintf(full, sizeof full, "%s/%.*s%s", image->root_path,
			  slash ? (int)(slash - image->rest + 1) : 0, image->rest, name);
	/* "json:…" and "nbd://…" are no paths, and "x:y" is a protocol to QEMU. */
	if (n >= (int)sizeof full || strchr(name, ':'))
		return why;
	const char *rest = hostpath_below(image->root_path, full);
	AUTO(close) int fd = rest ? open_beneath(image->root, rest, O_RDONLY) : -1;
	if (fd < 0)
		return why;
	struct image backing = { image->root_path, image->root, rest, fd, image->depth + 1 };
	const char *refused = refuse_kind(fd, HOSTPATH_FILE);
	return refused || raw ? refused : refuse_image(&backing);
}

/*
 * Is the backing file's format stated, so that QEMU does not guess it, and is it one that we know?
 * The header's extensions, each of type, length and padded data, begin behind it.
 */
static const char *backing_format(int fd, uint64_t at, bool *ret_raw)
{
	enum { BACKING_FORMAT = 0xe2792aca, EXTENSIONS_MAX = 16 };
	static const char why[] =
		"its header does not state its backing file's format, raw or qcow2";
	unsigned char head[8];
	char format[8] = "";
	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		if (pread(fd, head, sizeof head, (off_t)at) != sizeof head)
			return why;
		uint64_t type = big_endian(head, 4);
		uint64_t len = big_endian(head + 4, 4);
		if (type == BACKING_FORMAT) {
			if (len >= sizeof format ||
				pread(fd, format, len, (off_t)at + 8) != (ssize_t)len)
				return why;
			*ret_raw = !strcmp(format, "raw");
			return *ret_raw || !strcmp(format, "qcow2") ? NULL : why;
		}
		if (!type)
			return why;
		at += 8 + (len + 7) / 8 * 8;
	}
	return why;
}

/*
 * The header of qcow2 (QEMU's docs/interop/qcow2.txt): magic, version, where the backing file's
 * name stands and how long it is; from version 3 on, a feature bit tells of an external data file
 * and the header tells its own length.
 */
static const char *refuse_image(const struct image *image)
{
	enum { HEADER_2 = 72, HEADER_3 = 104, EXTERNAL_DATA = 1 << 2, NAME_MAX_BYTES = 1023 };
	static const char damaged[] = "its header is damaged";
	unsigned char header[HEADER_3] = { 0 };
	char name[NAME_MAX_BYTES + 1] = "";
	bool raw = false;
	if (pread(image->fd, header, sizeof header, 0) < HEADER_2 ||
		memcmp(header, "QFI\xfb", 4) != 0)
		return "it is not a qcow2 image";
	bool version_3 = big_endian(header + 4, 4) >= 3;
	if (version_3 && header[79] & EXTERNAL_DATA)
		return "its header names an external data file";
	uint64_t offset = big_endian(header + 8, 8);
	uint64_t size = big_endian(header + 16, 4);
	if (!offset)
		return NULL;
	if (size > NAME_MAX_BYTES || offset > INT64_MAX ||
		pread(image->fd, name, size, (off_t)offset) != (ssize_t)size ||
		strlen(name) != size)
		return damaged;
	const char *why =
		backing_format(image->fd, version_3 ? big_endian(header + 100, 4) : HEADER_2, &raw);
	return why ? why : refuse_backing(image, name, raw);
}

const char *hostpath_refusal(const char *root_path, const char *path, enum hostpath_kind kind)
{
	bool image = kind == HOSTPATH_IMAGE || kind == HOSTPATH_SEEN_IMAGE;
	const char *rest = hostpath_below(root_path, path);
	if (!rest || strlen(path) >= PATH_BYTES_MAX)
		return outside;
	AUTO(close) int root = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return NULL; /* libvirt's host is another, or the directory is still to come */
	int flags = image ? O_RDONLY : O_PATH;
	AUTO(close) int fd = open_beneath(root, rest, flags);
	if (fd < 0 && errno == EACCES && image)
		return kind == HOSTPATH_SEEN_IMAGE
			? NULL
			: "virtgate may not read it, so its header cannot be checked";
	if (fd < 0 && errno != ENOENT)
		return outside;
	if (fd < 0 && (image || kind == HOSTPATH_DIRECTORY))
		return "it does not exist";
	if (fd < 0)
		return refuse_missing(root, rest);
	const char *why = refuse_kind(fd, kind);
	if (why || !image)
		return why;
	return refuse_image(&(struct image){ root_path, root, rest, fd, 0 });
}

int hostpath_open(const char *root_path, const char *path)
{
	const char *rest = hostpath_below(root_path, path);
	AUTO(close) int root = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (!rest || root < 0) {
		errno = EXDEV; /* what openat2() says of a path that leads out */
		return -1;
	}
	return open_beneath(root, rest, O_RDONLY);
}
