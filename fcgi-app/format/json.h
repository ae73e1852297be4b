/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * JSON; the only door to json-c. Reading is strict: RFC 8259 in UTF-8 without json-c's extensions,
 * with bounded depth and number of values, and without a name twice in an object. It takes time in
 * proportion to the text. Writing builds a tree and renders it once.
 *
 * A value belongs to its maker until it is put into another value, and then to that one. If memory
 * runs out while a tree is built, the thread remembers it and json_text() reports it. One thread at
 * a time uses a value.
 */
#include "base/err.h"

struct json;
void json_free(struct json *value);
DEFINE_AUTO(struct json *, json_free)

/* Twice the values of the largest body that a route takes, which names 1000 VMs. */
enum { JSON_DEPTH_MAX = 16, JSON_VALUES_MAX = 2048 };

enum json_kind {
	JSON_IS_NULL,
	JSON_IS_BOOL,
	JSON_IS_INT,
	JSON_IS_NUMBER,
	JSON_IS_STRING,
	JSON_IS_ARRAY,
	JSON_IS_OBJECT
};

/* ERR_BAD_JSON: with line and column, or with the name that an object has twice. */
int json_parse(const char *text, size_t len, struct json **ret, struct err *err);

enum json_kind json_kind_of(const struct json *value);
bool json_get_bool(const struct json *value);
int64_t json_get_int(const struct json *value); /* beyond 64 bits: the nearest int64_t */
/* The value owns the text. It may contain NUL characters: *ret_len is its length. */
const char *json_get_string(const struct json *value, size_t *ret_len);

/* The text of a string; or of a whole number, written to `number`. NULL: it is neither. */
const char *json_scalar_text(const struct json *value, char *number, size_t size);

/* An object's member. NULL: it is missing or null, or this is not an object. */
const struct json *json_member(const struct json *object, const char *name);
bool json_has(const struct json *object, const char *name); /* also a member that is null */
/* The number of members or items; 0 for anything but an object or array. */
size_t json_length(const struct json *value);
const struct json *json_item(const struct json *array, size_t i);

/* Calls each() for every member until it returns anything but 0, and returns that. */
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
/* Names must be literals: json_put() does not copy them. */
void json_put(struct json *object, const char *name, struct json *value);
void json_put_copy(struct json *object, const char *name, struct json *value); /* copies the name */
void json_put_string(
	struct json *object, const char *name, const char *value); /* NULL becomes null */
void json_put_int(struct json *object, const char *name, int64_t value);
void json_put_bool(struct json *object, const char *name, bool value);
void json_push(struct json *array, struct json *value);
void json_push_string(struct json *array, const char *value);

/* Removes the members whose names are not in the list, which commas separate. */
void json_keep(struct json *object, const char *names);

/* Renders without white space. The caller frees *ret. */
int json_text(const struct json *value, char **ret, size_t *ret_len, struct err *err);
