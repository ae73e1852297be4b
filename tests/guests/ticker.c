// SPDX-License-Identifier: MIT
// Prints "tick 1", "tick 2", ... once a second. The count lives in the guest's memory: it stands
// still while the VM is suspended, and a snapshot brings an earlier one back.
#include "guest.h"

enum {
	PIT_FREQUENCY = 1193182,    // Hz, the input clock of the 8254 timer
	INTERRUPTS_PER_SECOND = 20, // the timer's 16-bit divisor allows no fewer than 19
	PIT_DIVISOR = PIT_FREQUENCY / INTERRUPTS_PER_SECOND,
	FIRST_VECTOR = 32, // below are the CPU's own exceptions
};

// Intel SDM volume 3, 6.11: an interrupt gate of the 32-bit interrupt descriptor table.
struct gate {
	uint16_t offset_low;
	uint16_t code_segment;
	uint16_t type;
	uint16_t offset_high;
};

struct table_pointer {
	uint16_t limit;
	uint32_t base;
} __attribute__((packed));

__attribute__((used)) static void timer_interrupt(void)
{
	static uint32_t interrupts, ticks;

	if (++interrupts % INTERRUPTS_PER_SECOND == 0) {
		put_text("tick ");
		put_number(++ticks);
		put_text("\n");
	}
	port_write(0x20, 0x20); // end of interrupt
}

// It returns by a copy of the saved flags and a far return over them: some nested hosts' KVM has
// to emulate a guest's kernel code and cannot do a 32-bit iret.
__attribute__((naked)) static void timer_entry(void)
{
	__asm__("pushal\n\t"
		"cld\n\t"
		"call timer_interrupt\n\t"
		"popal\n\t"
		"pushl 8(%esp)\n\t"
		"popfl\n\t"
		"lret $4");
}

static void interrupts_route(void)
{
	static struct gate gates[FIRST_VECTOR + 1];
	const struct table_pointer pointer = { sizeof gates - 1, (uint32_t)gates };

	gates[FIRST_VECTOR] = (struct gate){
		.offset_low = (uint32_t)timer_entry & 0xffff,
		.code_segment = 8, // from boot.S
		.type = 0x8e00,    // present, 32-bit interrupt gate
		.offset_high = (uint32_t)timer_entry >> 16,
	};
	__asm__ volatile("lidt %0" : : "m"(pointer));
}

// Each interrupt controller takes four commands: initialise, first vector, wiring, 8086 mode. The
// last row is the masks: of all lines only the timer's may interrupt.
static void controllers_init(void)
{
	static const uint8_t commands[][2] = {
		{ 0x20, 0x11 },
		{ 0x21, FIRST_VECTOR },
		{ 0x21, 4 },
		{ 0x21, 1 },
		{ 0xa0, 0x11 },
		{ 0xa1, FIRST_VECTOR + 8 },
		{ 0xa1, 2 },
		{ 0xa1, 1 },
		{ 0x21, 0xfe },
		{ 0xa1, 0xff },
	};

	for (unsigned i = 0; i < sizeof commands / sizeof *commands; i++)
		port_write(commands[i][0], commands[i][1]);
}

static void timer_init(void)
{
	port_write(0x43, 0x34); // counter 0, low then high byte, rate generator
	port_write(0x40, PIT_DIVISOR & 0xff);
	port_write(0x40, PIT_DIVISOR >> 8);
}

void guest_main(void)
{
	put_text("This is virtgate's ticker guest. It counts seconds.\n");
	interrupts_route();
	controllers_init();
	timer_init();
	for (;;)
		__asm__ volatile("sti; hlt" : : : "memory");
}
