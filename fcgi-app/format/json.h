/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The only door to json-c. Reading is strict: RFC 8259 in UTF-8 with nothing that json-c adds to
 * it, bounded depth, and no name twice in an object. Writing builds a tree and renders it once.
 *
 * A value belongs to whoever made it until it is put into another; then to that one. Running out
 * of memory while a tree is built is remembered for the thread, and json_text() reports it.
 * A value is used by one thread at a time.
 */
#include "base/err.h"

struct json;
void json_free(struct json *value);
DEFINE_AUTO(struct json *, json_free)

enum { JSON_DEPTH_MAX = 16 };

enum json_kind {
	JSON_IS_NULL,
	JSON_IS_BOOL,
	JSON_IS_INT,
	JSON_IS_NUMBER,
	JSON_IS_STRING,
	JSON_IS_ARRAY,
	JSON_IS_OBJECT
};

/* ERR_BAD_JSON with line and column when it is not JSON, or names what is repeated. */
int json_parse(const char *text, size_t len, struct json **ret, struct err *err);

enum json_kind json_kind_of(const struct json *value);
bool json_get_bool(const struct json *value);
int64_t json_get_int(const struct json *value); /* beyond 64 bits: the nearest that fits */
/* Borrowed; may hold NUL characters, so its length is told too. */
const char *json_get_string(const struct json *value, size_t *ret_len);

/* A string as it is, a whole number in digits (in the caller's memory); NULL: anything else. */
const char *json_scalar_text(const struct json *value, char *number, size_t size);

/* An object's member; NULL: there is none, or it is null, or this is no object. */
const struct json *json_member(const struct json *object, const char *name);
bool json_has(const struct json *object, const char *name); /* one that may be null */
/* How many members an object or items an array has; anything else has none. */
size_t json_length(const struct json *value);
const struct json *json_item(const struct json *array, size_t i);

/* Calls each(name, value, data) for every member until one is not 0, and returns that. */
int json_each(const struct json *object,
	int (*each)(const char *name, const struct json *value, void *data), void *data);

struct json *json_new_object(void);
struct json *json_new_array(void);
struct json *json_string(const char *value);
struct json *json_new_int(int64_t value);
struct json *json_new_bool(bool value);
struct json *json_new_time(
	int64_t wall_ms); /* RFC 3339, of milliseconds since 1970; negative: NULL */
struct json *json_share(const struct json *value); /* one more owner, in the same thread */
/* Names are literals: they are not copied. */
void json_put(struct json *object, const char *name, struct json *value);
void json_put_copy(struct json *object, const char *name, struct json *value);  /* no literal */
void json_put_string(struct json *object, const char *name, const char *value); /* NULL: null */
void json_put_int(struct json *object, const char *name, int64_t value);
void json_put_bool(struct json *object, const char *name, bool value);
void json_push(struct json *array, struct json *value);
void json_push_string(struct json *array, const char *value);

/* Takes out the members that a list, separated by commas, does not name. */
void json_keep(struct json *object, const char *names);

/* Renders without spaces. The caller frees. */
int json_text(const struct json *value, char **ret, size_t *ret_len, struct err *err);
