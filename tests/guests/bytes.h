// SPDX-License-Identifier: MIT
// What a C library would have: the functions that gcc itself calls, and numbers as the network
// spells them, highest byte first.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);

bool starts_with(const char *text, const char *beginning);
bool ends_with(const char *text, const char *ending);

// Add to a text in a buffer of this size what still fits.
void text_append(char *text, size_t size, const char *more);
void text_append_number(char *text, size_t size, uint32_t number);

static inline uint32_t min(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint16_t be16(uint16_t number)
{
	return __builtin_bswap16(number);
}

static inline uint32_t be32(uint32_t number)
{
	return __builtin_bswap32(number);
}
