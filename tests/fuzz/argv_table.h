/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What QEMU 7.2 does with its options, as far as libvirt 9.0 writes them for a harmless VM. Both
 * tables end with a row without a name.
 */
#include <stddef.h>

enum judgement {
	FREE,     /* only the guest sees it, or nobody */
	LABEL,    /* letters, digits and . _ + - : as in ids, which no path or command has */
	NUMBER,   /* begins like one, and goes on with letters and digits: 0x1f, 64k */
	SWITCH,   /* on, off, true or false */
	WORDS,    /* one of arg, separated by | */
	PATTERN,  /* one of arg, with wildcards that match no slash: chosen by libvirt */
	BENEATH,  /* a path beneath one of the directories in arg: images, shares, logs, firmware */
	LOOPBACK, /* 127.0.0.1 or [::1], and a display */
};

struct argv_option {
	const char *name;
	enum { ALONE, WHOLE, PROPERTIES } form;
	const char *first; /* the property that a first word without '=' is the value of */
};
extern const struct argv_option argv_options[];

/*
 * Values: of environment variables, options (key "" stands for a whole value) and properties. Where
 * there are several rows one must fit.
 */
struct argv_row {
	const char *option;
	const char *key; /* "*": any key that is a label */
	enum judgement judgement;
	const char *arg;
};
extern const struct argv_row argv_rows[];
