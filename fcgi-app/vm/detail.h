/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * All that there is to know of one VM without asking QEMU or the guest: a VM whose QEMU is stuck is
 * answered as fast as another. All functions may be called from any thread.
 */
#include "definition/pending.h"
#include "format/json.h"
#include "libvirt/domain.h"
#include "vm/addresses.h"
#include "vm/host.h"

/* Texts are owned, and NULL where there is none. */
struct vm_disk {
	char *target, *bus, *device, *format;
	char *source; /* relative to the images' directory if it lies there; NULL: an empty drive */
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
	int port, websocket; /* 0: none, or it does not run */
};

enum { VM_DEVICES_MAX = 64 }; /* of each kind; more are not shown */

/* Disks, interfaces and graphics are those that it runs with, else those of the definition. */
struct vm_detail {
	struct vm vm;
	char version[HASH_SIZE]; /* domain_version() */
	int id;                  /* libvirt's, of the domain that runs; -1 */
	char *title, *description;
	struct json *labels; /* an object */
	int vcpus_maximum;
	bool agent;       /* is the guest's agent connected? */
	unsigned pending; /* bits by enum pending_part */
	size_t disk_count, interface_count, graphics_count;
	struct vm_disk *disks;
	struct vm_interface *interfaces;
	struct vm_graphics *graphics;
};

/* images is the directory that disks are looked for in. ret is freed by detail_done(). */
int detail_read(struct host *host, const char *images, const char *ref, struct vm_detail *ret,
	struct err *err);
void detail_done(struct vm_detail *detail);
#define AUTO_DETAIL __attribute__((cleanup(detail_done)))

/*
 * Adds an address to the interfaces with this MAC address. One that is there already stays, with
 * the source that is first in enum address_source.
 */
void detail_add_address(
	struct vm_detail *detail, const char *mac, const struct vm_address *address);
