/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What virtgate itself keeps of a VM, in the <metadata> of its domain, where libvirt allows one
 * element per namespace:
 *	<virtgate:vm xmlns:virtgate="urn:virtgate:vm:1">
 *	  <virtgate:label name="tier">web</virtgate:label>
 *	</virtgate:vm>
 * Thread-safe: no state.
 */
#include "field.h"
#include "xml.h"

#define METADATA_URI "urn:virtgate:vm:1"
enum { METADATA_LABELS_MAX = 64 };

/* Replaces all labels of a <domain>; labels is a checked object of names to texts. */
int metadata_set_labels(struct xml_node *domain, const struct json *labels, struct err *err);

/* Why an element of our namespace below <metadata> is not as above, in words; NULL: it is. */
const char *metadata_refusal(const struct xml_node *node);
