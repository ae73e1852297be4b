/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The closed list of what domain XML may say: one row for each element and attribute. What has no
 * row is refused (policy.h). Thread-safe: the table is constant.
 */
#include "base/base.h"

/* What a value may be. policy_rule.c has a row for each: how it is checked and described. */
enum policy_rule {
	RULE_NOTHING, /* an element without text of its own; an attribute that must be empty */
	RULE_WORDS,   /* one of arg, separated by | */
	RULE_NUMBER,  /* a whole number from min to max */
	RULE_HEX,     /* the same, also as 0x… */
	RULE_TOKEN,   /* up to max of letters, digits and . _ + - : */
	RULE_TEXT,    /* up to max bytes of anything */
	RULE_SIZE,    /* with @unit, at most max KiB */
	RULE_NAME,    /* of a VM */
	RULE_UUID,
	RULE_MAC,
	RULE_DISK,    /* sda, vdb, …: libvirt adds a controller for every seven up to the last */
	RULE_NETWORK, /* one of VIRTGATE_NETWORKS */
	RULE_BRIDGE,  /* one of VIRTGATE_BRIDGES */
	RULE_KERNEL,  /* a file beneath VIRTGATE_IMAGES */
	RULE_IMAGE,   /* the same, its header and its backing files checked */
	RULE_SHARE,   /* a directory beneath VIRTGATE_SHARES */
	RULE_LOG,     /* a file beneath VIRTGATE_LOGS */
	RULE_OPAQUE,  /* any content: libvirt only stores it */
	RULE_COUNT
};

struct policy_row {
	const char *path;      /* of an element, or of an attribute: ends in /@attribute */
	enum policy_rule rule; /* for the element's text or the attribute's value */
	const char *arg;
	int64_t min, max;
	int count;     /* of an element: how many there may be below one parent; 0: one */
	bool required; /* of an attribute */
};

extern const struct policy_row policy_rows[];
extern const size_t policy_row_count;

/* The row of this path; NULL: there is none. */
const struct policy_row *policy_row_find(const char *path);

/* The rows of the attributes that are required; NULL at the end. */
const struct policy_row *const *policy_rows_required(void);
