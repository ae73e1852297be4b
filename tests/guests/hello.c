// SPDX-License-Identifier: MIT
// The smallest guest: it greets and halts. It stands in for the helloworld unikernel.
#include "guest.h"

void guest_main(void)
{
	put_text("Hello, world!\n");
	put_text("This is virtgate's hello guest. It has nothing more to say and halts.\n");
}
