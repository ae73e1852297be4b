/* SPDX-License-Identifier: MIT */
#include "format/json.h"

#include "base/clock.h"
#include "base/text.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

/* struct json is json-c's object under our name. */
#define JC(value) ((json_object *)(uintptr_t)(value))
#define FROM_JC(object) ((struct json *)(object))

void json_free(struct json *value)
{
	(void)json_object_put(JC(value));
}

DEFINE_AUTO(json_tokener *, json_tokener_free)

/*
 * What json-c 0.16 accepts even with JSON_TOKENER_STRICT, found by trying: '…' as strings, NaN and
 * Infinity, 01, -.1 and 1., control characters and unpaired surrogates in strings, and a name twice
 * in an object (the last wins). The scan below refuses these. It runs over text that json-c has
 * accepted, so it need not know the rest of the grammar.
 */
struct scan {
	const char *text, *end, *at;
	/* The names seen so far in each object that is open here. */
	struct {
		bool object;
		size_t first_name;
	} open[JSON_DEPTH_MAX + 1];
	size_t depth;
	/* No valid body has as many members; more are refused. */
	struct {
		const char *s;
		size_t len;
	} names[128];
	size_t name_count;
};

static int bad_json(const struct scan *scan, struct err *err, const char *what)
{
	int line = 1;
	const char *line_start = scan->text;
	for (const char *p = scan->text; p < scan->at && p < scan->end; p++) {
		if (*p == '\n') {
			line++;
			line_start = p + 1;
		}
	}
	int column = (int)(scan->at - line_start) + 1;
	(void)err_set(err, ERR_BAD_JSON, "body: not valid JSON at line %d, column %d: %s", line,
		column, what);
	err->line = line;
	err->column = column;
	return -1;
}

static int scan_name(struct scan *scan, const char *s, size_t len, struct err *err)
{
	/* With escapes, two names could be equal although their bytes differ. */
	if (memchr(s, '\\', len))
		return bad_json(scan, err, "a field name must not contain escapes");
	for (size_t i = scan->open[scan->depth].first_name; i < scan->name_count; i++)
		if (scan->names[i].len == len && !memcmp(scan->names[i].s, s, len))
			return err_set(err, ERR_BAD_JSON, "body: field '%.*s' is given twice",
				len > 64 ? 64 : (int)len, s);
	if (scan->name_count == ARRAY_LEN(scan->names))
		return bad_json(scan, err, "too many fields");
	scan->names[scan->name_count].s = s;
	scan->names[scan->name_count++].len = len;
	return 0;
}

/* The code unit of the \uXXXX at s, whose digits json-c has checked; 0: there is none. */
static unsigned escaped_unit(const struct scan *scan, const char *s)
{
	unsigned unit = 0;
	if (scan->end - s < 6 || s[0] != '\\' || s[1] != 'u')
		return 0;
	for (int i = 2; i < 6; i++) {
		unsigned c = (unsigned char)s[i];
		unit = unit << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return unit;
}

/* Skips an escape, from its backslash to its last character. */
static int scan_escape(struct scan *scan, struct err *err)
{
	unsigned unit = escaped_unit(scan, scan->at);
	bool surrogate = unit >= 0xd800 && unit <= 0xdfff;
	unsigned low = surrogate ? escaped_unit(scan, scan->at + 6) : 0;
	if (surrogate && (unit > 0xdbff || low < 0xdc00 || low > 0xdfff))
		return bad_json(scan, err, "an unpaired surrogate");
	scan->at += surrogate ? 7 : 1;
	return 0;
}

/* Skips a string, from behind its opening quote. */
static int scan_string(struct scan *scan, bool is_name, struct err *err)
{
	const char *start = scan->at;
	for (; scan->at < scan->end && *scan->at != '"'; scan->at++) {
		if ((unsigned char)*scan->at < 0x20)
			return bad_json(
				scan, err, "a control character in a string must be escaped");
		if (*scan->at == '\\' && scan_escape(scan, err) < 0)
			return -1;
	}
	if (is_name && scan_name(scan, start, (size_t)(scan->at - start), err) < 0)
		return -1;
	if (scan->at < scan->end)
		scan->at++;
	return 0;
}

static int scan_open(struct scan *scan, bool object, struct err *err)
{
	if (scan->depth == JSON_DEPTH_MAX)
		return bad_json(scan, err, "nested too deeply");
	scan->depth++;
	scan->open[scan->depth].object = object;
	scan->open[scan->depth].first_name = scan->name_count;
	return 0;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* From behind a number's first character. json-c has checked the rest of RFC 8259 section 6. */
static int scan_number(struct scan *scan, struct err *err)
{
	const char *s = scan->at - 1;
	scan->at = s + strspn(s, "+-.0123456789eE");
	s += *s == '-';
	if (!is_digit(*s) || (*s == '0' && is_digit(s[1])))
		return bad_json(
			scan, err, "a number must begin with a digit, without leading zeros");
	s += strspn(s, "0123456789");
	if (*s == '.' && !is_digit(s[1]))
		return bad_json(scan, err, "a digit must follow the decimal point");
	return 0;
}

static int scan_text(struct scan *scan, struct err *err)
{
	bool want_name = false;
	while (scan->at < scan->end) {
		char c = *scan->at++;
		switch (c) {
		case '"':
			if (scan_string(scan, want_name, err) < 0)
				return -1;
			want_name = false;
			break;
		case '{':
		case '[':
			if (scan_open(scan, c == '{', err) < 0)
				return -1;
			want_name = c == '{';
			break;
		case '}':
		case ']':
			scan->name_count = scan->open[scan->depth--].first_name;
			want_name = false;
			break;
		case ',':
			want_name = scan->open[scan->depth].object;
			break;
		case '\'':
		case 'N':
		case 'I':
			scan->at--;
			return bad_json(scan, err, "not a JSON value");
		default:
			if ((c == '-' || is_digit(c)) && scan_number(scan, err) < 0)
				return -1;
		}
	}
	return 0;
}

/* Writes the nearest int64_t over an integer that is larger, and spaces over the rest of it. */
static void clamp_number(char *number, size_t len)
{
	bool negative = *number == '-';
	const char *limit = negative ? "9223372036854775808" : "9223372036854775807";
	size_t limit_len = strlen(limit);
	char *digits = number + negative;
	size_t digit_count = len - negative;
	if (*digits == '0' || strspn(digits, "0123456789") != digit_count)
		return;
	if (digit_count < limit_len ||
		(digit_count == limit_len && memcmp(digits, limit, limit_len) <= 0))
		return;
	memset(digits, ' ', digit_count);
	memcpy(digits, limit, limit_len);
}

/*
 * json-c before 0.17 reads an integer beyond 64 bits as the nearest that it can hold; a later one,
 * when strict, refuses the whole text. The client should learn which values the field accepts, so
 * json-c is given a number that it can hold. Columns of errors stay right: no text moves.
 *
 * json-c takes hundreds of bytes for a value such as [], so values are counted before it makes any.
 */
static int prepare_text(char *text, struct scan *scan, struct err *err)
{
	int values = 1;
	for (char *at = text; *at;) {
		if (*at == '"') {
			for (at++; *at && *at != '"'; at++)
				at += *at == '\\' && at[1];
			at += *at == '"';
			continue;
		}
		values += *at == ',' || *at == '[' || *at == '{';
		if (values > JSON_VALUES_MAX) {
			scan->at = at;
			return bad_json(scan, err, "it has more than 2048 values");
		}
		size_t len = *at == '-' || is_digit(*at) ? strspn(at, "+-.0123456789eE") : 0;
		if (len)
			clamp_number(at, len);
		at += len ? len : 1;
	}
	return 0;
}
_Static_assert(JSON_VALUES_MAX == 2048, "stated in prepare_text()");

int json_parse(const char *text, size_t len, struct json **ret, struct err *err)
{
	if (memchr(text, '\0', len))
		return err_set(err, ERR_BAD_JSON, "body: it contains a NUL character");
	if (!text_is_utf8(text, len))
		return err_set(err, ERR_BAD_JSON, "body: not valid UTF-8");
	AUTO(free) char *copy = strndup(text, len);
	if (!copy)
		return err_memory(err);
	struct scan scan = { .text = copy, .end = copy + len, .at = copy };
	if (prepare_text(copy, &scan, err) < 0)
		return -1;
	AUTO(json_tokener_free) json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
	if (!tokener)
		return err_memory(err);
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	AUTO(json_free) struct json *value =
		FROM_JC(json_tokener_parse_ex(tokener, copy, (int)len));
	enum json_tokener_error error = json_tokener_get_error(tokener);
	if (error == json_tokener_continue) {
		/* A number at the top ends with the text, which json-c learns from a NUL. */
		value = FROM_JC(json_tokener_parse_ex(tokener, "", 1));
		error = json_tokener_get_error(tokener);
		scan.at = scan.end;
	} else {
		scan.at = copy + json_tokener_get_parse_end(tokener);
	}
	if (error == json_tokener_continue)
		return bad_json(&scan, err, "unexpected end");
	if (error != json_tokener_success)
		return bad_json(&scan, err, json_tokener_error_desc(error));
	for (; scan.at < scan.end; scan.at++)
		if (!strchr(" \t\r\n", *scan.at))
			return bad_json(&scan, err, "text follows the value");
	scan.at = copy;
	if (scan_text(&scan, err) < 0)
		return -1;
	*ret = TAKE(value);
	return 0;
}

enum json_kind json_kind_of(const struct json *value)
{
	switch (json_object_get_type(JC(value))) {
	case json_type_null:
		return JSON_IS_NULL;
	case json_type_boolean:
		return JSON_IS_BOOL;
	case json_type_int:
		return JSON_IS_INT;
	case json_type_double:
		return JSON_IS_NUMBER;
	case json_type_string:
		return JSON_IS_STRING;
	case json_type_array:
		return JSON_IS_ARRAY;
	case json_type_object:
		return JSON_IS_OBJECT;
	}
	return JSON_IS_NULL;
}

bool json_get_bool(const struct json *value)
{
	return json_object_get_boolean(JC(value));
}

const char *json_get_string(const struct json *value, size_t *ret_len)
{
	*ret_len = (size_t)json_object_get_string_len(JC(value));
	return json_object_get_string(JC(value));
}

int64_t json_get_int(const struct json *value)
{
	return json_object_get_int64(JC(value));
}

const char *json_scalar_text(const struct json *value, char *number, size_t size)
{
	size_t len = 0;
	if (json_kind_of(value) == JSON_IS_STRING)
		return json_get_string(value, &len);
	if (json_kind_of(value) != JSON_IS_INT)
		return NULL;
	(void)snprintf(number, size, "%lld", (long long)json_get_int(value));
	return number;
}

const struct json *json_member(const struct json *object, const char *name)
{
	return FROM_JC(json_object_object_get(JC(object), name));
}

bool json_has(const struct json *object, const char *name)
{
	return json_object_object_get_ex(JC(object), name, NULL);
}

size_t json_length(const struct json *value)
{
	json_object *v = JC(value);
	if (json_object_is_type(v, json_type_array))
		return json_object_array_length(v);
	return json_object_is_type(v, json_type_object) ? (size_t)json_object_object_length(v) : 0;
}

const struct json *json_item(const struct json *array, size_t i)
{
	return FROM_JC(json_object_array_get_idx(JC(array), i));
}

int json_each(const struct json *object,
	int (*each)(const char *name, const struct json *value, void *data), void *data)
{
	struct json_object_iterator it = json_object_iter_begin(JC(object));
	struct json_object_iterator end = json_object_iter_end(JC(object));
	for (; !json_object_iter_equal(&it, &end); json_object_iter_next(&it)) {
		int result = each(json_object_iter_peek_name(&it),
			FROM_JC(json_object_iter_peek_value(&it)), data);
		if (result)
			return result;
	}
	return 0;
}

/* A part of the tree that this thread builds could not be allocated. */
static _Thread_local bool out_of_memory;

#define MADE(value) \
	({ \
		json_object *made_ = (value); \
		out_of_memory |= !made_; \
		FROM_JC(made_); \
	})

struct json *json_new_object(void)
{
	return MADE(json_object_new_object());
}

struct json *json_new_array(void)
{
	return MADE(json_object_new_array());
}

struct json *json_string(const char *value)
{
	return MADE(json_object_new_string(value));
}

struct json *json_new_int(int64_t value)
{
	return MADE(json_object_new_int64(value));
}

struct json *json_new_bool(bool value)
{
	return MADE(json_object_new_boolean(value));
}

struct json *json_new_time(int64_t wall_ms)
{
	enum { MS = 1000 };
	char text[RFC3339_SIZE];
	if (wall_ms < 0)
		return NULL;
	clock_rfc3339(wall_ms / MS, (int)(wall_ms % MS), text);
	return json_string(text);
}

struct json *json_share(const struct json *value)
{
	return FROM_JC(json_object_get(JC(value)));
}

void json_put(struct json *object, const char *name, struct json *value)
{
	unsigned flags = JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_ADD_CONSTANT_KEY;
	if (object && !json_object_object_add_ex(JC(object), name, JC(value), flags))
		return;
	out_of_memory = true;
	json_free(value);
}

void json_put_copy(struct json *object, const char *name, struct json *value)
{
	if (object && !json_object_object_add(JC(object), name, JC(value)))
		return;
	out_of_memory = true;
	json_free(value);
}

void json_put_string(struct json *object, const char *name, const char *value)
{
	json_put(object, name, value ? json_string(value) : NULL);
}

void json_put_int(struct json *object, const char *name, int64_t value)
{
	json_put(object, name, json_new_int(value));
}

void json_put_bool(struct json *object, const char *name, bool value)
{
	json_put(object, name, json_new_bool(value));
}

void json_push(struct json *array, struct json *value)
{
	if (array && !json_object_array_add(JC(array), JC(value)))
		return;
	out_of_memory = true;
	json_free(value);
}

void json_push_string(struct json *array, const char *value)
{
	json_push(array, json_string(value));
}

void json_keep(struct json *object, const char *names)
{
	struct lh_table *members = json_object_get_object(JC(object));
	for (struct lh_entry *e = lh_table_head(members), *next; e; e = next) {
		next = lh_entry_next(e);
		if (!text_is_word(names, ',', lh_entry_k(e)))
			json_object_object_del(JC(object), lh_entry_k(e));
	}
}

int json_text(const struct json *value, char **ret, size_t *ret_len, struct err *err)
{
	int flags = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
	size_t len = 0;
	const char *text = json_object_to_json_string_length(JC(value), flags, &len);
	bool failed = out_of_memory || !text;
	out_of_memory = false;
	char *copy = failed ? NULL : malloc(len + 1);
	if (!copy)
		return err_memory(err);
	memcpy(copy, text, len + 1);
	*ret = copy;
	*ret_len = len;
	return 0;
}
