/* SPDX-License-Identifier: MIT */
#include "argv_words.h"

#include "format/json.h"

#include <stdio.h>
#include <string.h>

char *argv_take_word(char *s, char **ret)
{
	char *to = s;
	*ret = s;
	for (bool quoted = false; *s && (quoted || *s != ' '); s++) {
		if (*s == '\'')
			quoted = !quoted;
		else if (*s == '\\' && !quoted && s[1])
			*to++ = *++s;
		else
			*to++ = *s;
	}
	char *next = *s ? s + 1 : s;
	*to = '\0';
	return next;
}

void pairs_done(struct pairs *pairs)
{
	for (size_t i = 0; i < pairs->count; i++) {
		free(pairs->list[i].key);
		free(pairs->list[i].value);
	}
}

static bool add_pair(struct pairs *pairs, const char *key, const char *value)
{
	AUTO(free) char *k = strdup(key);
	AUTO(free) char *v = strdup(value);
	if (!k || !v || pairs->count == PAIRS_MAX)
		return false;
	pairs->list[pairs->count++] = (struct pair){ TAKE(k), TAKE(v) };
	return true;
}

const char *pairs_find(const struct pairs *pairs, const char *key)
{
	for (size_t i = 0; i < pairs->count; i++)
		if (!strcmp(pairs->list[i].key, key))
			return pairs->list[i].value;
	return "";
}

/* One word up to the next comma; two commas are one of the word's own. */
static const char *take_item(const char *s, char *ret)
{
	for (; *s; s++) {
		if (*s == ',' && *++s != ',')
			break;
		*ret++ = *s;
	}
	*ret = '\0';
	return s;
}

static bool read_list(struct pairs *pairs, const char *first, const char *text)
{
	AUTO(free) char *word = malloc(strlen(text) + 1);
	if (!word)
		return false;
	for (const char *s = text; *s; first = NULL) {
		s = take_item(s, word);
		char *equals = strchr(word, '=');
		if (equals)
			*equals++ = '\0';
		bool added = equals ? add_pair(pairs, word, equals)
			: first     ? add_pair(pairs, first, word)
				    : add_pair(pairs, word, "on");
		if (!added)
			return false;
	}
	return true;
}

struct flatten {
	struct pairs *pairs;
	char key[256];
};

static int flatten_member(const char *name, const struct json *value, void *data);

static bool flatten(struct flatten *at, const struct json *value)
{
	char number[24];
	const char *text = NULL;
	size_t len = 0;
	switch (json_kind_of(value)) {
	case JSON_IS_NULL:
		return add_pair(at->pairs, at->key, "null");
	case JSON_IS_BOOL:
		return add_pair(at->pairs, at->key, json_get_bool(value) ? "true" : "false");
	case JSON_IS_INT:
		(void)snprintf(number, sizeof number, "%lld", (long long)json_get_int(value));
		return add_pair(at->pairs, at->key, number);
	case JSON_IS_STRING:
		text = json_get_string(value, &len);
		return strlen(text) == len && add_pair(at->pairs, at->key, text);
	case JSON_IS_ARRAY:
		for (size_t i = 0; i < json_length(value); i++)
			if (!flatten(at, json_item(value, i)))
				return false;
		return true;
	case JSON_IS_OBJECT:
		return !json_each(value, flatten_member, at);
	case JSON_IS_NUMBER:
		break;
	}
	return false;
}

static int flatten_member(const char *name, const struct json *value, void *data)
{
	struct flatten *at = data;
	size_t n = strlen(at->key);
	(void)snprintf(at->key + n, sizeof at->key - n, "%s%s", n ? "." : "", name);
	bool flat = flatten(at, value);
	at->key[n] = '\0';
	return flat ? 0 : -1;
}

static bool read_json(struct pairs *pairs, const char *text)
{
	struct flatten at = { .pairs = pairs };
	struct err err;
	AUTO(json_free) struct json *json = NULL;
	return !json_parse(text, strlen(text), &json, &err) && flatten(&at, json);
}

bool pairs_read(struct pairs *pairs, const char *first, const char *text)
{
	return text[0] == '{' ? read_json(pairs, text) : read_list(pairs, first, text);
}
