/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One option of a QEMU command line while it is being read, the guest that all options make, and
 * the outcome of each option. Texts are borrowed from the command line and from the options' lists.
 * Thread-safe: no state.
 */
#include "base/named.h"
#include "convert/qemu_list.h"

#include <stdio.h>

#define QEMU_OUTCOMES(FIRST, NEXT) \
	FIRST(QEMU_MAPPED, "mapped")    /* it is in the guest */ \
	NEXT(QEMU_DROPPED, "dropped")   /* libvirt does this, or it is not about the guest */ \
	NEXT(QEMU_UNMAPPED, "unmapped") /* the guest lacks it */
enum qemu_outcome { QEMU_OUTCOMES(NAMED_VALUE, NAMED_VALUE) };
#define QEMU_OUTCOME_NAMES QEMU_OUTCOMES(NAMED_FIRST, NAMED_NEXT)

struct qemu_item {
	const char *option, *value; /* as written; value may be NULL */
	char property[64];          /* if the item is about this property only; or "" */
	enum qemu_outcome outcome;
	char text[160]; /* what it became, or why it was not kept */
};

struct qemu_disk {
	const char *source, *format, *device, *bus, *serial; /* or NULL */
	const char *cache, *io, *discard;

	bool readonly;
	int boot_order; /* 0: none */
};

struct qemu_interface {
	const char *bridge; /* NULL: on a network */
	const char *mac, *model;
	int boot_order;
};

struct qemu_filesystem {
	const char *source, *target;
	bool readonly;
};

struct qemu_input {
	const char *type, *bus;
};

enum {
	QEMU_DISKS_MAX = 16,
	QEMU_INTERFACES_MAX = 16,
	QEMU_FILESYSTEMS_MAX = 8,
	QEMU_INPUTS_MAX = 4
};
struct qemu_guest {
	const char *arch;                                              /* as libvirt calls it */
	const char *name, *uuid, *machine, *kernel, *initrd, *cmdline; /* or NULL */
	int64_t memory_kib;
	int vcpus, sockets, cores, threads; /* 0: not said */
	bool kvm;
	const char *cpu_mode, *cpu_model; /* as libvirt has them; or NULL */
	bool no_acpi, no_hpet, no_reboot, localtime;
	bool no_graphics, no_serial, rng, agent, watchdog, panic;
	const char *serial_log; /* or NULL */
	const char *video;      /* libvirt's model, or NULL */
	const char *boot;       /* devices in order: "cdn" */
	struct qemu_input inputs[QEMU_INPUTS_MAX];
	size_t input_count;
	struct qemu_disk disks[QEMU_DISKS_MAX];
	size_t disk_count;
	struct qemu_interface interfaces[QEMU_INTERFACES_MAX];
	size_t interface_count;
	struct qemu_filesystem filesystems[QEMU_FILESYSTEMS_MAX];
	size_t filesystem_count;
};

struct qemu_row; /* of qemu_argv.c's table */

struct qemu_option {
	const struct qemu_row *row; /* NULL: unknown */
	const char *value;          /* NULL: it takes none */
	struct qemu_list list;
	struct qemu_item item;
};

struct qemu_reading {
	struct qemu_option *options;
	size_t option_count;
	struct qemu_guest *guest;
	bool has_serial;
	struct err *err;
};

typedef int qemu_reader(struct qemu_reading *r, struct qemu_option *o);

/* Sets the outcome of an option; a later call replaces it. */
void qemu_say(struct qemu_option *o, enum qemu_outcome outcome, const char *fmt, ...) FORMAT(3, 4);
/* ERR_INVALID_SPEC: the option is wrong; `right` says what is right. Always -1. */
int qemu_bad(struct qemu_reading *r, const struct qemu_option *o, const char *right);

/* A number, perhaps with a fraction, and a suffix, else in units, as QEMU's util/cutils.c has it.
 */
bool qemu_read_size(const char *text, uint64_t unit, uint64_t *ret);
bool qemu_read_count(const char *text, int *ret); /* 1 to 4096 */

/* A path without "./" in front: relative paths lie beneath virtgate's directories. */
const char *qemu_path(const char *path);

/* What several options make; each adds to the guest and sets the outcome. */
int qemu_add_disk(struct qemu_reading *r, struct qemu_option *o, const struct qemu_disk *disk);
int qemu_add_interface(
	struct qemu_reading *r, struct qemu_option *o, const struct qemu_interface *interface);
/* From path, readonly and the like in the list. */
int qemu_add_filesystem(
	struct qemu_reading *r, struct qemu_option *o, struct qemu_list *list, const char *tag);
int qemu_add_input(
	struct qemu_reading *r, struct qemu_option *o, const char *type, const char *bus);
int qemu_add_watchdog(struct qemu_reading *r, struct qemu_option *o);
int qemu_set_video(struct qemu_reading *r, struct qemu_option *o, const char *model);
/* Connects the serial console to the -chardev of this id. */
int qemu_set_serial_chardev(struct qemu_reading *r, struct qemu_option *o, const char *id);

/* Reads what a drive has about its image. */
void qemu_read_image(struct qemu_list *list, struct qemu_disk *disk);
/*
 * Reads a network backend: a bridge by name, a tap on the bridge that a script would have put it
 * on, or QEMU's own NAT, which libvirt's network replaces. false: any other backend.
 */
bool qemu_read_netdev(struct qemu_list *list, struct qemu_interface *interface);

/* The option of this name whose key has this id, which is taken; NULL: there is none. */
struct qemu_option *qemu_find_backend(
	struct qemu_reading *r, const char *name, const char *key, const char *id);

/*
 * Prints a table's row in Markdown, and further rows with the rest of the names where a line would
 * exceed 100 columns. names: separated by '|'; a '-' at the end of a name stands for any ending.
 */
void qemu_print_row(
	FILE *out, const char *prefix, const char *names, const char *outcome, const char *text);
