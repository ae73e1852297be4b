/* SPDX-License-Identifier: MIT */
#pragma once
/* Questions about text. No state: every function may be called from any thread. */
#include <stdbool.h>
#include <stddef.h>

/* Is it well-formed UTF-8 (RFC 3629 section 4: shortest form, no surrogates) without a NUL? */
bool text_is_utf8(const char *s, size_t n);

/* May it name a VM or a snapshot? Names become file names on the host: nothing else passes. */
bool text_is_name(const char *s);
#define TEXT_NAME_RULE "1 to 63 of the characters A-Z a-z 0-9 . _ + -, the first a letter or digit"

/* Can XML 1.0 hold it (section 2.2)? Of the control characters only tab and line ends can stand. */
bool text_is_xml(const char *s);

/*
 * Is it shown as it is? Not with a character that nobody sees or that changes how the text around
 * it is shown: control characters except tab and line ends, line separators, marks that change the
 * direction of writing, invisible characters. Well-formed UTF-8.
 */
bool text_is_plain(const char *s);
#define TEXT_PLAIN_RULE "no control, direction or invisible characters"

/* Is it one of the words in this list, which the separator separates? */
bool text_is_word(const char *words, char separator, const char *s);

/*
 * Does it match a pattern in which * stands for any text and ? for any byte? Takes time in
 * proportion to the product of their lengths at worst.
 */
bool text_is_glob(const char *pattern, const char *s);

/* Replaces by '?' every byte that is not part of well-formed UTF-8. */
void text_mask_malformed(char *s);

/* Replaces by '?' every character that text_is_plain() refuses, tabs and line ends, too. */
void text_mask_controls(char *s);
