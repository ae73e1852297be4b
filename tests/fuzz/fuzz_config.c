/* SPDX-License-Identifier: MIT */
/*
 * Settings: each line is a flag, or where it begins with VIRTGATE_ a variable. What is taken is
 * within its bounds, and what is refused says which it was.
 */
#include "fuzz.h"

#include "base/config.h"
#include "base/text.h"

enum { WORDS = 32 };

static char *help_text(void)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	insist(out, "memory");
	config_help(out);
	(void)fclose(out);
	return text;
}

static void check_taken(const struct config *c)
{
	insist(c->workers >= 1 && c->workers <= 1024, "workers: %d", c->workers);
	insist(c->connections >= 1 && c->connections <= 16, "connections: %d", c->connections);
	insist(c->drain >= 0 && c->drain <= 3600, "drain: %d", c->drain);
	insist(c->accel <= ACCEL_TCG, "accel: %d", (int)c->accel);
	insist(c->anonymous <= ROLE_ADMIN, "role: %d", (int)c->anonymous);
	insist(c->policy <= POLICY_OFF, "policy: %d", (int)c->policy);
	const char *const directories[] = { c->templates, c->images, c->shares, c->logs };
	for (size_t i = 0; i < ARRAY_LEN(directories); i++)
		insist(directories[i][0] == '/', "'%s' is not absolute", directories[i]);
	const char *const texts[] = { c->listen, c->socket_group, c->uri, c->networks, c->bridges };
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		insist(texts[i], "a text is missing");
	insist(c->action != CONFIG_CONVERT || c->words, "convert has no words");
}

/* The word that an error begins with, or quotes, was said; in an error what is not UTF-8 is '?'. */
static void check_refused(const struct err *err, char *const said[], size_t count)
{
	enum { CUT = 400 };
	bool quoted = err->text[0] == '\'';
	const char *word = err->text + quoted;
	size_t n = strcspn(word, quoted ? "'" : ":' ");
	insist(err->kind == ERR_BAD_REQUEST && text_is_utf8(err->text, strlen(err->text)), "%s",
		err->text);
	for (size_t i = 0; i < count; i++) {
		AUTO(free) char *masked = strdup(said[i]);
		insist(masked, "memory");
		text_mask_malformed(masked);
		if (!strncmp(masked, word, n > CUT ? CUT : n))
			return;
	}
	insist(false, "nobody said what '%s' is about", err->text);
}

static bool is_variable(const char *word)
{
	return !strncmp(word, "VIRTGATE_", 9) && strchr(word, '=');
}

/* Returns what it takes back. */
static void set_variables(char *const said[], size_t count, bool set)
{
	for (size_t i = 0; i < count; i++) {
		const char *equals = strchr(said[i], '=');
		if (!is_variable(said[i]))
			continue;
		AUTO(free) char *name = strndup(said[i], (size_t)(equals - said[i]));
		insist(name && !(set ? setenv(name, equals + 1, 1) : unsetenv(name)), "setenv");
	}
}

static void load(char *const said[], size_t count)
{
	char program[] = "virtgate";
	char *argv[WORDS + 2] = { program };
	int argc = 1;
	struct config config;
	struct err err;
	for (size_t i = 0; i < count; i++)
		if (!is_variable(said[i]))
			argv[argc++] = said[i];
	if (config_load(&config, argc, argv, &err) < 0)
		check_refused(&err, said, count);
	else
		check_taken(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char *help;
	AUTO(free) char *text = fuzz_text(data, size);
	char *said[WORDS];
	size_t count = 0;
	for (char *rest = text; rest && count < WORDS;)
		said[count++] = strsep(&rest, "\n");
	if (!help)
		help = help_text();
	set_variables(said, count, true);
	load(said, count);
	AUTO(free) char *again = help_text();
	insist(!strcmp(help, again), "the help changes: %s", again);
	set_variables(said, count, false);
	return 0;
}
