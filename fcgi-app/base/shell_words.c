/* SPDX-License-Identifier: MIT */
#include "base/shell_words.h"

#include "base/text.h"

#include <string.h>

struct reader {
	const char *text, *at, *end;
	char *out;
	struct err *err;
};

/* Sets the error, with the place where the reader is. */
static int words_refuse(const struct reader *r, const char *what)
{
	int line = 1;
	const char *start = r->text;
	for (const char *p = r->text; p < r->at; p++) {
		if (*p == '\n') {
			line++;
			start = p + 1;
		}
	}
	(void)err_set(r->err, ERR_INVALID_SPEC, "command line: %s at line %d, column %d", what,
		line, (int)(r->at - start) + 1);
	r->err->line = line;
	r->err->column = (int)(r->at - start) + 1;
	return -1;
}

static int read_single_quoted(struct reader *r)
{
	const char *close = memchr(r->at + 1, '\'', (size_t)(r->end - r->at - 1));
	if (!close)
		return words_refuse(r, "a ' is never closed");
	size_t n = (size_t)(close - r->at - 1);
	memcpy(r->out, r->at + 1, n);
	r->out += n;
	r->at = close + 1;
	return 0;
}

/* At a backslash: the next character loses its meaning; a line end is removed. */
static void read_escape(struct reader *r, const char *escapable)
{
	if (r->at + 1 == r->end || (escapable && !strchr(escapable, r->at[1]))) {
		*r->out++ = *r->at++;
		return;
	}
	if (r->at[1] != '\n')
		*r->out++ = r->at[1];
	r->at += 2;
}

static int refuse_expansion(const struct reader *r)
{
	return words_refuse(r,
		*r->at == '$' ? "a shell would put a variable's value here ($)"
			      : "a shell would run a command here (`)");
}

static int read_double_quoted(struct reader *r)
{
	const struct reader open = *r;
	for (r->at++; r->at < r->end && *r->at != '"';) {
		if (*r->at == '$' || *r->at == '`')
			return refuse_expansion(r);
		if (*r->at == '\\')
			read_escape(r, "$`\"\\\n");
		else
			*r->out++ = *r->at++;
	}
	if (r->at == r->end)
		return words_refuse(&open, "a \" is never closed");
	r->at++;
	return 0;
}

static int read_word(struct reader *r)
{
	while (r->at < r->end && !strchr(" \t\r\n", *r->at)) {
		if (*r->at == '\'') {
			if (read_single_quoted(r) < 0)
				return -1;
		} else if (*r->at == '"') {
			if (read_double_quoted(r) < 0)
				return -1;
		} else if (*r->at == '\\') {
			read_escape(r, NULL);
		} else if (*r->at == '$' || *r->at == '`') {
			return refuse_expansion(r);
		} else if (strchr(";|&<>()", *r->at)) {
			return words_refuse(r, "a shell's operator ends the command");
		} else {
			*r->out++ = *r->at++;
		}
	}
	*r->out++ = '\0';
	return 0;
}

/*
 * Skips blanks, comments and continued lines; false: the text ends. *ret_line_ended becomes true at
 * a line end, which ends the command.
 */
static bool find_word(struct reader *r, bool *ret_line_ended)
{
	while (r->at < r->end) {
		*ret_line_ended = *ret_line_ended || *r->at == '\n';
		if (strchr(" \t\r\n", *r->at))
			r->at++;
		else if (r->end - r->at >= 2 && r->at[0] == '\\' && r->at[1] == '\n')
			r->at += 2;
		else if (*r->at == '#')
			while (r->at < r->end && *r->at != '\n')
				r->at++;
		else
			return true;
	}
	return false;
}

int shell_words_split(const char *text, size_t len, struct shell_words *ret, struct err *err)
{
	if (len > SHELL_WORDS_BYTES_MAX)
		return err_set(err, ERR_BODY_TOO_LARGE,
			"command line: %zu bytes are more than the %d allowed", len,
			SHELL_WORDS_BYTES_MAX);
	if (!text_is_utf8(text, len))
		return err_set(err, ERR_INVALID_SPEC,
			"command line: it must be UTF-8 without NUL characters");
	/* Each word's terminator takes the place of the blank behind it, or of the text's end. */
	AUTO(free) char *memory = malloc(len + 1);
	if (!memory)
		return err_memory(err);
	struct shell_words words = { 0 };
	struct reader r = { text, text, text + len, memory, err };
	for (bool ended = false; find_word(&r, &ended); ended = false) {
		if (ended && words.count)
			return words_refuse(
				&r, "a second command begins (a line goes on after a \\)");
		if (words.count == SHELL_WORDS_MAX)
			return err_set(err, ERR_INVALID_SPEC,
				"command line: it has more than %d words", SHELL_WORDS_MAX);
		words.word[words.count++] = r.out;
		if (read_word(&r) < 0)
			return -1;
	}
	words.memory = TAKE(memory);
	*ret = words;
	return 0;
}

void shell_words_done(struct shell_words *words)
{
	free(words->memory);
}
