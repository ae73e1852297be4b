/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The words of libvirt's own schemas: which elements and attributes it knows where, and which
 * values. So the mutator knows libvirt's whole language, and not what we think it is.
 */

/* Reads them; ends the process when they are not where libvirt's packages put them. */
void schema_words_load(void);

/*
 * A word of this kind, any of them by n; NULL: there is none.
 *	"disk/"		elements in a <disk>
 *	"disk@"		attributes of a <disk>
 *	"disk@type"	values of one
 *	"disk="		texts in a <disk>
 */
const char *schema_word(const char *kind, unsigned n);
