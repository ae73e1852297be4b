/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Makes new inputs of old ones that are still XML or JSON, so that not the parsers alone are
 * fuzzed. libFuzzer calls mutator.c by the names that it knows; the rest is shared by its two
 * languages. Deterministic: all chance comes from libFuzzer's seed.
 */
#include "base/base.h"

/* libFuzzer's own, of bytes: changes up to size, returns how many there are now. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* From 0 to n - 1. */
unsigned mutator_pick(unsigned n);
bool mutator_one_in(unsigned n);
/* A text that programs stumble over, or something that a document here may well name. */
const char *mutator_text(void);
/* Some bytes of the text changed; still well-formed text. The caller frees. */
char *mutator_garble(const char *text);
/* A document of a seed; NULL: there are none. */
const char *mutator_donor(void);

/* Both put a mutation of the text into ret; 0: it is not of their language, or does not fit. */
size_t xml_mutate(const char *text, size_t size, char *ret, size_t max_size);
size_t json_mutate(const char *text, size_t size, char *ret, size_t max_size);
/* The same, with a part of the other text in it. */
size_t xml_cross(const char *text, size_t size, const char *other, size_t other_size, char *ret,
	size_t max_size);

/* An input that passed. Every second mutation is of one of these, as most others do not pass. */
void mutator_remember(const uint8_t *data, size_t size);

/* Loads the schema's words, and as donors the *.xml in directories, separated by ':'. */
void mutator_load(const char *directories);
