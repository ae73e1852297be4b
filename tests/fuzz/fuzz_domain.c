/* SPDX-License-Identifier: MIT */
/*
 * What a client can make of domain XML, or of a spec (an input that begins with '{'), goes the way
 * of POST /v1/vms up to the policy. What passes
 *  - passes again as what it has become, and stays that byte for byte;
 *  - is, as libvirt sees it, a QEMU command line that stays within its world (argv_oracle.h),
 *    which is asked when FUZZ_URI names a libvirt with QEMU.
 *
 * FUZZ_DONORS names directories, separated by ':', of XML to mutate with. tests/fuzz/run makes
 * the files that the seeds speak of.
 */
#include "argv_oracle.h"
#include "argv_words.h"
#include "fuzz.h"
#include "mutator.h"

#include "definition/domain_xml.h"
#include "definition/policy.h"
#include "definition/spec.h"
#include "definition/template.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

static const struct config config = {
	.templates = TEMPLATES,
	.images = "/var/lib/libvirt/images",
	.shares = "/var/lib/libvirt/fs",
	.logs = "/var/log/libvirt/qemu",
	.networks = "default,lab",
	.bridges = "virbr0",
};

static const struct argv_world world = {
	.images = "/var/lib/libvirt/images",
	.shares = "/var/lib/libvirt/fs",
	.logs = "/var/log/libvirt/qemu",
	.traps = "trap.qcow2|d.img",
};

static virConnectPtr conn;
static bool has_kvm;

static struct {
	unsigned long long inputs, passed, asked, converted;
} count;

/* What is being judged, for whoever reads why it must not be. */
static struct {
	const uint8_t *data;
	size_t size;
	const char *xml, *command;
} current;

static void violated(const char *fmt, ...) FORMAT(1, 2);
static void violated(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	(void)fprintf(stderr, "VIOLATION: ");
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fprintf(stderr, "\n--- input:\n");
	(void)fwrite(current.data, 1, current.size, stderr);
	(void)fprintf(stderr, "\n--- XML:\n%s\n--- command line:\n%s\n",
		current.xml ? current.xml : "", current.command ? current.command : "");
	abort();
}

/*
 * UUIDs and MAC addresses are then the same in each run, so that a document that has been asked
 * about is known again. The linker puts it in place of the C library's, for our own code.
 */
ssize_t __wrap_getrandom(void *to, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *to, size_t size, unsigned flags)
{
	(void)flags;
	memset(to, 0x5a, size);
	return (ssize_t)size;
}

/* Novelty: what passes, and what libvirt makes of it, is new to libFuzzer as new code would be. */

__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t novelty[1 << 14];

static uint64_t hash(const char *text)
{
	/* FNV-1a */
	uint64_t h = 0xcbf29ce484222325U;
	for (const char *s = text; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3U;
	return h;
}

static void note(const char *a, const char *b, const char *c)
{
	char text[256];
	(void)snprintf(text, sizeof text, "%s/%s/%s", a, b, c);
	novelty[hash(text) % sizeof novelty] = 1;
}

static void note_attr(const char *name, const char *value, bool foreign, void *data)
{
	(void)foreign;
	note(data, name, value);
}

/* Metadata may say anything, and so is not new. */
static void note_element(const struct xml_node *node)
{
	const struct xml_node *parent = xml_parent(node);
	char *name = (char *)(uintptr_t)xml_name(node);
	note(parent ? xml_name(parent) : "", "/", name);
	(void)xml_each_attr(node, note_attr, name);
	if (xml_is(node, "metadata"))
		return;
	for (const struct xml_node *n = xml_first(node); n; n = xml_sibling(n))
		note_element(n);
}

static void note_properties(const char *option, const char *text)
{
	AUTO_PAIRS struct pairs pairs = { 0 };
	if (!pairs_read(&pairs, "", text))
		return;
	for (size_t i = 0; i < pairs.count; i++)
		note(option, pairs.list[i].key,
			!strcmp(pairs.list[i].key, "driver") ? pairs.list[i].value : "");
}

/* Options, their properties, and drivers. */
static void note_command(const char *command)
{
	AUTO(free) char *copy = strdup(command);
	const char *option = "";
	char *word = NULL;
	for (char *rest = copy; rest && *rest;) {
		rest = argv_take_word(rest, &word);
		if (!strcmp(option, "-append"))
			; /* may say anything */
		else if (*word == '-')
			note(word, "", "");
		else
			note_properties(option, word);
		option = word;
	}
}

/* From the bytes to what passes */

static int read_spec(const char *text, size_t size, struct domain_xml *ret, struct err *err)
{
	AUTO(json_free) struct json *spec = NULL;
	AUTO(free) char *file = NULL;
	size_t len = 0;
	if (json_parse(text, size, &spec, err) < 0 ||
		field_check_object(spec_fields, spec, err) < 0)
		return -1;
	const struct json *xml = json_member(spec, "xml");
	const struct json *template = json_member(spec, "template");
	const char *from = xml ? json_get_string(xml, &len) : NULL;
	if (template && xml)
		return err_set(err, ERR_BAD_REQUEST, "both were given");
	if (template) {
		if (template_read(&config, json_get_string(template, &len), &file, &len, err) < 0)
			return -1;
		from = file;
	}
	int rc = from ? domain_xml_read(from, len, ret, err) : spec_base(spec, &ret->doc, err);
	return rc < 0 ? -1 : spec_apply(spec, xml_root(ret->doc), err);
}

static bool passes(const char *text, size_t size, struct domain_xml *ret)
{
	struct policy_report report;
	struct err err;
	int rc = size && text[0] == '{' ? read_spec(text, size, ret, &err)
					: domain_xml_read(text, size, ret, &err);
	if (rc < 0 || domain_xml_settle(ret, &config, &err) < 0)
		return false;
	return !policy_check(ret->doc, &config, &report, &err) && !report.count;
}

static void check_again(const char *once)
{
	AUTO_DOMAIN_XML struct domain_xml domain = { 0 };
	size_t size = strlen(once);
	if (size > XML_BYTES_MAX)
		return; /* escapes made it larger */
	if (!passes(once, size, &domain))
		violated("what has passed does not pass again");
	AUTO(free) char *twice = xml_text(domain.doc);
	if (!twice || strcmp(once, twice) != 0)
		violated("what has passed becomes something else: %s", twice ? twice : "");
	if (domain.warning_count)
		violated("what has passed is changed again: %s", domain.warnings[0]);
}

/* The oracle */

static bool was_seen(const char *text)
{
	static uint64_t seen[1 << 20];
	static size_t seen_count;
	uint64_t h = hash(text) | 1;
	size_t at = h % ARRAY_LEN(seen);
	while (seen[at] && seen[at] != h)
		at = (at + 1) % ARRAY_LEN(seen);
	if (seen[at])
		return true;
	if (seen_count++ > ARRAY_LEN(seen) / 2) {
		memset(seen, 0, sizeof seen);
		seen_count = 0;
	}
	seen[at] = h;
	return false;
}

/* Does libvirt make a command line of it? */
static bool ask(const char *text)
{
	char why[ARGV_WHY_SIZE] = "";
	count.asked++;
	AUTO(free) char *command = virConnectDomainXMLToNative(conn, "qemu-argv", text, 0);
	/* libvirt asks an <emulator> what it can do, and lets a <script> make its interface. */
	if (!access("/var/lib/libvirt/canary/was-run", F_OK))
		violated("libvirt ran a program");
	if (!command) {
		(void)snprintf(why, sizeof why, "%s", virGetLastErrorMessage());
		if (virConnectIsAlive(conn) != 1)
			violated("libvirt is gone: %s", why);
		return false;
	}
	count.converted++;
	current.command = command;
	note_command(command);
	if (!argv_stays_within(command, &world, why))
		violated("%s", why);
	current.command = NULL;
	return true;
}

/* What libvirt cannot do without is added, so that it has something to say about the rest. */
static void complete(struct xml_node *domain)
{
	AUTO(free) char *type = xml_attr(domain, "type");
	struct xml_node *os = xml_child(domain, "os");
	if (!type)
		(void)xml_set_attr(domain, "type", "qemu");
	if (!os)
		os = xml_add(domain, "os", NULL);
	if (os && !xml_child(os, "type"))
		(void)xml_add(os, "type", "hvm");
	if (!xml_child(domain, "memory"))
		(void)xml_add(domain, "memory", "65536");
}

static char *text_for_libvirt(struct domain_xml *domain)
{
	struct lease lease = { .conn = conn };
	struct err err;
	if (!conn)
		return NULL;
	complete(xml_root(domain->doc));
	enum accel accel = has_kvm ? ACCEL_AS_WRITTEN : ACCEL_TCG;
	return domain_xml_accelerate(domain, accel, &lease, &err) < 0 ? NULL
								      : xml_text(domain->doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_DOMAIN_XML struct domain_xml domain = { 0 };
	count.inputs++;
	if (!passes((const char *)data, size, &domain))
		return 0;
	count.passed++;
	current.data = data;
	current.size = size;
	note_element(xml_root(domain.doc));
	AUTO(free) char *once = xml_text(domain.doc);
	current.xml = once;
	check_again(once);
	if (was_seen(once))
		return 0;
	AUTO(free) char *text = text_for_libvirt(&domain);
	current.xml = text;
	if (!text || ask(text))
		mutator_remember(data, size);
	return 0;
}

/* Start and end */

static void report(void)
{
	(void)fprintf(stderr, "%llu inputs, %llu passed, %llu asked about, %llu converted\n",
		count.inputs, count.passed, count.asked, count.converted);
}

static void ignore_error(void *data, virErrorPtr error)
{
	(void)data;
	(void)error;
}

static void connect_to(const char *uri)
{
	conn = virConnectOpen(uri);
	if (!conn) {
		(void)fprintf(stderr, "%s: %s\n", uri, virGetLastErrorMessage());
		exit(1);
	}
	AUTO(free) char *caps = virConnectGetDomainCapabilities(conn, NULL, NULL, NULL, "kvm", 0);
	has_kvm = caps;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *uri = getenv("FUZZ_URI");
	const char *donors = getenv("FUZZ_DONORS");
	(void)argc;
	(void)argv;
	xml_init();
	virSetErrorFunc(NULL, ignore_error);
	mutator_load(donors ? donors : "");
	if (uri && *uri)
		connect_to(uri);
	(void)atexit(report);
	return 0;
}
