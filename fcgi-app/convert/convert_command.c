/* SPDX-License-Identifier: MIT */
#include "convert/convert_command.h"

#include "base/shell_words.h"
#include "base/text.h"
#include "convert/convert.h"

#include <stdio.h>
#include <string.h>

static int print_error(const struct err *err)
{
	(void)fprintf(stderr, "virtgate: %s%s%s\n", err->text, err->hint[0] ? "; " : "", err->hint);
	return EXIT_FAILURE;
}

static void print_items(const struct conversion *made)
{
	for (size_t i = 0; i < made->argv.item_count; i++) {
		const struct qemu_item *item = &made->argv.items[i];
		const char *value = item->property[0] ? item->property : item->value;
		(void)fprintf(stderr, "%-8s -%s%s%s: %s\n", qemu_outcome_name(item->outcome),
			item->option, value ? " " : "", value ? value : "", item->text);
	}
	for (size_t i = 0; i < made->report.count; i++)
		(void)fprintf(stderr, "refused  %s '%s': %s\n", made->report.found[i].path,
			made->report.found[i].value, made->report.found[i].rule);
}

static int print_result(struct conversion *made, bool spec, struct err *err)
{
	AUTO(free) char *text = NULL;
	size_t len = 0;
	if (spec && json_text(made->spec, &text, &len, err) < 0)
		return -1;
	(void)printf("%s%s", spec ? text : made->xml, spec ? "\n" : "");
	for (size_t i = 0; spec && i < made->lack_count; i++)
		(void)fprintf(stderr, "warning  the spec lacks: %s\n", made->lacks[i]);
	return 0;
}

static int convert_words(const struct config *config, const struct shell_words *words, bool spec)
{
	struct err err;
	__attribute__((cleanup(conversion_done))) struct conversion made = { 0 };
	if (convert_qemu_argv(config, true, words->word, words->count, &made, &err) < 0 ||
		print_result(&made, spec, &err) < 0)
		return print_error(&err);
	print_items(&made);
	return made.report.count ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* A command line from standard input, as a shell would read it. */
static int read_stdin(struct shell_words *ret, struct err *err)
{
	AUTO(free) char *text = malloc(SHELL_WORDS_BYTES_MAX + 2);
	if (!text)
		return err_memory(err);
	return shell_words_split(text, fread(text, 1, SHELL_WORDS_BYTES_MAX + 1, stdin), ret, err);
}

int convert_command(const struct config *config)
{
	struct err err;
	bool spec = false;
	char *const *word = config->words;
	__attribute__((cleanup(shell_words_done))) struct shell_words words = { 0 };
	if (!*word || strcmp(*word++, "qemu-argv") != 0) {
		(void)err_set(&err, ERR_BAD_REQUEST,
			"convert: name what to convert; virtgate can convert qemu-argv");
		return print_error(&err);
	}
	for (; *word && text_is_word("--spec|--options|--", '|', *word); word++) {
		if (!strcmp(*word, "--options")) {
			qemu_argv_print(stdout);
			return EXIT_SUCCESS;
		}
		if (!strcmp(*word, "--")) {
			word++;
			break;
		}
		spec = true;
	}
	for (; *word && words.count < SHELL_WORDS_MAX; word++)
		words.word[words.count++] = *word;
	if (!words.count && read_stdin(&words, &err) < 0)
		return print_error(&err);
	return convert_words(config, &words, spec);
}
