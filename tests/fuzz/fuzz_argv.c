/* SPDX-License-Identifier: MIT */
/*
 * QEMU command lines, as a shell would read them. What comes out is a spec that its fields allow
 * (convert_qemu_argv() checks that) and a document that the policy judges as it was judged here.
 */
#include "fuzz.h"

#include "base/shell_words.h"
#include "base/text.h"
#include "convert/convert.h"

static const struct config config = {
	.images = "/var/lib/libvirt/images",
	.shares = "/var/lib/libvirt/fs",
	.logs = "/var/log/libvirt/qemu",
	.networks = "default",
	.bridges = "virbr0",
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	xml_init();
	return 0;
}

static void judge_again(const struct conversion *made)
{
	AUTO_DOMAIN_XML struct domain_xml domain = { 0 };
	struct policy_report report;
	struct err err;
	insist(!domain_xml_read(made->xml, strlen(made->xml), &domain, &err), "it cannot be read");
	insist(!domain_xml_settle(&domain, &config, &err), "it cannot be settled");
	insist(!policy_check(domain.doc, &config, &report, &err), "memory");
	insist(report.count == made->report.count, "it is judged differently");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	__attribute__((cleanup(shell_words_done))) struct shell_words words = { 0 };
	__attribute__((cleanup(conversion_done))) struct conversion made = { 0 };
	struct err err;
	if (shell_words_split((const char *)data, size, &words, &err) < 0 ||
		convert_qemu_argv(&config, true, words.word, words.count, &made, &err) < 0) {
		insist(text_is_utf8(err.text, strlen(err.text)), "an error is not UTF-8");
		return 0;
	}
	for (size_t i = 0; i < made.argv.item_count; i++)
		insist(made.argv.items[i].text[0], "an option has no outcome");
	judge_again(&made);
	return 0;
}
