// SPDX-License-Identifier: MIT
#include "virtio.h"

#include "guest.h"
#include "interrupt.h"
#include "pci.h"

// Virtio 1.0, 4.1.4.8: the legacy interface's registers.
enum {
	DEVICE_FEATURES = 0,
	DRIVER_FEATURES = 4,
	QUEUE_ADDRESS = 8,
	QUEUE_SIZE = 12,
	QUEUE_SELECT = 14,
	QUEUE_NOTIFY = 16,
	DEVICE_STATUS = 18,
	INTERRUPT_STATUS = 19,
	DEVICE_CONFIG = 20,
};
enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4 }; // of DEVICE_STATUS
enum { PAGE = 4096, IO_SPACE = 1, BUS_MASTER = 4, NO_INTERRUPT = 1 };

// Virtio 1.0, 2.4: what a queue consists of, in this order, the used ring on a page of its own.
struct virtq_descriptor {
	uint64_t address;
	uint32_t size;
	uint16_t flags;
	uint16_t next;
};

struct virtq_available {
	uint16_t flags;
	uint16_t count;
	uint16_t ring[];
};

struct virtq_used {
	uint16_t flags;
	uint16_t count;
	struct {
		uint32_t descriptor;
		uint32_t size;
	} ring[];
};

static uint16_t opened[4]; // the ports of all devices in use
static unsigned opened_count;

// Devices may share a line. Each lets go of it when its status is read.
static void virtio_interrupt(void)
{
	for (unsigned i = 0; i < opened_count; i++)
		port_read(opened[i] + INTERRUPT_STATUS);
}

bool virtio_open(struct virtio *ret, uint16_t pci_device, uint32_t features)
{
	unsigned slot, line;
	uint32_t address;

	if (opened_count == sizeof opened / sizeof *opened || !pci_find(0x1af4, pci_device, &slot))
		return false;
	address = pci_read(slot, PCI_BASE_ADDRESS_0);
	if (!(address & IO_SPACE))
		return false;
	ret->port = address & 0xfffc;
	pci_write(
		slot, PCI_COMMAND, (pci_read(slot, PCI_COMMAND) & 0xffff) | IO_SPACE | BUS_MASTER);
	opened[opened_count++] = ret->port;
	line = pci_read(slot, PCI_INTERRUPT) & 0xff;
	if (line > 0 && line < 16)
		interrupt_handle(line, virtio_interrupt); // else the clock has to do

	port_write(ret->port + DEVICE_STATUS, 0); // reset
	port_write(ret->port + DEVICE_STATUS, ACKNOWLEDGE | DRIVER);
	port_write32(
		ret->port + DRIVER_FEATURES, port_read32(ret->port + DEVICE_FEATURES) & features);
	return true;
}

void virtio_start(struct virtio *device)
{
	port_write(device->port + DEVICE_STATUS, ACKNOWLEDGE | DRIVER | DRIVER_OK);
}

uint8_t virtio_config(const struct virtio *device, unsigned offset)
{
	return port_read((uint16_t)(device->port + DEVICE_CONFIG + offset));
}

bool virtqueue_init(struct virtqueue *ret, struct virtio *device, uint16_t index, uint16_t least,
	virtqueue_memory memory)
{
	uint32_t used;

	port_write16(device->port + QUEUE_SELECT, index);
	ret->device = device;
	ret->index = index;
	ret->size = port_read16(device->port + QUEUE_SIZE);
	ret->taken = 0;
	if (ret->size < least || ret->size > VIRTQUEUE_MAX)
		return false;
	used = ret->size * (sizeof *ret->descriptors + sizeof *ret->available->ring);
	used = (used + sizeof *ret->available + sizeof(uint16_t) + PAGE - 1) & ~(PAGE - 1u);
	ret->descriptors = (volatile struct virtq_descriptor *)memory;
	ret->available = (volatile struct virtq_available *)(ret->descriptors + ret->size);
	ret->used = (volatile struct virtq_used *)(memory + used);
	port_write32(device->port + QUEUE_ADDRESS, (uint32_t)memory / PAGE);
	return true;
}

void virtqueue_interrupts(struct virtqueue *queue, bool on)
{
	queue->available->flags = on ? 0 : NO_INTERRUPT;
}

void virtqueue_set(struct virtqueue *queue, uint16_t descriptor, const void *buffer, uint32_t size,
	unsigned use)
{
	queue->descriptors[descriptor].address = (uint32_t)buffer;
	queue->descriptors[descriptor].size = size;
	queue->descriptors[descriptor].flags = (uint16_t)use;
	queue->descriptors[descriptor].next = descriptor + 1;
}

// An x86 makes its writes seen in order: only the compiler must be kept from moving them.
void virtqueue_offer(struct virtqueue *queue, uint16_t descriptor)
{
	queue->available->ring[queue->available->count % queue->size] = descriptor;
	__asm__ volatile("" : : : "memory");
	queue->available->count++;
	port_write16(queue->device->port + QUEUE_NOTIFY, queue->index);
}

bool virtqueue_take(struct virtqueue *queue, uint16_t *ret_descriptor, uint32_t *ret_size)
{
	uint16_t at = queue->taken % queue->size;

	if (queue->used->count == queue->taken)
		return false;
	__asm__ volatile("" : : : "memory");
	*ret_descriptor = (uint16_t)queue->used->ring[at].descriptor;
	*ret_size = queue->used->ring[at].size;
	queue->taken++;
	return true;
}
