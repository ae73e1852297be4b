// SPDX-License-Identifier: MIT
// What the test guests share: a start in 32-bit protected mode (boot.S) and one way to say
// something, on the first serial port and on the VGA text screen at once. There is no C library.
#pragma once

#include <stdint.h>

// Each guest's entry: called once, interrupts off, a 4 KiB stack. The guest halts when it returns.
void guest_main(void);

void put_text(const char *text);
void put_number(uint32_t number);

static inline void port_write(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t port_read(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}
