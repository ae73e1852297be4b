# SPDX-License-Identifier: MIT
# The test guests: 32-bit kernels without a C library, so that any gcc for x86-64 builds them.

GUESTS := $(BUILD)/guests/hello_qemu-x86_64 $(BUILD)/guests/ticker_qemu-x86_64

GUEST_DIR := tests/guests
GUEST_COMMON := $(GUEST_DIR)/boot.S $(GUEST_DIR)/guest.c
GUEST_CFLAGS := -std=gnu17 -m32 -Os -Wall -Wextra -ffreestanding -fno-pie \
	-fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	-mgeneral-regs-only
GUEST_LDFLAGS := -nostdlib -static -no-pie \
	-Wl,-T,$(GUEST_DIR)/guest.ld,-z,max-page-size=4096,--build-id=none,--strip-all

.PHONY: guests
guests: $(GUESTS)

$(GUESTS): $(BUILD)/guests/%_qemu-x86_64: $(GUEST_DIR)/%.c $(GUEST_COMMON) \
		$(GUEST_DIR)/guest.h $(GUEST_DIR)/guest.ld $(GUEST_DIR)/guests.mk
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) $(GUEST_LDFLAGS) -o $@ $(GUEST_COMMON) $<
