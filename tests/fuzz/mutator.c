/* SPDX-License-Identifier: MIT */
#include "mutator.h"

#include "base/text.h"
#include "schema_words.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* libFuzzer's interface. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
	uint8_t *ret, size_t max_size, unsigned seed);

static const char *const texts[] = {
	/* What is there. */
	"linux.qcow2",
	"over.qcow2",
	"d.img",
	"hello_qemu-x86_64",
	"fs0",
	"/var/lib/libvirt/images/linux.qcow2",
	"/var/lib/libvirt/fs/fs0",
	"/var/log/libvirt/qemu/a.log",
	"default",
	"virbr0",
	"127.0.0.1",
	"52:54:00:12:34:56",
	"org.qemu.guest_agent.0",
	"/dev/urandom",
	"vda",
	/* What leads out. */
	"trap.qcow2",
	"out/passwd",
	"/etc/passwd",
	"/etc",
	"../canary/secret",
	"/var/lib/libvirt/images/../../../../etc/passwd",
	"/var/lib/libvirt/images/out/passwd",
	"/var/lib/libvirt/images/",
	"/var/lib/libvirt/images/a,file=/etc/passwd",
	"/usr/bin/qemu-system-x86_64",
	"/var/lib/libvirt/canary/run",
	"/usr/bin/qemu-system-x86_64/../../../var/lib/libvirt/canary/run",
	"/var/lib/libvirt/canary/secret",
	"/dev/sda",
	"/dev/pts/0",
	"/var/lib/libvirt/qemu/channel/target/a/b",
	"unix:/x",
	"tcp:127.0.0.1:1",
	"fat:/etc",
	"json:{}",
	"json:{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}",
	"nbd://127.0.0.1/x",
	"0.0.0.0",
	"::",
	"::1",
	"localhost",
	"eth0",
	"br0",
	/* What is hard to quote, count or read. */
	"",
	" ",
	" a ",
	"a\nb",
	"a\tb",
	"a,b",
	"a,,b",
	"a=b,c=d",
	",file=/etc/passwd",
	"a b",
	"'",
	"\"",
	"\\",
	"%s%n",
	"%2e%2e",
	"<a>",
	"&",
	"-",
	"--",
	"-1",
	"0",
	"1",
	"2",
	"256",
	"65536",
	"2147483648",
	"4294967296",
	"18446744073709551616",
	"0x1",
	"1e3",
	"on",
	"off",
	"yes",
	"no",
	"\xc3\xa9",
	"\xe2\x80\xa8",
};

static uint64_t chance;

unsigned mutator_pick(unsigned n)
{
	/* xorshift64* */
	chance ^= chance >> 12;
	chance ^= chance << 25;
	chance ^= chance >> 27;
	return n ? (unsigned)((chance * 0x2545f4914f6cdd1dU) >> 33) % n : 0;
}

bool mutator_one_in(unsigned n)
{
	return mutator_pick(n) == 0;
}

const char *mutator_text(void)
{
	static char longest[5000];
	if (!longest[0])
		memset(longest, 'a', sizeof longest - 1);
	unsigned n = mutator_pick(ARRAY_LEN(texts) + 1);
	return n < ARRAY_LEN(texts) ? texts[n] : longest + sizeof longest - 1 - mutator_pick(5000);
}

char *mutator_garble(const char *text)
{
	enum { GROWTH = 16 };
	size_t size = strlen(text);
	char *copy = calloc(1, size + GROWTH + 1);
	if (!copy)
		return NULL;
	memcpy(copy, text, size);
	size = LLVMFuzzerMutate((uint8_t *)copy, size, size + GROWTH);
	copy[size] = '\0';
	text_mask_malformed(copy);
	text_mask_controls(copy);
	return copy;
}

/* Donors */

static char *donors[4096];
static size_t donor_count;

const char *mutator_donor(void)
{
	return donor_count ? donors[mutator_pick((unsigned)donor_count)] : NULL;
}

static void load_donor(int dir, const char *name)
{
	enum { DONOR_BYTES_MAX = 64 * 1024 };
	struct stat st;
	size_t n = strlen(name);
	if (n < 4 || strcmp(name + n - 4, ".xml") != 0 || donor_count == ARRAY_LEN(donors))
		return;
	AUTO(close) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size > DONOR_BYTES_MAX)
		return;
	AUTO(free) char *text = calloc(1, (size_t)st.st_size + 1);
	if (text && read(fd, text, (size_t)st.st_size) == st.st_size)
		donors[donor_count++] = TAKE(text);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void mutator_load(const char *directories)
{
	char path[512];
	schema_words_load();
	for (size_t n; *directories; directories += n + (directories[n] == ':')) {
		n = strcspn(directories, ":");
		(void)snprintf(path, sizeof path, "%.*s", (int)n, directories);
		DIR *dir = opendir(path);
		for (struct dirent *entry; dir && (entry = readdir(dir));)
			load_donor(dirfd(dir), entry->d_name);
		if (dir)
			(void)closedir(dir);
	}
	/* A directory has no order of its own, and chance shall repeat itself. */
	qsort(donors, donor_count, sizeof donors[0], compare);
}

/* What passed */

enum { REMEMBERED_BYTES_MAX = 8192 };
static struct {
	uint8_t *data;
	size_t size;
} remembered[1024];
static size_t remembered_count;

void mutator_remember(const uint8_t *data, size_t size)
{
	uint8_t *copy = size && size <= REMEMBERED_BYTES_MAX ? malloc(size) : NULL;
	if (!copy)
		return;
	memcpy(copy, data, size);
	size_t at = remembered_count < ARRAY_LEN(remembered) ? remembered_count++
							     : mutator_pick(ARRAY_LEN(remembered));
	free(remembered[at].data);
	remembered[at].data = copy;
	remembered[at].size = size;
}

static size_t recall(uint8_t *data, size_t size, size_t max_size)
{
	unsigned at = mutator_pick((unsigned)remembered_count);
	if (!remembered_count || mutator_one_in(2) || remembered[at].size > max_size)
		return size;
	memcpy(data, remembered[at].data, remembered[at].size);
	return remembered[at].size;
}

/* libFuzzer's calls */

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	size_t n = 0;
	chance = 0x9e3779b97f4a7c15U ^ seed;
	size = recall(data, size, max_size);
	AUTO(free) char *mutated = malloc(max_size);
	if (mutated && size && !mutator_one_in(20))
		n = data[0] == '{' ? json_mutate((char *)data, size, mutated, max_size)
				   : xml_mutate((char *)data, size, mutated, max_size);
	if (!n)
		return LLVMFuzzerMutate(data, size, max_size);
	memcpy(data, mutated, n);
	return n;
}

/* A size of 0 says that nothing came of it, and libFuzzer goes on. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
	uint8_t *ret, size_t max_size, unsigned seed)
{
	chance = 0x9e3779b97f4a7c15U ^ seed;
	return xml_cross((const char *)a, a_size, (const char *)b, b_size, (char *)ret, max_size);
}
