// SPDX-License-Identifier: MIT
// Interrupts, a clock and sleep. Interrupts are off except within cpu_sleep(), so nothing else has
// to reckon with them: whatever they announce is still pending when the CPU goes to sleep, and
// wakes it at once. The clock also does, so that an interrupt that got lost delays, and no more.
#pragma once

#include <stdint.h>

enum { TICKS_PER_SECOND = 20 }; // the timer's 16-bit divisor allows no fewer than 19

// Once, before the others: routes the interrupts and starts the clock.
void interrupts_init(void);

// Has the handler called for each interrupt on this line, 0 to 15. It runs within cpu_sleep().
void interrupt_handle(unsigned line, void (*handler)(void));

// Halts the CPU until an interrupt has been handled.
void cpu_sleep(void);

// Ticks since interrupts_init(); stands still while the VM does, and wraps after seven years.
uint32_t clock_now(void);
