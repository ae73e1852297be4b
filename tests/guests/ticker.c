// SPDX-License-Identifier: MIT
// Prints "tick 1", "tick 2", ... once a second. The count lives in the guest's memory: it stands
// still while the VM is suspended, and a snapshot brings an earlier one back.
#include "guest.h"
#include "interrupt.h"

void guest_main(void)
{
	put_text("This is virtgate's ticker guest. It counts seconds.\n");
	interrupts_init();
	for (uint32_t tick = 1;; tick++) {
		while (clock_now() < tick * TICKS_PER_SECOND)
			cpu_sleep();
		put_text("tick ");
		put_number(tick);
		put_text("\n");
	}
}
