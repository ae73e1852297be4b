/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "definition/domain_xml.h"
#include "definition/policy.h"
#include "definition/template.h"
#include "files/hostpath.h"
#include "vm/snapshot.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* Stands for /var/lib/libvirt: images and shares, and a directory outside of both. */
static char base_dir[] = "/tmp/virtgate-policy-XXXXXX";
static char images[64], shares[64], outside[64];
static struct config config = { .templates = TEMPLATES,
	.images = images,
	.shares = shares,
	.logs = "/var/log/libvirt/qemu",
	.networks = "default,lab",
	.bridges = "virbr0" };

/* From the bytes of a request to the policy's verdict, like a handler. */
static int judge(const char *text, size_t len, struct policy_report *ret, struct err *err)
{
	AUTO_DOMAIN_XML struct domain_xml domain = { 0 };
	ret->count = 0;
	if (!strncmp(text, "<domainsnapshot>", strlen("<domainsnapshot>"))) {
		if (snapshot_xml_parse(
			    text, len, &(struct snapshot_request){ 0 }, &domain.doc, err) < 0)
			return -1;
	} else if (domain_xml_read(text, len, &domain, err) < 0 ||
		domain_xml_settle(&domain, &config, err) < 0) {
		return -1;
	}
	return policy_check(domain.doc, &config, ret, err);
}

static void check_document(const char *text, struct policy_report *ret)
{
	struct err err;
	CHECK(!judge(text, strlen(text), ret, &err), "%s: %s", text, err.text);
}

/* The document is refused at this path, by this rule. */
static void refuse(const char *text, const char *path, const char *rule)
{
	struct policy_report report;
	check_document(text, &report);
	for (size_t i = 0; i < report.count; i++)
		if (!strcmp(report.found[i].path, path) && strstr(report.found[i].rule, rule))
			return;
	CHECK(false, "%zu violations, first %s (%s), none of %s (%s): %s", report.count,
		report.count ? report.found[0].path : "", report.count ? report.found[0].rule : "",
		path, rule, text);
}

static void accept(const char *text)
{
	struct policy_report report;
	check_document(text, &report);
	CHECK(report.count == 0, "%s '%s': %s: %s", report.found[0].path, report.found[0].value,
		report.found[0].rule, text);
}

#define HEAD "<domain type='kvm'><name>a</name><memory>2048</memory>"
#define OS "<os><type>hvm</type></os>"

/* Reads a file of tests/corpus with this test's directories instead of /var/lib/libvirt/. */
static char *read_document(const char *dir, const char *name, size_t *ret_len)
{
	static const char there[] = "/var/lib/libvirt";
	char path[512];
	(void)snprintf(path, sizeof path, "%s/%s/%s", CORPUS, dir, name);
	FILE *in = fopen(path, "re");
	CHECK(in, "%s", path);
	enum { SIZE = 256 * 1024 };
	AUTO(free) char *text = calloc(1, SIZE);
	size_t len = fread(text, 1, SIZE - 1, in);
	(void)fclose(in);
	char *out = calloc(1, SIZE * 2);
	size_t n = 0;
	for (size_t i = 0; i < len;) {
		bool here = len - i > sizeof there + 5 &&
			!memcmp(text + i, there, sizeof there - 1) &&
			memcmp(text + i + sizeof there - 1, "/qemu", 5) != 0;
		const char *from = here ? base_dir : text + i;
		size_t size = here ? strlen(base_dir) : 1;
		memcpy(out + n, from, size);
		n += size;
		i += here ? sizeof there - 1 : 1;
	}
	*ret_len = n;
	return out;
}

static void check_attack(const char *name, const char *code, const char *path, const char *rule)
{
	char file[128];
	size_t len = 0;
	struct policy_report report;
	struct err err;
	(void)snprintf(file, sizeof file, "%s.xml", name);
	AUTO(free) char *text = read_document("attacks", file, &len);
	if (judge(text, len, &report, &err) < 0) {
		CHECK(!strcmp(err_code(err.kind), code), "%s: %s", name, err.text);
		CHECK(strstr(err.text, rule), "%s: no '%s' in '%s'", name, rule, err.text);
		return;
	}
	CHECK(report.count, "%s: is let through", name);
	CHECK(!strcmp(code, "policy_denied"), "%s: %s instead of %s", name, report.found[0].path,
		code);
	for (size_t i = 0; i < report.count; i++)
		if (!strcmp(report.found[i].path, path) && strstr(report.found[i].rule, rule))
			return;
	CHECK(false, "%s: %zu violations, first %s (%s), none of %s (%s)", name, report.count,
		report.found[0].path, report.found[0].rule, path, rule);
}

static void test_every_attack_is_refused_for_its_own_reason(void **state)
{
	char line[512];
	int count = 0;
	(void)state;
	FILE *rules = fopen(CORPUS "/attacks/rules", "re");
	assert_non_null(rules);
	while (fgets(line, sizeof line, rules)) {
		char *rest = line;
		line[strcspn(line, "\n")] = '\0';
		const char *name = strsep(&rest, "\t");
		const char *code = strsep(&rest, "\t");
		const char *path = strsep(&rest, "\t");
		if (*line == '#')
			continue;
		CHECK(path && rest, "'%s' has no four columns", name);
		check_attack(name, code, path, rest);
		count++;
	}
	(void)fclose(rules);
	assert_true(count > 300);
}

static void write_image(const char *name, const void *data, size_t size)
{
	char path[128];
	(void)snprintf(path, sizeof path, "%s/%s", images, name);
	AUTO(close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, data, size), size);
}

/* A qcow2 header of version 3, which may name a backing file and its format. */
static void write_qcow2(const char *name, const char *backing, const char *format, bool external)
{
	enum { HEADER = 104, NAME = 128 };
	unsigned char h[1400] = "QFI\xfb\0\0\0\3";
	h[23] = 16;
	h[79] = external ? 4 : 0;
	h[103] = HEADER;
	if (format) {
		memcpy(h + HEADER, "\xe2\x79\x2a\xca", 4);
		h[HEADER + 7] = (unsigned char)strlen(format);
		memcpy(h + HEADER + 8, format, strlen(format));
	}
	if (backing) {
		h[15] = NAME;
		h[18] = (unsigned char)(strlen(backing) >> 8);
		h[19] = (unsigned char)strlen(backing);
		memcpy(h + NAME, backing, strlen(backing));
	}
	write_image(name, h, sizeof h);
}

static void try_disk(const char *file, const char *rule)
{
	char text[512];
	(void)snprintf(text, sizeof text,
		HEAD OS "<devices><disk type='file'><driver type='qcow2'/><source file='%s'/>"
			"<target dev='vda'/></disk></devices></domain>",
		file);
	if (rule)
		refuse(text, "/domain/devices/disk/source/@file", rule);
	else
		accept(text);
}

static void test_files_lead_nowhere_else(void **state)
{
	char path[128];
	char other[128];
	(void)state;
	(void)snprintf(other, sizeof other, "%s/secret", outside);
	AUTO(close) int fd = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	(void)snprintf(path, sizeof path, "%s/link", images);
	assert_int_equal(symlink(other, path), 0);
	try_disk("link", "links followed");
	(void)snprintf(path, sizeof path, "%s/up", images);
	assert_int_equal(symlink("..", path), 0);
	try_disk("up/canary/secret", "links followed");
	(void)snprintf(path, sizeof path, "%s/hard", images);
	assert_int_equal(link(other, path), 0);
	try_disk("hard", "hard link");
	(void)snprintf(path, sizeof path, "%s/pipe", images);
	assert_int_equal(mkfifo(path, 0600), 0);
	try_disk("pipe", "not a regular file");
	(void)snprintf(path, sizeof path, "%s/dir", images);
	assert_int_equal(mkdir(path, 0700), 0);
	try_disk("dir", "not a regular file");
	write_qcow2("inner", NULL, NULL, false);
	(void)snprintf(path, sizeof path, "%s/inner-link", images);
	assert_int_equal(symlink("inner", path), 0);
	try_disk("inner-link", NULL);
	try_disk("not-there-yet", "does not exist");
	try_disk("dir/not-there-yet", "does not exist");
	try_disk("up/not-there-yet", "links followed");
	(void)snprintf(path, sizeof path, "%s2/x", images);
	try_disk(path, "beneath");
	try_disk("/", "beneath");
	(void)snprintf(path, sizeof path, "%s/../canary/secret", images);
	try_disk(path, "beneath");
	(void)snprintf(path, sizeof path, "%s//inner", images);
	try_disk(path, NULL);
	accept(HEAD "<os><type>hvm</type><kernel>not-there-yet</kernel></os></domain>");
	accept(HEAD "<os><type>hvm</type><kernel>dir/not-there-yet</kernel></os></domain>");
	refuse(HEAD "<os><type>hvm</type><kernel>up/not-there-yet</kernel></os></domain>",
		"/domain/os/kernel", "links followed");
}

static void test_an_images_header_names_nothing_outside(void **state)
{
	char path[128];
	(void)state;
	write_qcow2("plain.qcow2", NULL, NULL, false);
	try_disk("plain.qcow2", NULL);
	write_qcow2("over.qcow2", "plain.qcow2", "qcow2", false);
	try_disk("over.qcow2", NULL);
	(void)snprintf(path, sizeof path, "%s/plain.qcow2", images);
	write_qcow2("absolute.qcow2", path, "qcow2", false);
	try_disk("absolute.qcow2", NULL);
	write_qcow2("shadow.qcow2", "/etc/shadow", "qcow2", false);
	try_disk("shadow.qcow2", "backing file outside");
	write_qcow2("dots.qcow2", "../canary/secret", "qcow2", false);
	try_disk("dots.qcow2", "backing file outside");
	write_qcow2("second.qcow2", "shadow.qcow2", "qcow2", false);
	try_disk("second.qcow2", "backing file outside");
	write_qcow2("json.qcow2", "json:{\"file\":\"/etc/shadow\"}", "qcow2", false);
	try_disk("json.qcow2", "other than a path");
	write_qcow2("nbd.qcow2", "nbd://127.0.0.1/x", "qcow2", false);
	try_disk("nbd.qcow2", "other than a path");
	write_qcow2("self.qcow2", "self.qcow2", "qcow2", false);
	try_disk("self.qcow2", "longer than 8");
	write_qcow2("data.qcow2", NULL, NULL, true);
	try_disk("data.qcow2", "external data file");
	write_qcow2("guessed.qcow2", "plain.qcow2", NULL, false);
	try_disk("guessed.qcow2", "does not state");
	write_qcow2("vmdk.qcow2", "plain.qcow2", "vmdk", false);
	try_disk("vmdk.qcow2", "does not state");
	write_image("data", "x", 1);
	write_qcow2("raw.qcow2", "data", "raw", false);
	try_disk("raw.qcow2", NULL);
	write_qcow2("lies.qcow2", "data", "qcow2", false);
	try_disk("lies.qcow2", "not a qcow2 image");
	try_disk("data", "not a qcow2 image");
	static const unsigned char damaged[104] = "QFI\xfb\0\0\0\3\xff\xff\xff\xff\xff\xff\xff\xff"
						  "\0\0\0\5";
	write_image("damaged.qcow2", damaged, sizeof damaged);
	try_disk("damaged.qcow2", "damaged");
}

/* Writes bytes into an existing image. */
static void patch_image(const char *name, off_t at, const void *bytes, size_t n)
{
	char path[128];
	(void)snprintf(path, sizeof path, "%s/%s", images, name);
	AUTO(close) int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, bytes, n, at), n);
}

/* QEMU pads the lengths of extensions to 8 and stops at the backing name; libvirt does neither. */
static void test_a_header_that_can_be_read_in_two_ways_is_refused(void **state)
{
	static const struct {
		const char *name;
		off_t at;
		const char *bytes;
		size_t n;
		const char *rule;
	} cases[] = {
		{ "unknown-first", 104, "\x12\x34\x56\x78\0\0\0\4abcd", 12, "the first extension" },
		{ "unpadded", 112, "raw\xe2\x79\x2a\xca\0", 8, "the first extension" },
		{ "unknown-later", 120, "\0\0\0\4\0\0\0\0", 8, "unknown extension" },
		{ "format-twice", 120, "\xe2\x79\x2a\xca\0\0\0\3", 8, "unknown extension" },
		{ "long-header", 100, "\0\0\0\xc8", 4, "damaged" },
		{ "name-in-header", 8, "\0\0\0\0\0\0\0\x40", 8, "damaged" },
		{ "name-far", 8, "\0\0\0\0\0\0\xff\xff", 8, "damaged" },
		{ "clusters", 20, "\0\0\0\x3f", 4, "damaged" },
		{ "version-4", 4, "\0\0\0\4", 4, "version of qcow2" },
		{ "version-1", 4, "\0\0\0\1", 4, "version of qcow2" },
		{ "snapshots", 60, "\0\0\xff\xff", 4, "more than 1000 snapshots" },
		{ "past-the-name", 120, "\x68\x03\xf8\x57\0\0\xff\0", 8, "damaged" },
	};
	(void)state;
	write_qcow2("plain.qcow2", NULL, NULL, false);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		write_qcow2(cases[i].name, "plain.qcow2", "raw", false);
		try_disk(cases[i].name, NULL);
		patch_image(cases[i].name, cases[i].at, cases[i].bytes, cases[i].n);
		try_disk(cases[i].name, cases[i].rule);
	}
}

static void test_a_qcow2_image_as_raw_disk_is_refused(void **state)
{
	(void)state;
	write_qcow2("plain.qcow2", NULL, NULL, false);
	refuse(HEAD OS "<devices><disk type='file'><driver type='raw'/><source file='plain.qcow2'/>"
		       "<target dev='vda'/></disk></devices></domain>",
		"/domain/devices/disk/source/@file", "its format says raw");
}

static void test_an_image_that_a_qemu_writes_to_is_refused(void **state)
{
	static const char disk[] = HEAD OS
		"<devices><disk type='file'><driver type='qcow2'/><source file='over.qcow2'/>"
		"<target dev='vda'/></disk></devices></domain>";
	static const char *const files[] = { "over.qcow2", "plain.qcow2" };
	AUTO_DOMAIN_XML struct domain_xml domain = { 0 };
	struct err err;
	(void)state;
	write_qcow2("plain.qcow2", NULL, NULL, false);
	write_qcow2("over.qcow2", "plain.qcow2", "qcow2", false);
	assert_int_equal(domain_xml_read(disk, strlen(disk), &domain, &err), 0);
	assert_int_equal(domain_xml_settle(&domain, &config, &err), 0);
	assert_int_equal(
		policy_recheck(xml_root(domain.doc), &config, HOSTPATH_IDLE_IMAGE, &err), 0);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char path[128];
		struct flock lock = { .l_type = F_RDLCK, .l_start = 101, .l_len = 1 };
		(void)snprintf(path, sizeof path, "%s/%s", images, files[i]);
		AUTO(close) int fd = open(path, O_RDWR | O_CLOEXEC);
		assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0); /* as QEMU does */
		assert_int_equal(
			policy_recheck(xml_root(domain.doc), &config, HOSTPATH_IDLE_IMAGE, &err),
			-1);
		assert_int_equal(err.kind, ERR_STORAGE_UNAVAILABLE);
		CHECK(strstr(err.text, "another running VM"), "%s", err.text);
		assert_int_equal(
			policy_recheck(xml_root(domain.doc), &config, HOSTPATH_SEEN_IMAGE, &err),
			0);
	}
	assert_int_equal(
		policy_recheck(xml_root(domain.doc), &config, HOSTPATH_IDLE_IMAGE, &err), 0);
}

/* Without descriptors to check a file, it is neither allowed nor a violation. */
static void test_exhausted_descriptors_are_no_violation(void **state)
{
	static const char *const texts[] = {
		HEAD OS
		"<devices><disk type='file'><driver type='raw'/><source file='plain.qcow2'/>"
		"<target dev='vda'/></disk></devices></domain>",
		HEAD OS "<devices><disk type='file'><driver type='qcow2'/><source "
			"file='over.qcow2'/><target dev='vda'/></disk></devices></domain>",
	};
	struct rlimit limit;
	struct err err;
	(void)state;
	write_qcow2("plain.qcow2", NULL, NULL, false);
	write_qcow2("over.qcow2", "plain.qcow2", "qcow2", false);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	int next = dup(0);
	assert_int_equal(close(next), 0);
	char path[128];
	(void)snprintf(path, sizeof path, "%s/plain.qcow2", images);
	for (int spare = 0; spare < 3; spare++) {
		struct rlimit low = { (rlim_t)(next + spare), limit.rlim_max };
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
		int is_qcow2 = hostpath_is_qcow2(images, path);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
		assert_int_equal(is_qcow2, spare < 2 ? -1 : 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct policy_report report = { 0 };
		unsigned spare = 0;
		int rc = -1;
		/* With one more descriptor each time, until there are enough. */
		for (; rc < 0 && spare < 8; spare++) {
			struct rlimit low = { (rlim_t)next + spare, limit.rlim_max };
			assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
			rc = judge(texts[i], strlen(texts[i]), &report, &err);
			assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
			CHECK(!rc || (err.kind == ERR_HOST_BUSY && !report.count), "%u: %s", spare,
				err.text);
		}
		CHECK(spare > 2 && !rc, "text %zu: %u", i, spare);
		assert_int_equal(report.count, i == 0);
	}
}

static void test_every_template_passes(void **state)
{
	static const char *const templates[] = { "helloworld", "http-reply", "nginx", "linux" };
	(void)state;
	write_qcow2("linux.qcow2", NULL, NULL, false);
	for (size_t i = 0; i < ARRAY_LEN(templates); i++) {
		AUTO(free) char *text = NULL;
		size_t len = 0;
		struct err err;
		assert_int_equal(template_read(&config, templates[i], &text, &len, &err), 0);
		accept(text);
	}
}

/* The document passes, and what libvirt gets does not contain `absent` (may be NULL). */
static void accept_file(const char *name, const char *absent)
{
	size_t len = 0;
	struct policy_report report;
	struct err err;
	AUTO(free) char *text = read_document("good", name, &len);
	AUTO_DOMAIN_XML struct domain_xml domain = { 0 };
	CHECK(!domain_xml_read(text, len, &domain, &err) &&
			!domain_xml_settle(&domain, &config, &err),
		"%s: %s", name, err.text);
	assert_int_equal(policy_check(domain.doc, &config, &report, &err), 0);
	CHECK(!report.count, "%s: %s '%s': %s", name, report.found[0].path, report.found[0].value,
		report.found[0].rule);
	AUTO(free) char *out = xml_text(domain.doc);
	CHECK(!absent || !strstr(out, absent), "%s: %s", name, out);
}

static void test_what_the_seed_virt_install_and_virsh_write_passes(void **state)
{
	(void)state;
	write_qcow2("linux.qcow2", NULL, NULL, false);
	accept_file("seed-helloworld.xml", NULL);
	accept_file("seed-http-reply.xml", "en0");
	accept_file("seed-nginx.xml", "en0");
	accept_file("virt-install-network.xml", "emulator");
	accept_file("virt-install-bridge.xml", "emulator");
	accept_file("virsh-dumpxml-inactive.xml", "emulator");
	accept_file("virsh-dumpxml-live.xml", "/dev/pts");
}

/* A document that virtgate or libvirt wrote is not changed when a client sends it again. */
static void test_a_document_that_passed_passes_again_unchanged(void **state)
{
	size_t len = 0;
	struct err err;
	struct policy_report report;
	(void)state;
	write_qcow2("linux.qcow2", NULL, NULL, false);
	AUTO(free) char *text = read_document("good", "virsh-dumpxml-live.xml", &len);
	AUTO_DOMAIN_XML struct domain_xml first = { 0 };
	AUTO_DOMAIN_XML struct domain_xml second = { 0 };
	assert_int_equal(domain_xml_read(text, len, &first, &err), 0);
	assert_int_equal(domain_xml_settle(&first, &config, &err), 0);
	AUTO(free) char *once = xml_text(first.doc);
	assert_int_equal(domain_xml_read(once, strlen(once), &second, &err), 0);
	assert_int_equal(domain_xml_settle(&second, &config, &err), 0);
	assert_int_equal(policy_check(second.doc, &config, &report, &err), 0);
	assert_int_equal(report.count, 0);
	AUTO(free) char *twice = xml_text(second.doc);
	assert_string_equal(once, twice);
	assert_int_equal(second.warning_count, 0);
}

/* Between the check and the start, a file may be replaced. */
static void test_files_that_changed_since_are_found_at_the_start(void **state)
{
	static const char kernel[] = HEAD "<os><type>hvm</type><kernel>swap</kernel></os></domain>";
	static const char disk[] =
		HEAD OS "<devices><disk type='file'><driver type='qcow2'/><source file='swap'/>"
			"<target dev='vda'/></disk></devices></domain>";
	static const char *const documents[] = { kernel, disk };
	char path[128];
	char other[128];
	struct err err;
	(void)state;
	(void)snprintf(path, sizeof path, "%s/swap", images);
	(void)snprintf(other, sizeof other, "%s/swapped-in", outside);
	AUTO(close) int fd = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
		AUTO_DOMAIN_XML struct domain_xml domain = { 0 };
		struct policy_report report;
		(void)unlink(path);
		write_qcow2("swap", NULL, NULL, false);
		assert_int_equal(
			domain_xml_read(documents[i], strlen(documents[i]), &domain, &err), 0);
		assert_int_equal(domain_xml_settle(&domain, &config, &err), 0);
		assert_int_equal(policy_check(domain.doc, &config, &report, &err), 0);
		assert_int_equal(report.count, 0);
		assert_int_equal(
			policy_recheck(xml_root(domain.doc), &config, HOSTPATH_IDLE_IMAGE, &err),
			0);
		assert_int_equal(unlink(path), 0);
		assert_int_equal(symlink(other, path), 0);
		assert_int_equal(
			policy_recheck(xml_root(domain.doc), &config, HOSTPATH_IDLE_IMAGE, &err),
			-1);
		assert_int_equal(err.kind, ERR_POLICY_DENIED);
		CHECK(strstr(err.text, "'swap'") && strstr(err.text, "links followed"), "%s",
			err.text);
	}
	/* The guest of another VM wrote a header into its raw disk. */
	AUTO_DOMAIN_XML struct domain_xml domain = { 0 };
	(void)unlink(path);
	assert_int_equal(domain_xml_read(disk, strlen(disk), &domain, &err), 0);
	assert_int_equal(domain_xml_settle(&domain, &config, &err), 0);
	write_qcow2("swap", "/etc/shadow", "raw", false);
	assert_int_equal(
		policy_recheck(xml_root(domain.doc), &config, HOSTPATH_IDLE_IMAGE, &err), -1);
	CHECK(strstr(err.text, "backing file outside"), "%s", err.text);
}

/* An administrator who defines a VM with virsh is responsible for its paths. */
static void test_files_outside_the_directories_are_not_checked_again(void **state)
{
	struct err err;
	AUTO(xml_free) struct xml *doc = NULL;
	(void)state;
	assert_int_equal(xml_parse_trusted("<domain><os><kernel>/etc/shadow</kernel></os><devices>"
					   "<disk><source file='/etc/shadow'/></disk></devices>"
					   "</domain>",
				 &doc, &err),
		0);
	assert_int_equal(policy_recheck(xml_root(doc), &config, HOSTPATH_IDLE_IMAGE, &err), 0);
}

static void test_every_violation_is_reported(void **state)
{
	struct policy_report report;
	(void)state;
	check_document(HEAD OS "<seclabel type='none'/><devices><emulator>/x</emulator>"
			       "<hostdev/></devices></domain>",
		&report);
	assert_int_equal(report.count, 3);
	assert_string_equal(report.found[0].path, "/domain/seclabel");
	assert_string_equal(report.found[1].path, "/domain/devices/emulator");
	assert_string_equal(report.found[2].path, "/domain/devices/hostdev");
}

static int set_up(void **state)
{
	char share[80];
	(void)state;
	xml_init();
	if (!mkdtemp(base_dir))
		return -1;
	(void)snprintf(images, sizeof images, "%s/images", base_dir);
	(void)snprintf(shares, sizeof shares, "%s/fs", base_dir);
	(void)snprintf(outside, sizeof outside, "%s/canary", base_dir);
	(void)snprintf(share, sizeof share, "%s/fs0", shares);
	return mkdir(images, 0700) || mkdir(shares, 0700) || mkdir(share, 0700) ||
		mkdir(outside, 0700);
}

static int tear_down(void **state)
{
	char command[128];
	(void)state;
	(void)snprintf(command, sizeof command, "rm -rf '%s'", base_dir);
	return system(command);
}

static void test_texts_that_mislead_the_eye_are_refused(void **state)
{
	static const struct {
		const char *text, *path;
	} cases[] = {
		{ HEAD OS "<title>\xe2\x80\xaegpj</title></domain>", "/domain/title" },
		{ HEAD OS "<title>a\xe2\x80\xa8z</title></domain>", "/domain/title" },
		{ HEAD OS "<description>&#x9b;31m</description></domain>", "/domain/description" },
		{ HEAD OS "<description>&#xfeff;</description></domain>", "/domain/description" },
		{ HEAD "<os><type>hvm</type><kernel>k</kernel><cmdline>&#x200f;</cmdline></os>"
		       "</domain>",
			"/domain/os/cmdline" },
		{ HEAD OS "<metadata><v:vm xmlns:v='urn:virtgate:vm:1'>"
			  "<v:label name='a'>&#x2066;</v:label></v:vm></metadata></domain>",
			"/domain/metadata" },
		{ "<domainsnapshot><description>&#x2029;</description></domainsnapshot>",
			"/domainsnapshot/description" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		refuse(cases[i].text, cases[i].path, "no control, direction or invisible");
	accept(HEAD OS "<description>\xd9\x81\xe2\x80\x8c\xd8\xa7\n\ttwo</description></domain>");
}

static double processor_seconds(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double smaller(double a, double b)
{
	return a < b ? a : b;
}

/* What is done to a document beside reading it takes no longer than a few times as long. */
static void test_no_document_takes_long_to_judge(void **state)
{
	enum { ELEMENTS = 3000 };
	static const struct {
		const char *head;
		int more; /* so many labels */
		const char *part, *tail;
		int times;
	} cases[] = {
		{ "<devices>", 0, "<interface type='network'/>", "</devices>", 5 },
		{ "<metadata><v:vm xmlns:v='urn:virtgate:vm:1'>", ELEMENTS, "",
			"</v:vm></metadata>", 5 },
		{ "<metadata><v:vm xmlns:v='urn:virtgate:vm:1'>", 64, "<v:disk path='/a'/>",
			"</v:vm></metadata>", 5 },
		{ "<metadata><m:a xmlns:m='urn:m'>", 0, "t<m:b a=''/>", "</m:a></metadata>", 5 },
		/* Little to read, and each element is counted: 4.5 times on an idle machine. */
		{ "", 0, "<devices/>", "", 10 },
	};
	(void)state;
	/* Memory that is freed stays with the process: page faults would count for more. */
	(void)mallopt(M_TRIM_THRESHOLD, INT32_MAX);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(free) char *text = malloc(XML_BYTES_MAX);
		double reading = 1e9;
		double judging = 1e9;
		char *end = stpcpy(text,
			"<domain "
			"type='kvm'><name>a</name><memory>8192</memory><os><type>hvm</type></os>");
		end = stpcpy(end, cases[i].head);
		for (int j = 0; j < cases[i].more; j++)
			end += sprintf(end, "<v:label name='l%d'>x</v:label>", j);
		for (int j = cases[i].more; j < ELEMENTS; j++)
			end = stpcpy(end, cases[i].part);
		end = stpcpy(stpcpy(end, cases[i].tail), "</domain>");
		for (int round = 0; round < 5; round++) {
			struct policy_report report;
			struct xml *doc = NULL;
			struct err err;
			double start = processor_seconds();
			CHECK(!xml_parse(text, (size_t)(end - text), "XML", &doc, &err), "%s",
				err.text);
			xml_free(doc);
			double read = processor_seconds();
			CHECK(!judge(text, (size_t)(end - text), &report, &err), "%s", err.text);
			judging = smaller(judging, processor_seconds() - read);
			reading = smaller(reading, read - start);
		}
		CHECK(judging < reading * cases[i].times, "%s%s: %.1f ms to read, %.1f ms to judge",
			cases[i].head, cases[i].part, reading * 1e3, judging * 1e3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts_that_mislead_the_eye_are_refused),
		cmocka_unit_test(test_every_attack_is_refused_for_its_own_reason),
		cmocka_unit_test(test_files_lead_nowhere_else),
		cmocka_unit_test(test_an_images_header_names_nothing_outside),
		cmocka_unit_test(test_a_header_that_can_be_read_in_two_ways_is_refused),
		cmocka_unit_test(test_a_qcow2_image_as_raw_disk_is_refused),
		cmocka_unit_test(test_an_image_that_a_qemu_writes_to_is_refused),
		cmocka_unit_test(test_exhausted_descriptors_are_no_violation),
		cmocka_unit_test(test_every_template_passes),
		cmocka_unit_test(test_what_the_seed_virt_install_and_virsh_write_passes),
		cmocka_unit_test(test_a_document_that_passed_passes_again_unchanged),
		cmocka_unit_test(test_files_that_changed_since_are_found_at_the_start),
		cmocka_unit_test(test_files_outside_the_directories_are_not_checked_again),
		cmocka_unit_test(test_every_violation_is_reported),
		cmocka_unit_test(test_no_document_takes_long_to_judge),
	};
	return cmocka_run_group_tests_name("policy", tests, set_up, tear_down);
}
