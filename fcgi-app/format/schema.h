/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Field tables as JSON Schema (2020-12), as OpenAPI 3.1 has it. Thread-safe: no state.
 */
#include "format/field.h"

/*
 * Of what a client sends, members may be missing and others are refused; of an answer, all are
 * there, and later versions may add some.
 */
enum schema_side { SCHEMA_REQUEST, SCHEMA_ANSWER };

/* The caller owns what these return. Named tables (FIELD_ALSO) are put into components, once. */
struct json *schema_of_object(
	const struct field *fields, enum schema_side side, struct json *components);
struct json *schema_of_param(const struct field *field);
struct json *schema_of_text(int64_t least, int64_t most); /* characters; 0: no bound */

/* Puts an example, which is JSON, unless it is NULL. */
void schema_put_example(struct json *object, const char *name, const char *example);

/* The words of a list that is separated by |, as an array of strings. */
struct json *schema_words(const char *words);
