/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * All that is known of one VM without asking QEMU or the guest, so that a VM whose QEMU hangs is
 * read as fast as any other. All functions may be called from any thread.
 */
#include "definition/pending.h"
#include "format/json.h"
#include "libvirt/domain.h"
#include "vm/addresses.h"
#include "vm/host.h"

/* Texts are owned by the struct; NULL: there is none. */
struct vm_disk {
	char *target, *bus, *device, *format;
	char *source; /* relative to the directory of images if it is there; NULL: an empty drive */
	bool readonly;
	int64_t capacity, allocation; /* bytes; -1: not known */
};

struct vm_interface {
	char *mac, *model, *network, *bridge;
	char *target; /* its name on the host, while the VM runs */
	size_t address_count;
	struct vm_address addresses[VM_ADDRESSES_MAX];
};

struct vm_graphics {
	char *type, *listen;
	int port, websocket; /* 0: none, or the VM is off */
};

enum { VM_DEVICES_MAX = 64 }; /* of each kind; further ones are left out */

/* Devices are those of the running VM; if it is off, those of its definition. */
struct vm_detail {
	struct vm vm;
	char version[HASH_SIZE]; /* domain_version() */
	int id;                  /* libvirt's of the running domain; -1: the VM is off */
	char *title, *description;
	struct json *labels; /* an object */
	int vcpus_maximum;
	bool agent;       /* the guest's agent is connected */
	unsigned pending; /* bits by enum pending_part */
	size_t disk_count, interface_count, graphics_count;
	struct vm_disk *disks;
	struct vm_interface *interfaces;
	struct vm_graphics *graphics;
};

/* images is the directory of images. The caller frees *ret by detail_done(). */
int detail_read(struct host *host, const char *images, const char *ref, struct vm_detail *ret,
	struct err *err);
void detail_done(struct vm_detail *detail);
#define AUTO_DETAIL __attribute__((cleanup(detail_done)))

/*
 * Adds an address to the interfaces with this MAC address. An address that an interface already has
 * is not added again: its source becomes the better of both, by enum address_source.
 */
void detail_add_address(
	struct vm_detail *detail, const char *mac, const struct vm_address *address);
