// SPDX-License-Identifier: MIT
// The configuration space of PCI devices on bus 0, which is where QEMU's machine type pc has all.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	PCI_COMMAND = 0x04, // with the device's status in the upper half
	PCI_BASE_ADDRESS_0 = 0x10,
	PCI_INTERRUPT = 0x3c,
};

// Finds the first device of this maker and kind.
bool pci_find(uint16_t vendor, uint16_t device, unsigned *ret_slot);

uint32_t pci_read(unsigned slot, unsigned offset);
void pci_write(unsigned slot, unsigned offset, uint32_t value);
