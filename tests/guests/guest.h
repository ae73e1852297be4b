// SPDX-License-Identifier: MIT
// What the test guests share: a start in 32-bit protected mode (boot.S) and one way to say
// something, on the first serial port and on the VGA text screen at once. There is no C library.
// The serial port's reader cannot hold a guest up: what he does not take is dropped.
#pragma once

#include <stdint.h>

// Each guest's entry: called once, interrupts off, a 4 KiB stack. The guest halts when it returns.
void guest_main(void);

// The kernel file's path and what the host gave the kernel to read, with spaces between; "" if
// none.
const char *command_line(void);

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

static inline void port_write16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint16_t port_read16(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline void port_write32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint32_t port_read32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}
