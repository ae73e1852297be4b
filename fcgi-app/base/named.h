/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Enumerations whose values have names. One list makes the enumeration, the table of its names and
 * the text of all names, so that these three cannot differ:
 *	#define COLOURS(FIRST, NEXT) \
 *		FIRST(COLOUR_RED, "red") \
 *		NEXT(COLOUR_BLUE, "blue")
 *	enum colour { COLOURS(NAMED_VALUE, NAMED_VALUE) COLOUR_COUNT };
 *	static const char *const names[] = { COLOURS(NAMED_ROW, NAMED_ROW) };
 *	#define COLOUR_NAMES COLOURS(NAMED_FIRST, NAMED_NEXT)
 * COLOUR_NAMES is the literal "red|blue", as field.h takes it.
 */
#define NAMED_VALUE(value, name) value,
#define NAMED_ROW(value, name) [value] = (name),
#define NAMED_FIRST(value, name) name
#define NAMED_NEXT(value, name) "|" name
