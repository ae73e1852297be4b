/* SPDX-License-Identifier: MIT */
/*
 * XML: a <domainsnapshot> as the body of a request that makes one, labels as libvirt has them, and
 * for what is neither the reading alone. What is read is printed and read again as the same.
 */
#include "fuzz.h"

#include "base/text.h"
#include "definition/metadata.h"
#include "definition/policy.h"
#include "format/json.h"
#include "vm/snapshot.h"

static const struct config config = {
	.images = "/var/lib/libvirt/images",
	.shares = "/var/lib/libvirt/fs",
	.logs = "/var/log/libvirt/qemu",
	.networks = "default",
	.bridges = "virbr0",
};

static const struct snapshot_request request = {
	.uuid = "00112233-4455-5677-8899-aabbccddeeff",
	.body = "00112233445566778899aabbccddeeff",
};

static void check_error(const struct err *err)
{
	insist(err_status(err->kind) == 422 || err_status(err->kind) == 413, "%s: %s",
		err_code(err->kind), err->text);
	insist(err->text[0] && text_is_utf8(err->text, strlen(err->text)), "an error's text");
	insist(err->line >= 0 && err->column >= 0, "line %d, column %d", err->line, err->column);
}

static void print_and_read_again(const struct xml *doc)
{
	AUTO(xml_free) struct xml *again = NULL;
	AUTO(free) char *once = xml_text(doc);
	struct err err;
	insist(once, "it cannot be printed");
	insist(!xml_parse_trusted(once, &again, &err), "%s: %s", err.private, once);
	AUTO(free) char *twice = xml_text(again);
	insist(twice && !strcmp(once, twice), "%s became %s", once, twice ? twice : "nothing");
}

static void read_document(const char *text, size_t size)
{
	AUTO(xml_free) struct xml *doc = NULL;
	struct err err;
	if (xml_parse(text, size, "XML", &doc, &err) < 0) {
		check_error(&err);
		return;
	}
	print_and_read_again(doc);
	AUTO(json_free) struct json *labels = metadata_labels(xml_root(doc));
	insist(json_length(labels) <= METADATA_LABELS_MAX, "%zu labels", json_length(labels));
	metadata_drop_claims(xml_root(doc));
	char hash[HASH_SIZE] = "x";
	metadata_get_request(xml_root(doc), hash);
	insist(!hash[0], "a claim is left: %s", hash);
	AUTO(free) char *element = NULL;
	if (!metadata_element(xml_root(doc), &element, &err) && element) {
		struct labels *own = NULL;
		insist(!metadata_read_labels(element, &own, &err), "%s: %s", err.private, element);
		labels_give(own);
	}
}

static void read_labels(const char *text)
{
	struct labels *labels = NULL;
	struct err err;
	if (metadata_read_labels(text, &labels, &err) < 0)
		return;
	for (size_t i = 0; labels && i < labels->count; i++)
		insist(strlen(labels->label[i].name) + strlen(labels->label[i].text) <=
				strlen(text),
			"a label is longer than all that was read");
	labels_give(labels);
}

static void read_snapshot(const char *text, size_t size)
{
	AUTO(xml_free) struct xml *doc = NULL;
	struct policy_report report;
	struct err err;
	if (snapshot_xml_parse(text, size, &request, &doc, &err) < 0) {
		check_error(&err);
		return;
	}
	insist(!policy_check(doc, &config, &report, &err), "memory");
	for (size_t i = 0; i < report.count; i++)
		insist(report.found[i].path[0] == '/' && report.found[i].rule[0], "a violation");
	if (report.count)
		return;
	insist(xml_child(xml_root(doc), "name"), "it has no name");
	insist(!xml_find(xml_root(doc), "domain"), "it holds a domain");
	print_and_read_again(doc);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	xml_init();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(free) char *text = fuzz_text(data, size);
	read_document((const char *)data, size);
	read_snapshot((const char *)data, size);
	read_labels(text);
	return 0;
}
