// SPDX-License-Identifier: MIT
#include "guest.h"

#include "bytes.h"

// Of the multiboot specification's boot information (3.3) what is of use here.
struct boot_information {
	uint32_t flags;
	uint32_t memory_lower;
	uint32_t memory_upper;
	uint32_t boot_device;
	uint32_t command_line;
};
enum { HAS_COMMAND_LINE = 1 << 2 };

extern const struct boot_information *const boot_information; // from boot.S

enum { COLUMNS = 80, ROWS = 25, LIGHT_GREY = 0x0700 };
enum { COM1 = 0x3f8, LINE_STATUS = COM1 + 5, TRANSMITTER_EMPTY = 0x20 };

// Without a serial port every bit reads as one: the wait ends at once and the byte goes nowhere.
// A terminal that is open and not read from is waited for only once.
static void serial_put(char c)
{
	enum { POLLS = 100000 };
	static bool stuck;
	int polls = stuck ? 1 : POLLS;

	stuck = false;
	while (!(port_read(LINE_STATUS) & TRANSMITTER_EMPTY)) {
		if (--polls == 0) {
			stuck = true;
			return;
		}
	}
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

const char *command_line(void)
{
	if (!(boot_information->flags & HAS_COMMAND_LINE))
		return "";
	return (const char *)boot_information->command_line;
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
	char digits[sizeof "4294967295"] = "";

	text_append_number(digits, sizeof digits, number);
	put_text(digits);
}
