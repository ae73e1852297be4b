# SPDX-License-Identifier: MIT
# The test guests: 32-bit kernels without a C library, so that any gcc for x86-64 builds them.

GUESTS := $(patsubst %,$(BUILD)/guests/%_qemu-x86_64,hello ticker httpreply nginx)

GUEST_DIR := tests/guests
GUEST_COMMON := boot.S guest.c bytes.c
hello_SOURCES := hello.c
ticker_SOURCES := ticker.c interrupt.c
httpreply_SOURCES := web.c http.c p9.c tcp.c dhcp.c net.c virtio.c pci.c interrupt.c
# The same guest: it is what its devices make of it.
nginx_SOURCES := $(httpreply_SOURCES)

GUEST_CFLAGS := -std=gnu17 -m32 -Os -Wall -Wextra -ffreestanding -fno-pie \
	-fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	-mgeneral-regs-only
GUEST_LDFLAGS := -nostdlib -static -no-pie \
	-Wl,-T,$(GUEST_DIR)/guest.ld,-z,max-page-size=4096,--build-id=none,--strip-all

.PHONY: guests
guests: $(GUESTS)

$(GUESTS): $(BUILD)/guests/%_qemu-x86_64: $(wildcard $(GUEST_DIR)/*)
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) $(GUEST_LDFLAGS) -o $@ $(addprefix $(GUEST_DIR)/,$(GUEST_COMMON) $($*_SOURCES))
