/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Field tables as JSON Schema (2020-12), which OpenAPI 3.1 uses. Thread-safe: no state.
 */
#include "format/field.h"

/*
 * In a request, members may be missing and unknown ones are refused. In an answer all members are
 * present, and later versions may add some.
 */
enum schema_side { SCHEMA_REQUEST, SCHEMA_ANSWER };

/* The caller owns the results. Named tables (FIELD_ALSO) are added to the components, once. */
struct json *schema_of_object(
	const struct field *fields, enum schema_side side, struct json *components);
struct json *schema_of_param(const struct field *field);
struct json *schema_of_text(int64_t least, int64_t most); /* length in characters; 0: no bound */

/* Adds an example, a text that is JSON; NULL: adds nothing. */
void schema_put_example(struct json *object, const char *name, const char *example);

/* A list of words, separated by |, as an array of strings. */
struct json *schema_words(const char *words);
