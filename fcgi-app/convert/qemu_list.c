/* SPDX-License-Identifier: MIT */
#include "convert/qemu_list.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

static int refuse_length(struct err *err)
{
	return err_set(err, ERR_INVALID_SPEC, "command line: an option has more than %d properties",
		QEMU_LIST_MAX);
}

static int add_item(struct qemu_list *list, const char *key, const char *value, struct err *err)
{
	if (list->count == QEMU_LIST_MAX)
		return refuse_length(err);
	list->item[list->count].key = key;
	list->item[list->count++].value = value;
	return 0;
}

/* Ends the value at s, undoubles its commas, and returns where the next item starts, or NULL. */
static char *end_value(char *s)
{
	char *out = s;
	for (; *s; s++) {
		if (*s == ',' && s[1] != ',') {
			*out = '\0';
			return s + 1;
		}
		*out++ = *s;
		s += *s == ',';
	}
	*out = '\0';
	return NULL;
}

static int parse_text(struct qemu_list *list, const char *first, struct err *err)
{
	static const char on[] = "on";
	static const char off[] = "off";
	for (char *s = list->memory, *next; s; s = next) {
		bool leads = s == list->memory;
		char *equals = s + strcspn(s, "=,");
		if (*equals == '=') {
			*equals = '\0';
			next = end_value(equals + 1);
			if (add_item(list, s, equals + 1, err) < 0)
				return -1;
			continue;
		}
		next = end_value(s);
		if (!*s)
			continue;
		bool no = !strncmp(s, "no", 2) && s[2];
		if (leads && first) {
			if (add_item(list, first, s, err) < 0)
				return -1;
			continue;
		}
		if (add_item(list, no ? s + 2 : s, no ? off : on, err) < 0)
			return -1;
		list->item[list->count - 1].flag = true;
	}
	return 0;
}

/* JSON is flattened into the memory of the list: each key, then its value, with terminators. */
struct flatten {
	struct qemu_list *list;
	char *out, *end;
	char path[128];
	struct err *err;
};

static const char *keep_text(struct flatten *f, const char *text)
{
	size_t n = strlen(text) + 1;
	if ((size_t)(f->end - f->out) < n)
		return NULL;
	char *at = memcpy(f->out, text, n);
	f->out += n;
	return at;
}

static const char *scalar_text(const struct json *value, char *number, size_t size)
{
	if (json_kind_of(value) == JSON_IS_BOOL)
		return json_get_bool(value) ? "on" : "off";
	return json_scalar_text(value, number, size);
}

static int flatten_member(const char *name, const struct json *value, void *data)
{
	struct flatten *f = data;
	char number[24];
	size_t n = strlen(f->path);
	(void)snprintf(f->path + n, sizeof f->path - n, "%s%s", n ? "." : "", name);
	int rc = 0;
	if (json_kind_of(value) == JSON_IS_OBJECT) {
		rc = json_each(value, flatten_member, f);
	} else {
		const char *text = scalar_text(value, number, sizeof number);
		if (text && !text_is_xml(text))
			return err_set(f->err, ERR_INVALID_SPEC,
				"command line: %s has a control character", f->path);
		const char *kept = keep_text(f, f->path);
		const char *kept_value = kept ? keep_text(f, text ? text : "") : NULL;
		rc = kept_value ? add_item(f->list, kept, kept_value, f->err)
				: refuse_length(f->err);
	}
	f->path[n] = '\0';
	return rc;
}

static int parse_json(struct qemu_list *list, const char *text, struct err *err)
{
	enum { ROOM = 16 }; /* a path repeats the names above it */
	AUTO(json_free) struct json *value = NULL;
	size_t len = strlen(text);
	if (json_parse(text, len, &value, err) < 0)
		return err_set(err, ERR_INVALID_SPEC, "command line: '%.64s' is not JSON", text);
	list->memory = malloc(len * ROOM + 1);
	if (!list->memory)
		return err_memory(err);
	struct flatten f = { .list = list, .err = err };
	f.out = list->memory;
	f.end = list->memory + len * ROOM + 1;
	return json_each(value, flatten_member, &f);
}

int qemu_list_parse(const char *text, const char *first, struct qemu_list *ret, struct err *err)
{
	struct qemu_list list = { 0 };
	int rc = 0;
	if (text[0] == '{') {
		rc = parse_json(&list, text, err);
	} else {
		list.memory = strdup(text);
		rc = list.memory ? parse_text(&list, first, err) : err_memory(err);
	}
	if (rc < 0)
		qemu_list_done(&list);
	else
		*ret = list;
	return rc;
}

void qemu_list_done(struct qemu_list *list)
{
	free(list->memory);
}

const char *qemu_list_look(const struct qemu_list *list, const char *key)
{
	const char *value = NULL;
	for (size_t i = 0; i < list->count; i++)
		if (!strcmp(list->item[i].key, key))
			value = list->item[i].value;
	return value;
}

const char *qemu_list_take(struct qemu_list *list, const char *key)
{
	const char *value = NULL;
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->item[i].key, key) != 0)
			continue;
		value = list->item[i].value;
		list->item[i].taken = true;
	}
	return value;
}

void qemu_list_ignore(struct qemu_list *list, const char *keys)
{
	for (size_t i = 0; i < list->count; i++)
		if (text_is_word(keys, '|', list->item[i].key))
			list->item[i].taken = true;
}

void qemu_list_ignore_all(struct qemu_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		list->item[i].taken = true;
}

bool qemu_list_take_flag(struct qemu_list *list, const char *key)
{
	const char *value = qemu_list_take(list, key);
	return value && !text_is_word("off|no|false", '|', value);
}
