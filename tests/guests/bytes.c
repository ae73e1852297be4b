// SPDX-License-Identifier: MIT
#include "bytes.h"

void *memcpy(void *to, const void *from, size_t size)
{
	void *result = to;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
	return result;
}

void *memset(void *to, int byte, size_t size)
{
	void *result = to;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(byte) : "memory");
	return result;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const uint8_t *x = a, *y = b;

	for (size_t i = 0; i < size; i++)
		if (x[i] != y[i])
			return x[i] - y[i];
	return 0;
}

size_t strlen(const char *text)
{
	const char *end = text;

	while (*end)
		end++;
	return (size_t)(end - text);
}

bool starts_with(const char *text, const char *beginning)
{
	return memcmp(text, beginning, strlen(beginning)) == 0;
}

bool ends_with(const char *text, const char *ending)
{
	size_t length = strlen(text), end = strlen(ending);

	return length >= end && memcmp(text + length - end, ending, end) == 0;
}

void text_append(char *text, size_t size, const char *more)
{
	size_t used = strlen(text), length = min(strlen(more), size - used - 1);

	memcpy(text + used, more, length);
	text[used + length] = '\0';
}

void text_append_number(char *text, size_t size, uint32_t number)
{
	char digits[sizeof "4294967295"];
	char *first = &digits[sizeof digits - 1];

	*first = '\0';
	do {
		*--first = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	text_append(text, size, first);
}
