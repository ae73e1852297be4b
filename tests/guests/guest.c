// SPDX-License-Identifier: MIT
#include "guest.h"

enum { COLUMNS = 80, ROWS = 25, LIGHT_GREY = 0x0700 };
enum { COM1 = 0x3f8, LINE_STATUS = COM1 + 5, TRANSMITTER_EMPTY = 0x20 };

// Without a serial port every bit reads as one: the wait ends at once and the byte goes nowhere.
static void serial_put(char c)
{
	while (!(port_read(LINE_STATUS) & TRANSMITTER_EMPTY))
		;
	port_write(COM1, (uint8_t)c);
}

static void screen_scroll(volatile uint16_t *screen)
{
	for (int i = 0; i < COLUMNS * (ROWS - 1); i++)
		screen[i] = screen[i + COLUMNS];
	for (int i = COLUMNS * (ROWS - 1); i < COLUMNS * ROWS; i++)
		screen[i] = LIGHT_GREY | ' ';
}

// Text goes up from the bottom line, so that what the BIOS wrote leaves the screen by itself.
static void screen_put(char c)
{
	static volatile uint16_t *const screen = (volatile uint16_t *)0xb8000;
	static int column = COLUMNS;

	if (c == '\n') {
		column = COLUMNS;
		return;
	}
	if (column == COLUMNS) {
		screen_scroll(screen);
		column = 0;
	}
	screen[COLUMNS * (ROWS - 1) + column++] = LIGHT_GREY | (uint8_t)c;
}

void put_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			serial_put('\r');
		serial_put(*text);
		screen_put(*text);
	}
}

void put_number(uint32_t number)
{
	char digits[sizeof "4294967295"];
	char *first = &digits[sizeof digits - 1];

	*first = '\0';
	do {
		*--first = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	put_text(first);
}
