// SPDX-License-Identifier: MIT
#include "pci.h"

#include "guest.h"

enum { CONFIG_ADDRESS = 0xcf8, CONFIG_DATA = 0xcfc, SLOTS = 32 };

static void select(unsigned slot, unsigned offset)
{
	port_write32(CONFIG_ADDRESS, 1u << 31 | slot << 11 | offset);
}

uint32_t pci_read(unsigned slot, unsigned offset)
{
	select(slot, offset);
	return port_read32(CONFIG_DATA);
}

void pci_write(unsigned slot, unsigned offset, uint32_t value)
{
	select(slot, offset);
	port_write32(CONFIG_DATA, value);
}

bool pci_find(uint16_t vendor, uint16_t device, unsigned *ret_slot)
{
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		if (pci_read(slot, 0) == (vendor | (uint32_t)device << 16)) {
			*ret_slot = slot;
			return true;
		}
	}
	return false;
}
