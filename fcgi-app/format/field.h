/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a client may say, as tables of fields, each with its type and bounds: a query's parameters
 * and the members of a JSON body. What is not in the table is refused by name, so nothing further
 * in checks again. Lists of fields end with one without a name.
 *
 * Answers have such tables, too: nothing checks those at run time, but the OpenAPI document is made
 * of them, and the tests hold every answer against that.
 *
 * Errors name the place, "disks[1].format", what was wrong and what is right. Thread-safe: no
 * state.
 */
#include "format/json.h"

enum field_type {
	FIELD_TEXT,   /* 1 to max bytes, which XML can hold */
	FIELD_FLAG,   /* true or false; in a query 0 or 1 */
	FIELD_NUMBER, /* a whole number from min to max */
	FIELD_WORD,   /* one of words */
	FIELD_OBJECT, /* a JSON object of the fields in `of` */
	FIELD_LIST,   /* an array of at most max such objects */
	FIELD_TEXTS,  /* an array of at most max texts, of at most min bytes each */
	FIELD_LABELS, /* an object of at most max names, each with a text */
	FIELD_TIME,   /* RFC 3339; of answers alone */
	FIELD_FREE,   /* any JSON; of answers alone */
	FIELD_ALSO,   /* no member, but all those of `of`; of answers alone */
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
	const char *as; /* the argument it becomes; NULL: of its own name */
	enum field_type type;
	bool required;
	int64_t min, max;
	const char *words; /* separated by | */
	const struct field *of;
	const char *says;    /* what it is, for the OpenAPI document; NULL: its name does */
	const char *example; /* as JSON, for that document; or NULL */
	bool nullable;       /* in a merge patch: null removes it; in an answer: may be null */
	bool optional; /* of answers alone: may be missing; of FIELD_ALSO, each member of it */

	/* In answers: where the value is; see answer.h. */
	field_getter *get;
	size_t at;
	enum field_stored stored;
	/* Of a list: how many there are, the size of one, and whether they lie elsewhere. */
	size_t count_at, size;
	bool pointed;
};

/* An answer's count or size that may not be known: then it is negative here and null there. */
#define FIELD_COUNT .type = FIELD_NUMBER, .nullable = true, .max = INT64_MAX

const struct field *field_find(const struct field *fields, const char *name);

/* A query parameter's value. ERR_BAD_REQUEST. */
int field_check_param(const struct field *field, const char *value, struct err *err);

/*
 * A JSON object, with all that is in it. ERR_BAD_REQUEST, and ERR_UNKNOWN_PARAMETER for a member
 * that is in no table.
 */
int field_check_object(const struct field *fields, const struct json *object, struct err *err);

/* Adds the names of all rows to an error that is set, as a hint. Always -1. */
int field_hint(const struct field *fields, struct err *err);

/* ERR_UNKNOWN_PARAMETER for a name that is in no row; `what` is "field" or "query parameter". */
int field_unknown(const struct field *fields, const char *what, const char *name, struct err *err);
