/* SPDX-License-Identifier: MIT */
/*
 * What virtgate does to a domain document, from its bytes to the text that libvirt gets, beside
 * libxml2 alone parsing the same bytes, in turns. `bench_policy NAME` measures one document.
 *
 * Times are of this thread's processor, kernel included: what else runs on the machine counts less.
 */
#include "definition/domain_xml.h"
#include "definition/policy.h"

#include <libxml/parser.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* No document may take longer, or a few of them keep the workers busy. */
#define LIMIT_MS 50.0
#define BATCH_SECONDS 0.002
enum { ROUNDS = 100, WARM_UP = 3 };

struct document {
	const char *name;
	const char *file;
	void (*write)(FILE *out); /* one of the worst that pass the limits of size */
	bool refused;             /* by the policy; nothing before it may */
	char *text;
	size_t len;
};

/* What /var/lib/libvirt and /var/log/libvirt are elsewhere. */
static char base_dir[] = "/tmp/virtgate-bench-XXXXXX";
static char images[64], shares[64], logs[64];
static struct config config = {
	.images = images, .shares = shares, .logs = logs, .networks = "default", .bridges = "virbr0"
};

static _Noreturn void die(const char *what, const char *why)
{
	(void)fprintf(stderr, "bench_policy: %s: %s\n", what, why);
	exit(1);
}

/* The worst documents */

#define HEAD "<domain type='kvm'><name>a</name><memory>2048</memory><os><type>hvm</type></os>"
enum { HEAD_ELEMENTS = 5 };

static void repeat(FILE *out, int times, const char *text)
{
	while (times--)
		(void)fputs(text, out);
}

/* As many as may be, each to be given a MAC address, and as long as may be. */
static void write_elements(FILE *out)
{
	(void)fputs(HEAD "<devices>\n", out);
	repeat(out, XML_ELEMENTS_MAX - HEAD_ELEMENTS - 1, "<interface type='network'/>    \n");
	(void)fputs("</devices></domain>", out);
}

/* The other way round than they are put. */
static void write_order(FILE *out)
{
	static const char *const elements[] = { "<devices/>", "<pm/>", "<on_crash/>", "<clock/>",
		"<cpu/>", "<features/>", "<os/>", "<vcpu/>", "<memory/>", "<metadata/>" };
	(void)fputs("<domain>", out);
	for (size_t i = 0; i < ARRAY_LEN(elements); i++)
		repeat(out, (XML_ELEMENTS_MAX - 2) / (int)ARRAY_LEN(elements), elements[i]);
	(void)fputs("<name>a</name></domain>", out);
}

/* As many as may be, in elements of as many as these may have; HEAD has some, too. */
static void write_attributes(FILE *out)
{
	enum { EACH = XML_ELEMENT_ATTRIBUTES_MAX, SPARE = 1 };
	(void)fputs(HEAD "<metadata><m:a xmlns:m='urn:m'>", out);
	for (int i = 0; i < XML_ATTRIBUTES_MAX / EACH - SPARE; i++) {
		(void)fputs("<m:b", out);
		for (int j = 0; j < EACH; j++)
			(void)fprintf(out, " attribute-of-a-long-%d=''", j);
		(void)fputs("/>", out);
	}
	(void)fputs("</m:a></metadata></domain>", out);
}

static void write_metadata(FILE *out)
{
	(void)fputs(HEAD "<metadata><m:a xmlns:m='urn:m'>", out);
	repeat(out, XML_ELEMENTS_MAX - HEAD_ELEMENTS - 2, "<m:b c='0123456789'>text</m:b>");
	(void)fputs("</m:a></metadata></domain>", out);
}

#define ADDRESS \
	"<address type='pci' domain='0x0000' bus='0x06' slot='0x00' function='0x0' " \
	"multifunction='off'/><alias name='ua-0'/>"

/* Everything that the policy allows, as often as it does. */
static void write_devices(FILE *out)
{
	(void)fputs(HEAD "<devices>", out);
	repeat(out, 32,
		"<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none' "
		"io='threads' discard='unmap' detect_zeroes='unmap'/><source file='chain-7'/>"
		"<target dev='vda' bus='virtio'/><serial>serial</serial><boot order='1'/>" ADDRESS
		"</disk>");
	repeat(out, 64,
		"<controller type='pci' index='1' model='pcie-root-port'>"
		"<model name='pcie-root-port'/><target chassis='1' port='0x10' "
		"hotplug='off'/>" ADDRESS "</controller>");
	repeat(out, 16,
		"<interface type='network'><source network='default'/>"
		"<model type='virtio'/><driver name='vhost' txmode='iothread' ioeventfd='on' "
		"event_idx='on' queues='4'/>"
		"<link state='up'/><boot order='1'/>" ADDRESS "</interface>");
	repeat(out, 8,
		"<filesystem type='mount'><driver type='path'/><source dir='fs0'/>"
		"<target dir='fs0'/><readonly/>" ADDRESS "</filesystem>");
	repeat(out, 4,
		"<serial type='pty'><log file='a/b/c/d/e/f/g/h.log' append='on'/>"
		"<target type='isa-serial' port='0'><model name='isa-serial'/></target>" ADDRESS
		"</serial><console type='pty'><log file='a/b/c/d/e/f/g/h.log' append='on'/>"
		"<target type='serial' port='0'/>" ADDRESS "</console><channel type='unix'>"
		"<target type='virtio' name='org.qemu.guest_agent.0'/>" ADDRESS "</channel>"
		"<video><model type='virtio' vram='16384' heads='1' primary='yes'/>" ADDRESS
		"</video><rng model='virtio'><backend model='random'>/dev/urandom</backend>" ADDRESS
		"</rng>");
	repeat(out, 8, "<input type='tablet' bus='usb'>" ADDRESS "</input>");
	(void)fputs("</devices></domain>", out);
}

/* libxml2 reads 256 levels; each level indents what is written. */
static void write_nesting(FILE *out)
{
	enum { LEVELS = 250 };
	(void)fputs(HEAD "<metadata>", out);
	repeat(out, LEVELS, "<m:a xmlns:m='urn:m'>");
	repeat(out, XML_ELEMENTS_MAX - HEAD_ELEMENTS - 1 - LEVELS, "<m:b/>");
	repeat(out, LEVELS, "</m:a>");
	(void)fputs("</metadata></domain>", out);
}

/* Every byte is written as four. */
static void write_text(FILE *out)
{
	(void)fputs(HEAD "<metadata><m:a xmlns:m='urn:m'>", out);
	repeat(out, XML_BYTES_MAX - 256, ">");
	(void)fputs("</m:a></metadata></domain>", out);
}

/* Each element's prefix is the last of those declared above it, and like them up to its end. */
static void write_namespaces(FILE *out)
{
	(void)fputs(HEAD "<metadata><a", out);
	for (int i = 0; i < XML_NAMESPACES_MAX; i++)
		(void)fprintf(out, " xmlns:p%023d='u'", i);
	(void)fputs(">", out);
	for (int i = 0; i < XML_ELEMENTS_MAX - HEAD_ELEMENTS - 2; i++)
		(void)fprintf(out, "<p%023d:a/>", XML_NAMESPACES_MAX - 1);
	(void)fputs("</a></metadata></domain>", out);
}

static struct document documents[] = {
	{ "helloworld", .file = TEMPLATES "/helloworld.xml" },
	{ "virt-install-bridge", .file = CORPUS "/good/virt-install-bridge.xml" },
	{ "virsh-dumpxml-inactive", .file = CORPUS "/good/virsh-dumpxml-inactive.xml" },
	{ "worst-elements", .write = write_elements, .refused = true },
	{ "worst-order", .write = write_order, .refused = true },
	{ "worst-attributes", .write = write_attributes },
	{ "worst-metadata", .write = write_metadata },
	{ "worst-devices", .write = write_devices },
	{ "worst-nesting", .write = write_nesting },
	{ "worst-text", .write = write_text },
	{ "worst-namespaces", .write = write_namespaces },
};

/* The other documents, and the files that all of them name */

static char *replace(const char *text, const char *from, const char *to)
{
	char *out = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&out, &size);
	for (const char *at; (at = strstr(text, from)); text = at + strlen(from))
		(void)fprintf(stream, "%.*s%s", (int)(at - text), text, to);
	(void)fputs(text, stream);
	(void)fclose(stream);
	return out;
}

/* Its files of the host become ours. */
static char *read_file(const char *path)
{
	char text[XML_BYTES_MAX + 1] = "";
	FILE *in = fopen(path, "re");
	if (!in)
		die(path, "cannot be opened");
	(void)fread(text, 1, sizeof text - 1, in);
	(void)fclose(in);
	AUTO(free) char *first = replace(text, "/var/lib/libvirt/images", images);
	AUTO(free) char *second = replace(first, "/var/lib/libvirt/fs", shares);
	return replace(second, "/var/log/libvirt/qemu", logs);
}

static void make_document(struct document *document)
{
	if (document->write) {
		FILE *out = open_memstream(&document->text, &document->len);
		document->write(out);
		(void)fclose(out);
	} else {
		document->text = read_file(document->file);
		document->len = strlen(document->text);
	}
}

/* A qcow2 header of version 3, which may name a backing file. */
static void write_qcow2(const char *name, const char *backing)
{
	enum { HEADER = 104, NAME = 128 };
	char path[128];
	unsigned char h[512] = "QFI\xfb\0\0\0\3";
	h[23] = 16;
	h[103] = HEADER;
	if (backing) {
		h[15] = NAME;
		h[19] = (unsigned char)strlen(backing);
		memcpy(h + HEADER, "\xe2\x79\x2a\xca\0\0\0\5qcow2", 13);
		memcpy(h + NAME, backing, strlen(backing));
	}
	(void)snprintf(path, sizeof path, "%s/%s", images, name);
	FILE *out = fopen(path, "we");
	if (!out || fwrite(h, 1, sizeof h, out) != sizeof h || fclose(out) != 0)
		die(path, "cannot be written");
}

static void make_files(void)
{
	char share[80];
	if (!mkdtemp(base_dir))
		die(base_dir, "cannot be made");
	(void)snprintf(images, sizeof images, "%s/images", base_dir);
	(void)snprintf(shares, sizeof shares, "%s/fs", base_dir);
	(void)snprintf(logs, sizeof logs, "%s/logs", base_dir);
	(void)snprintf(share, sizeof share, "%s/fs0", shares);
	if (mkdir(images, 0700) || mkdir(shares, 0700) || mkdir(share, 0700) || mkdir(logs, 0700))
		die(base_dir, "cannot be filled");
	write_qcow2("linux.qcow2", NULL);
	write_qcow2("hello_qemu-x86_64", NULL);
	for (int i = 0; i < 8; i++) {
		char name[16];
		char backing[16];
		(void)snprintf(name, sizeof name, "chain-%d", i);
		(void)snprintf(backing, sizeof backing, "chain-%d", i - 1);
		write_qcow2(name, i ? backing : NULL);
	}
}

static void remove_files(void)
{
	char command[128];
	(void)snprintf(command, sizeof command, "rm -rf '%s'", base_dir);
	(void)system(command);
}

/* The measurement */

static void parse(const struct document *document)
{
	xmlDoc *doc =
		xmlReadMemory(document->text, (int)document->len, NULL, NULL, XML_PARSE_NONET);
	if (!doc)
		die(document->name, "libxml2 does not read it");
	xmlFreeDoc(doc);
}

/* As a handler goes; what is refused does not reach libvirt. */
static void judge(const struct document *document)
{
	AUTO_DOMAIN_XML struct domain_xml domain = { 0 };
	struct policy_report report;
	struct err err;
	if (domain_xml_read(document->text, document->len, &domain, &err) < 0 ||
		domain_xml_settle(&domain, &config, &err) < 0 ||
		policy_check(domain.doc, &config, &report, &err) < 0)
		die(document->name, err.text);
	AUTO(free) char *text = report.count ? NULL : xml_text(domain.doc);
	if (document->refused != !text)
		die(document->name, text ? "it was accepted" : report.found[0].path);
}

static double seconds(
	void (*f)(const struct document *), const struct document *document, int times)
{
	struct timespec a, b;
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	for (int i = 0; i < times; i++)
		f(document);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	return (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) * 1e-9;
}

/* The first finds caches and heap as something else has left them, the next ones as it did. */
struct sample {
	double first, next; /* seconds */
};

static struct sample sample(
	void (*f)(const struct document *), const struct document *document, int times)
{
	double first = seconds(f, document, 1);
	return (struct sample){ first, seconds(f, document, times) / times };
}

/* Name, unit, value, and the reference's name and value. */
static void measure(const struct document *document, int times, bool reference_first)
{
	struct sample reference = { 0 };
	if (reference_first)
		reference = sample(parse, document, times);
	struct sample subject = sample(judge, document, times);
	if (!reference_first)
		reference = sample(parse, document, times);
	(void)printf("policy/%s\tdocuments/s\t%.1f\tlibxml2 parse\t%.1f\n", document->name,
		1 / subject.next, 1 / reference.next);
	if (document->write)
		(void)printf("policy/%s\tms\t%.3f\tlimit\t%.0f\n", document->name,
			subject.first * 1000, LIMIT_MS);
}

/* So many in a row that the clock does not count. */
static int batch(const struct document *document)
{
	(void)seconds(judge, document, WARM_UP);
	return (int)(BATCH_SECONDS / seconds(judge, document, 1)) + 1;
}

int main(int argc, char *argv[])
{
	int times[ARRAY_LEN(documents)] = { 0 };
	xml_init();
	make_files();
	(void)atexit(remove_files);
	for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
		if (argc > 1 && strcmp(argv[1], documents[i].name) != 0)
			continue;
		make_document(&documents[i]);
		times[i] = batch(&documents[i]);
	}
	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < ARRAY_LEN(documents); i++)
			if (times[i])
				measure(&documents[i], times[i], round % 2);
	return 0;
}
