// SPDX-License-Identifier: MIT
#include "p9.h"

#include "bytes.h"
#include "guest.h"
#include "interrupt.h"
#include "virtio.h"

// Of each message the question's number; the answer's is one more.
enum {
	LOPEN = 12,
	GETATTR = 24,
	VERSION = 100,
	ATTACH = 104,
	WALK = 110,
	READ = 116,
	CLUNK = 120,
};
enum {
	HEADER = 4 + 1 + 2, // size, type, tag
	READ_MAX = 16384,
	ANSWER_MAX = HEADER + 4 + READ_MAX,
	QUESTION_MAX = 512,
	PARTS_MAX = 16, // of a path, in one WALK
	ROOT = 0,
	NONE = 0xffffffff,
	NO_TAG = 0xffff,
	WANT_MODE_AND_SIZE = 0x201,
	TYPE_BITS = 0170000,
	PLAIN_FILE = 0100000,
};

static struct virtio device;
static struct virtqueue queue;
static uint8_t question[QUESTION_MAX], answer[ANSWER_MAX];
static uint32_t used; // of the question; more than QUESTION_MAX if it did not fit

static void put(const void *bytes, uint32_t size)
{
	if (used + size <= sizeof question)
		memcpy(question + used, bytes, size);
	used += size;
}

static void put16(uint16_t number)
{
	put(&number, sizeof number);
}

static void put32(uint32_t number)
{
	put(&number, sizeof number);
}

static void put64(uint64_t number)
{
	put(&number, sizeof number);
}

static void put_string(const char *text, size_t length)
{
	put16((uint16_t)length);
	put(text, length);
}

static void begin(uint8_t type)
{
	used = 0;
	put32(0);
	put(&type, sizeof type);
	put16(type == VERSION ? NO_TAG : 0);
}

// Sends the question and waits; false if the answer is an error or has fewer bytes after its
// header.
static bool ask(uint32_t least)
{
	uint32_t size;
	uint16_t descriptor;

	if (used > sizeof question)
		return false;
	memcpy(question, &used, sizeof used);
	virtqueue_set(&queue, 0, question, used, VIRTQ_NEXT);
	virtqueue_set(&queue, 1, answer, sizeof answer, VIRTQ_DEVICE_FILLS);
	virtqueue_offer(&queue, 0);
	while (!virtqueue_take(&queue, &descriptor, &size))
		cpu_sleep();
	return size >= HEADER + least && answer[4] == question[4] + 1;
}

static uint32_t answer32(uint32_t at)
{
	uint32_t number;

	memcpy(&number, answer + HEADER + at, sizeof number);
	return number;
}

bool p9_mount(void)
{
	static virtqueue_memory memory;

	if (!virtio_open(&device, VIRTIO_9P, 0) || !virtqueue_init(&queue, &device, 0, 2, memory))
		return false;
	virtio_start(&device);
	begin(VERSION);
	put32(ANSWER_MAX);
	put_string("9P2000.L", 8);
	// The answer is the size the host takes, which may be less, and the version.
	if (!ask(4 + 2 + 8) || answer32(0) < ANSWER_MAX ||
		memcmp(answer + HEADER + 6, "9P2000.L", 8))
		return false;
	begin(ATTACH);
	put32(ROOT);
	put32(NONE);       // without authentication
	put_string("", 0); // as nobody in particular
	put_string("", 0); // the one tree that there is
	put32(NONE);
	return ask(0);
}

static size_t part_length(const char *path)
{
	size_t length = 0;

	while (path[length] && path[length] != '/')
		length++;
	return length;
}

static bool part_is_allowed(const char *part, size_t length)
{
	return length > 0 && !(length == 1 && part[0] == '.') &&
		!(length == 2 && part[0] == '.' && part[1] == '.');
}

static bool walk(uint32_t file, const char *path)
{
	uint16_t parts = 0, walked;
	uint32_t parts_at;

	begin(WALK);
	put32(ROOT);
	put32(file);
	parts_at = used;
	put16(0);
	for (;; path++) {
		size_t length = part_length(path);
		if (!part_is_allowed(path, length) || ++parts > PARTS_MAX)
			return false;
		put_string(path, length);
		path += length;
		if (!*path)
			break;
	}
	memcpy(question + parts_at, &parts, sizeof parts);
	if (!ask(sizeof walked))
		return false;
	// A walk that fails midway is not an error, and then does not make the file's number one.
	memcpy(&walked, answer + HEADER, sizeof walked);
	return walked == parts;
}

// To open anything else, a pipe say, could make the host wait.
static bool is_plain(uint32_t file, uint64_t *ret_size)
{
	enum { MODE_AT = 8 + 13, SIZE_AT = MODE_AT + 4 + 4 + 4 + 8 + 8 };

	begin(GETATTR);
	put32(file);
	put64(WANT_MODE_AND_SIZE);
	if (!ask(SIZE_AT + sizeof *ret_size))
		return false;
	memcpy(ret_size, answer + HEADER + SIZE_AT, sizeof *ret_size);
	return (answer32(MODE_AT) & TYPE_BITS) == PLAIN_FILE;
}

bool p9_open(uint32_t file, const char *path, uint64_t *ret_size)
{
	if (!walk(file, path))
		return false;
	if (is_plain(file, ret_size)) {
		begin(LOPEN);
		put32(file);
		put32(0); // to read
		if (ask(0))
			return true;
	}
	p9_close(file);
	return false;
}

bool p9_read(uint32_t file, uint32_t offset, void *buffer, uint32_t size)
{
	begin(READ);
	put32(file);
	put64(offset);
	put32(size);
	if (size > READ_MAX || !ask(4 + size) || answer32(0) != size)
		return false;
	memcpy(buffer, answer + HEADER + 4, size);
	return true;
}

void p9_close(uint32_t file)
{
	begin(CLUNK);
	put32(file);
	ask(0);
}
