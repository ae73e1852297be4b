/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Field tables (field.h) rendered as JSON. Each row of an answer's table also says where its value
 * is in the struct that the answer is about, so that a member of an answer stands once:
 *
 *	FROM(struct job, elapsed_ms)           a member of the struct
 *	FROM_LIST(struct stats, disks, count)  an array, and how many it has
 *	.get = vm_host                         anything else: a function
 *
 * FROM() of a FIELD_WORD is an index into its words, or a text; of FIELD_TEXTS a set of bits, one
 * for each of its words; of FIELD_TIME milliseconds since 1970; of FIELD_OBJECT and FIELD_ALSO the
 * struct that `of` is about. A struct json * may
 * stand for any type; the answer takes a reference of its own.
 *
 * In a field that is nullable or optional, these are missing values: a pointer that is NULL, an
 * array of char that holds "", a negative number. A missing value is left out if the field is
 * optional, else it is null. Thread-safe: no state.
 */
#include "format/field.h"

#include <stddef.h>

/* clang-format off */
#define ANSWER_STORED(pointer) \
	_Generic(pointer, \
		bool *: STORED_BOOL, \
		int *: STORED_INT, \
		unsigned *: STORED_UNSIGNED, \
		int64_t *: STORED_INT64, \
		size_t *: STORED_SIZE, \
		char **: STORED_TEXT, \
		const char **: STORED_TEXT, \
		struct json **: STORED_JSON, \
		default: STORED_OTHERWISE)
#define FROM(type, member) \
	.at = offsetof(type, member), .stored = ANSWER_STORED(&((type *)0)->member)
#define FROM_LIST(type, member, count) \
	.at = offsetof(type, member), .stored = ANSWER_STORED(((type *)0)->member), \
	.count_at = _Generic(&((type *)0)->count, size_t *: offsetof(type, count)), \
	.size = sizeof(*((type *)0)->member), \
	.pointed = !__builtin_types_compatible_p( \
		__typeof__(((type *)0)->member), __typeof__(*((type *)0)->member)[])
/* clang-format on */

/* The object, which the caller owns. context goes to the getters. */
struct json *answer_json(const struct field *fields, const void *data, const void *context);
