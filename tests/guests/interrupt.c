// SPDX-License-Identifier: MIT
#include "interrupt.h"

#include "guest.h"

enum {
	LINES = 16,
	CASCADE = 2,             // the first controller's line that the second one is on
	PIT_FREQUENCY = 1193182, // Hz, the input clock of the 8254 timer
	PIT_DIVISOR = PIT_FREQUENCY / TICKS_PER_SECOND,
	FIRST_VECTOR = 32, // below are the CPU's own exceptions
	ENTRY_SIZE = 16,
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

static void (*handlers[LINES])(void);
static uint32_t ticks;

__attribute__((used)) static void interrupt(unsigned line)
{
	if (handlers[line])
		handlers[line]();
	if (line >= 8)
		port_write(0xa0, 0x20); // end of interrupt
	port_write(0x20, 0x20);
}

// An entry for each line, ENTRY_SIZE apart. It returns by a copy of the saved flags and a far
// return over them: some nested hosts' KVM has to emulate a guest's kernel code and cannot do a
// 32-bit iret.
__attribute__((naked, aligned(16))) static void interrupt_entries(void)
{
	__asm__(".set line, 0\n\t"
		".rept 16\n\t"
		".balign 16\n\t"
		"pushl $line\n\t"
		"jmp 1f\n\t"
		".set line, line + 1\n\t"
		".endr\n"
		"1:\n\t"
		"pushal\n\t"
		"cld\n\t"
		"pushl 32(%esp)\n\t" // the line, below what pushal saved
		"call interrupt\n\t"
		"addl $4, %esp\n\t"
		"popal\n\t"
		"addl $4, %esp\n\t"
		"pushl 8(%esp)\n\t"
		"popfl\n\t"
		"lret $4");
}

static void gates_init(void)
{
	static struct gate gates[FIRST_VECTOR + LINES];
	const struct table_pointer pointer = { sizeof gates - 1, (uint32_t)gates };

	for (unsigned line = 0; line < LINES; line++) {
		uint32_t entry = (uint32_t)interrupt_entries + line * ENTRY_SIZE;
		gates[FIRST_VECTOR + line] = (struct gate){
			.offset_low = entry & 0xffff,
			.code_segment = 8, // from boot.S
			.type = 0x8e00,    // present, 32-bit interrupt gate
			.offset_high = entry >> 16,
		};
	}
	__asm__ volatile("lidt %0" : : "m"(pointer));
}

// Each interrupt controller takes four commands: initialise, first vector, wiring, 8086 mode. The
// last row is the masks: no line may interrupt yet.
static void controllers_init(void)
{
	static const uint8_t commands[][2] = {
		{ 0x20, 0x11 },
		{ 0x21, FIRST_VECTOR },
		{ 0x21, 1 << CASCADE },
		{ 0x21, 1 },
		{ 0xa0, 0x11 },
		{ 0xa1, FIRST_VECTOR + 8 },
		{ 0xa1, CASCADE },
		{ 0xa1, 1 },
		{ 0x21, 0xff },
		{ 0xa1, 0xff },
	};

	for (unsigned i = 0; i < sizeof commands / sizeof *commands; i++)
		port_write(commands[i][0], commands[i][1]);
}

static void line_unmask(unsigned line)
{
	uint16_t mask = line < 8 ? 0x21 : 0xa1;

	port_write(mask, port_read(mask) & (uint8_t) ~(1 << line % 8));
}

static void clock_interrupt(void)
{
	ticks++;
}

void interrupts_init(void)
{
	gates_init();
	controllers_init();
	line_unmask(CASCADE);
	interrupt_handle(0, clock_interrupt);
	port_write(0x43, 0x34); // counter 0, low then high byte, rate generator
	port_write(0x40, PIT_DIVISOR & 0xff);
	port_write(0x40, PIT_DIVISOR >> 8);
}

void interrupt_handle(unsigned line, void (*handler)(void))
{
	handlers[line] = handler;
	line_unmask(line);
}

// Interrupts come on only after the instruction that follows sti: none is missed in between.
void cpu_sleep(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

uint32_t clock_now(void)
{
	return ticks;
}
