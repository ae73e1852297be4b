/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The rules for values of domain XML: how each is checked and described. A *_refusal() returns NULL
 * for what is allowed, else the reason. Thread-safe: no state.
 */
#include "base/config.h"
#include "definition/policy_table.h"
#include "files/hostpath.h"
#include "format/xml.h"

struct policy_value {
	const struct config *config;
	const struct policy_row *row;
	const struct xml_node *node; /* the element, or the one that has the attribute */
	const char *text;
	bool text_only; /* of a path: no file is looked at */
};

/*
 * NULL: the value keeps its row's rule. Else what is wrong with it beyond the rule's description,
 * or "". hostpath_exhausted: there is no descriptor or memory to look with.
 */
const char *policy_rule_refusal(const struct policy_value *value);

/* The rule in words, cut to size; "" for RULE_NOTHING. */
void policy_rule_describe(const struct policy_row *row, char *ret, size_t size);

/* Do libvirt and we read an element's text alike with white space around it? */
bool policy_rule_may_be_padded(enum policy_rule rule);

/* Where a rule for paths of the host wants them to lie, and what to be. */
struct policy_place {
	const char *root, *setting; /* the directory, and the name of the setting for it */
	enum hostpath_kind kind;
};
bool policy_rule_is_path(enum policy_rule rule);
struct policy_place policy_rule_place(
	enum policy_rule rule, const struct config *config, const struct xml_node *node);

/*
 * Reads a size as libvirt writes it: a whole number in a unit of up to GiB (NULL: KiB). false: it
 * is not one, or it is larger than INT64_MAX.
 */
bool policy_read_size(const char *value, const char *unit, uint64_t *ret_bytes);
