/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Field tables: what a client may send. Each row is a query parameter or a member of a JSON body,
 * with its type and bounds. A name that is not in the table is refused, so nothing behind this
 * checks again. The last row of a table has no name.
 *
 * Answers have tables too. No answer is checked at run time, but the OpenAPI document is made from
 * these tables, and the tests check every answer against that document.
 *
 * Errors name the place ("disks[1].format"), what is wrong and what would be right. Thread-safe: no
 * state.
 */
#include "format/json.h"

enum field_type {
	FIELD_TEXT,   /* 1 to max bytes that XML can hold and text_is_plain() allows */
	FIELD_FLAG,   /* true or false; in a query 0 or 1 */
	FIELD_NUMBER, /* a whole number from min to max */
	FIELD_WORD,   /* one of words */
	FIELD_OBJECT, /* a JSON object of the fields in `of` */
	FIELD_LIST,   /* an array of at most max such objects */
	FIELD_TEXTS,  /* an array of at most max texts, of at most min bytes each */
	FIELD_LABELS, /* an object of at most max names, each with a text */
	FIELD_TIME,   /* RFC 3339; in answers only */
	FIELD_FREE,   /* any JSON; in answers only */
	FIELD_ALSO,   /* all the members of `of` at this place; in answers only */
};

enum { FIELD_LABEL_BYTES_MAX = 256 };

/* How a value is stored in the struct that an answer is about; FROM() of answer.h finds it out. */
enum field_stored {
	STORED_OTHERWISE, /* an array of char, or a struct */
	STORED_BOOL,
	STORED_INT,
	STORED_UNSIGNED, /* an enumeration, too */
	STORED_INT64,
	STORED_SIZE,
	STORED_TEXT, /* a pointer to char */
	STORED_JSON,
};

typedef struct json *field_getter(const void *data, const void *context);

struct field {
	const char *name;
	const char *as; /* the name of the argument that it becomes; NULL: `name` */
	enum field_type type;
	bool required;
	int64_t min, max;
	const char *words; /* separated by | */
	bool markup;       /* of a text: any character may stand in it; its parser decides */
	const struct field *of;
	const char *says;    /* description for the OpenAPI document; NULL: the name says it */
	const char *example; /* for that document, as JSON; or NULL */
	bool nullable;       /* in a merge patch null removes it; in an answer it may be null */
	bool optional; /* in answers only: may be missing; for FIELD_ALSO: any member of `of` may */

	/* In answers: where the value is; see answer.h. */
	field_getter *get;
	size_t at;
	enum field_stored stored;
	/* For a list: the number of items, the size of one, and whether they lie elsewhere. */
	size_t count_at, size;
	bool pointed;
};

/* An answer's count or size that may not be known: then it is negative here and null there. */
#define FIELD_COUNT .type = FIELD_NUMBER, .nullable = true, .max = INT64_MAX

/* The row with this name, also in tables of FIELD_ALSO; NULL: none. */
const struct field *field_find(const struct field *fields, const char *name);

/* Checks the value of a query parameter. ERR_BAD_REQUEST. */
int field_check_param(const struct field *field, const char *value, struct err *err);

/*
 * Checks a JSON object with all that is in it. ERR_BAD_REQUEST; ERR_UNKNOWN_PARAMETER for a member
 * that is in no table.
 */
int field_check_object(const struct field *fields, const struct json *object, struct err *err);

/* Adds a hint with all names to an error that is set. Returns -1. */
int field_hint(const struct field *fields, struct err *err);

/* ERR_UNKNOWN_PARAMETER, with a hint; `what` is "field" or "query parameter". Returns -1. */
int field_unknown(const struct field *fields, const char *what, const char *name, struct err *err);
