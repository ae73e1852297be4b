/* SPDX-License-Identifier: MIT */
#include "argv_oracle.h"

#include "argv_table.h"
#include "argv_words.h"
#include "base/text.h"

#include <ctype.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct judge {
	const struct argv_world *world;
	char *why;
	/* Block nodes whose file is a trap: fine as raw data, but not as an image. */
	char trapped[64][64];
	size_t trapped_count;
};

static bool refuse(const struct judge *judge, const char *fmt, ...) FORMAT(2, 3);
static bool refuse(const struct judge *judge, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(judge->why, ARGV_WHY_SIZE, fmt, args);
	va_end(args);
	return false;
}

/* Values */

static bool is_label(const char *value)
{
	for (const char *s = value; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("._+-:", *s))
			return false;
	return *value;
}

static bool is_number(const char *value)
{
	const char *s = value + (*value == '-');
	bool digit = isdigit((unsigned char)*s);
	while (isalnum((unsigned char)*s))
		s++;
	return digit && !*s;
}

static bool is_pattern(const char *patterns, const char *value)
{
	char pattern[128];
	for (size_t n; *patterns; patterns += n + (patterns[n] == '|')) {
		n = strcspn(patterns, "|");
		(void)snprintf(pattern, sizeof pattern, "%.*s", (int)n, patterns);
		if (!fnmatch(pattern, value, FNM_PATHNAME | FNM_NOESCAPE))
			return true;
	}
	return false;
}

static bool climbs(const char *path)
{
	const char *s = strstr(path, "/..");
	while (s && s[3] && s[3] != '/')
		s = strstr(s + 3, "/..");
	return s;
}

/* Where a path leads; of one that does not exist (yet) the directories that do. */
static bool resolve(const char *path, char ret[static PATH_MAX])
{
	char dir[PATH_MAX];
	(void)snprintf(dir, sizeof dir, "%s", path);
	while (!realpath(dir, ret)) {
		char *slash = strrchr(dir, '/');
		if (!slash || slash == dir)
			return false;
		*slash = '\0';
	}
	size_t n = strlen(ret);
	const char *rest = path + strlen(dir);
	return !climbs(rest) && snprintf(ret + n, PATH_MAX - n, "%s", rest) < PATH_MAX - (int)n;
}

static bool is_beneath(const char *directory, const char *path)
{
	char root[PATH_MAX];
	char real[PATH_MAX];
	if (path[0] != '/' || !resolve(directory, root) || !resolve(path, real))
		return false;
	size_t n = strlen(root);
	return !strncmp(root, real, n) && real[n] == '/' && real[n + 1];
}

static bool is_beneath_one(const struct argv_world *world, const char *names, const char *path)
{
	const struct {
		const char *name, *directory;
	} places[] = {
		{ "images", world->images },
		{ "shares", world->shares },
		{ "logs", world->logs },
		{ "firmware", "/usr/share" },
		{ "nvram", "/var/lib/libvirt/qemu/nvram" },
	};
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (text_is_word(names, '|', places[i].name) &&
			is_beneath(places[i].directory, path))
			return true;
	return false;
}

static bool is_loopback(const char *value)
{
	static const char *const hosts[] = { "127.0.0.1:", "[::1]:" };
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		size_t n = strlen(hosts[i]);
		if (!strncmp(value, hosts[i], n))
			return is_number(value + n);
	}
	return false;
}

static bool is_allowed(
	const struct argv_world *world, const struct argv_row *row, const char *value)
{
	switch (row->judgement) {
	case FREE:
		return true;
	case LABEL:
		return is_label(value);
	case NUMBER:
		return is_number(value);
	case SWITCH:
		return text_is_word("on|off|true|false", '|', value);
	case WORDS:
		return text_is_word(row->arg, '|', value);
	case PATTERN:
		return is_pattern(row->arg, value);
	case BENEATH:
		return is_beneath_one(world, row->arg, value);
	case LOOPBACK:
		return is_loopback(value);
	}
	return false;
}

static bool judge_value(
	const struct judge *judge, const char *option, const char *key, const char *value)
{
	bool known = false;
	for (const struct argv_row *row = argv_rows; row->option; row++) {
		bool any = !strcmp(row->key, "*") && is_label(key);
		if (strcmp(row->option, option) != 0 || (!any && strcmp(row->key, key) != 0))
			continue;
		if (is_allowed(judge->world, row, value))
			return true;
		known = true;
	}
	return refuse(judge, "%s %s='%.200s' is not %s", option, key, value,
		known ? "allowed" : "known to be harmless");
}

/* An image format reads the header of its file, and opens what that names. */
static bool judge_node(struct judge *judge, const struct pairs *pairs)
{
	const char *name = strrchr(pairs_find(pairs, "filename"), '/');
	bool raw = text_is_word("file|raw", '|', pairs_find(pairs, "driver"));
	bool trapped = name && text_is_word(judge->world->traps, '|', name + 1);
	for (size_t i = 0; i < judge->trapped_count; i++)
		trapped = trapped || !strcmp(judge->trapped[i], pairs_find(pairs, "file"));
	if (!trapped)
		return true;
	if (!raw || judge->trapped_count == ARRAY_LEN(judge->trapped))
		return refuse(judge, "-blockdev '%s' follows a header that leads out",
			pairs_find(pairs, "node-name"));
	(void)snprintf(judge->trapped[judge->trapped_count++], sizeof judge->trapped[0], "%s",
		pairs_find(pairs, "node-name"));
	return true;
}

static bool judge_properties(
	struct judge *judge, const struct argv_option *option, const char *text)
{
	AUTO_PAIRS struct pairs pairs = { 0 };
	if (!pairs_read(&pairs, option->first, text))
		return refuse(judge, "%s '%.200s' cannot be read", option->name, text);
	for (size_t i = 0; i < pairs.count; i++)
		if (!judge_value(judge, option->name, pairs.list[i].key, pairs.list[i].value))
			return false;
	return strcmp(option->name, "-blockdev") != 0 || judge_node(judge, &pairs);
}

static bool judge_option(struct judge *judge, const char *name, char **rest)
{
	char *value = NULL;
	const struct argv_option *option = argv_options;
	while (option->name && strcmp(option->name, name) != 0)
		option++;
	if (!option->name)
		return refuse(judge, "'%.200s' is no option that is known to be harmless", name);
	if (option->form == ALONE)
		return true;
	*rest = argv_take_word(*rest, &value);
	return option->form == WHOLE ? judge_value(judge, name, "", value)
				     : judge_properties(judge, option, value);
}

bool argv_stays_within(
	const char *command, const struct argv_world *world, char why[static ARGV_WHY_SIZE])
{
	AUTO(free) char *copy = strdup(command);
	struct judge judge = { .world = world, .why = why };
	bool emulator = false;
	char *word = NULL;
	for (char *rest = copy; rest && *rest;) {
		rest = argv_take_word(rest, &word);
		char *equals = emulator ? NULL : strchr(word, '=');
		if (equals)
			*equals = '\0';
		bool harmless = equals ? judge_value(&judge, "environment", word, equals + 1)
			: emulator     ? judge_option(&judge, word, &rest)
				       : judge_value(&judge, "emulator", "", word);
		if (!harmless)
			return false;
		emulator = emulator || !equals;
	}
	return emulator || refuse(&judge, "no program is run");
}
