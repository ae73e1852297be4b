// SPDX-License-Identifier: MIT
// Virtio devices by the interface from before version 1.0 of its specification ("legacy"), which
// speaks over I/O ports. QEMU's devices on a plain PCI bus still have it.
//
// What a driver does: virtio_open(), virtqueue_init() for each queue, virtio_start(); then it sets
// descriptors, each one a buffer for the device to read or to fill, and offers them. The device
// gives each back when done, with an interrupt that ends cpu_sleep().
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { VIRTIO_NET = 0x1000, VIRTIO_9P = 0x1009 }; // PCI device ids

struct virtio {
	uint16_t port; // where its registers begin
};

struct virtqueue {
	struct virtio *device;
	uint16_t index;
	uint16_t size;
	uint16_t taken; // how many the driver has taken back, modulo 2^16 as all such counts
	volatile struct virtq_descriptor *descriptors;
	volatile struct virtq_available *available;
	volatile struct virtq_used *used;
};

enum { VIRTQUEUE_MAX = 1024 }; // the most entries that QEMU makes a queue of
enum { VIRTQUEUE_PAGES = 8 };  // for that many

// What a queue's entries live in; zero at first.
typedef uint8_t virtqueue_memory[VIRTQUEUE_PAGES * 4096] __attribute__((aligned(4096)));

// Finds the first such device and resets it. Of the wanted features it gets those that it has.
bool virtio_open(struct virtio *ret, uint16_t pci_device, uint32_t features);
void virtio_start(struct virtio *device);
uint8_t virtio_config(const struct virtio *device, unsigned offset);

// False if the device lacks the queue or its size is not from 'least' to VIRTQUEUE_MAX.
bool virtqueue_init(struct virtqueue *ret, struct virtio *device, uint16_t index, uint16_t least,
	virtqueue_memory memory);

// Whether a buffer given back interrupts; at first it does.
void virtqueue_interrupts(struct virtqueue *queue, bool on);

enum virtq_use { VIRTQ_NEXT = 1, VIRTQ_DEVICE_FILLS = 2 }; // NEXT: followed by descriptor + 1
void virtqueue_set(struct virtqueue *queue, uint16_t descriptor, const void *buffer, uint32_t size,
	unsigned use);

void virtqueue_offer(struct virtqueue *queue, uint16_t descriptor);

// The next descriptor that the device has given back, if any, and how many bytes it has filled.
bool virtqueue_take(struct virtqueue *queue, uint16_t *ret_descriptor, uint32_t *ret_size);
