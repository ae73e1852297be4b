/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "base/shell_words.h"
#include "base/text.h"
#include "convert/convert.h"

#include <stdio.h>
#include <string.h>

const struct field api_convert_fields[] = {
	{ "argv", .type = FIELD_TEXTS, .min = SHELL_WORDS_BYTES_MAX, .max = SHELL_WORDS_MAX },
	{ 0 },
};

/* An option as it was written, with its value or the one property that the item is about. */
static struct json *option_text(const void *data, const void *context)
{
	const struct qemu_item *item = data;
	const char *value = item->property[0] ? item->property : item->value;
	char text[512];
	(void)context;
	(void)snprintf(text, sizeof text, "-%.64s%s%.400s", item->option, value ? " " : "",
		value ? value : "");
	text_mask_malformed(text);
	return json_string(text);
}

static struct json *unmapped_options(const void *data, const void *context)
{
	const struct qemu_argv *argv = &((const struct conversion *)data)->argv;
	struct json *unmapped = json_new_array();
	for (size_t i = 0; i < argv->item_count; i++)
		if (argv->items[i].outcome == QEMU_UNMAPPED)
			json_push(unmapped, option_text(&argv->items[i], context));
	return unmapped;
}

static const struct field option_fields[] = {
	{ "option", .type = FIELD_TEXT, .get = option_text, .example = "\"-m 64\"" },
	{ "outcome", .type = FIELD_WORD, FROM(struct qemu_item, outcome),
		.words = QEMU_OUTCOME_NAMES },
	{ "detail", .type = FIELD_TEXT, FROM(struct qemu_item, text),
		.says = "what the option became, or why it was not kept" },
	{ 0 },
};

const struct field api_convert_answer[] = {
	{ "xml", .type = FIELD_TEXT, FROM(struct conversion, xml),
		.says = "the result as domain XML" },
	{ "spec", .type = FIELD_FREE, FROM(struct conversion, spec),
		.says = "the result as a spec, as far as a spec can express it" },
	{ "spec_lacks", .type = FIELD_TEXTS, FROM_LIST(struct conversion, lacks, lack_count),
		.says = "what is in xml and cannot be expressed in a spec" },
	{ "options", .type = FIELD_LIST, .of = option_fields,
		FROM_LIST(struct conversion, argv.items, argv.item_count) },
	{ "unmapped", .type = FIELD_TEXTS, .get = unmapped_options,
		.says = "options that were not kept" },
	{ "violations", .type = FIELD_LIST, .of = api_violation_fields,
		FROM_LIST(struct conversion, report.found, report.count),
		.says = "what the policy refuses; files are looked at for admins alone" },
	{ 0 },
};

/* The command line is text, which is split like in a shell, or words in JSON. */
static int read_words(const struct api_call *call, struct shell_words *ret, struct err *err)
{
	const struct arg *text = api_arg(call, "text");
	const struct json *argv = call->body ? json_member(call->body, "argv") : NULL;
	size_t len = 0;
	if (text)
		return shell_words_split(text->text, text->len, ret, err);
	if (!argv)
		return err_set(err, ERR_BAD_REQUEST,
			"the body is missing: send a command line as text, or {\"argv\":[…]}");
	*ret = (struct shell_words){ .count = json_length(argv) };
	for (size_t i = 0; i < ret->count; i++)
		ret->word[i] = json_get_string(json_item(argv, i), &len);
	return 0;
}

int api_convert_qemu_argv(struct api_call *call, struct api_reply *reply, struct err *err)
{
	__attribute__((cleanup(shell_words_done))) struct shell_words words = { 0 };
	__attribute__((cleanup(conversion_done))) struct conversion conversion = { 0 };
	/* Whoever may not create a VM does not learn which files the host has. */
	bool files = call->role >= ROLE_ADMIN;
	if (read_words(call, &words, err) < 0 ||
		convert_qemu_argv(
			call->api->config, files, words.word, words.count, &conversion, err) < 0)
		return -1;
	return api_reply_answer(call, &conversion, reply, err);
}
