/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What virtgate itself records of a VM, in the <metadata> of its domain, where libvirt allows one
 * element per namespace:
 *	<virtgate:vm xmlns:virtgate="urn:virtgate:vm:1">
 *	  <virtgate:label name="tier">web</virtgate:label>
 *	  <virtgate:disk path="/var/lib/libvirt/images/web.qcow2"/>
 *	  <virtgate:carrier path="/var/lib/libvirt/images/carrier-….qcow2"/>
 *	  <virtgate:request hash="00112233445566778899aabbccddeeff"/>
 *	</virtgate:vm>
 * A disk is an image that virtgate made for this VM and may remove with the VM; the carrier is one
 * that it removes always. The request is the one, with an Idempotency-Key, that made the VM. A
 * client must not be able to claim any of them; below, they are called claims. Thread-safe: no
 * state.
 */
#include "base/hash.h"
#include "format/field.h"
#include "format/xml.h"

#include <stdatomic.h>

#define METADATA_URI "urn:virtgate:vm:1"
#define METADATA_PREFIX "virtgate"
enum { METADATA_LABELS_MAX = 64, METADATA_DISKS_MAX = 16, METADATA_PATH_MAX = 1023 };

/* One block of memory, which free() or labels_give() releases; constant while it is shared. */
struct labels {
	atomic_int holders;
	size_t count;
	struct label {
		const char *name, *text;
	} label[];
};

/*
 * Reads the labels of our element as virDomainGetMetadata() returns it, without the namespace. *ret
 * is NULL if there are none; else the caller is a holder.
 */
int metadata_read_labels(const char *element, struct labels **ret, struct err *err);

/* Adds a holder; removes one, the last of which frees the labels. NULL is allowed. */
struct labels *labels_share(struct labels *labels);
void labels_give(struct labels *labels);

/* Replaces all labels of a <domain>; labels is a checked object from names to texts. */
int metadata_set_labels(struct xml_node *domain, const struct json *labels, struct err *err);

/*
 * Applies labels as a merge patch (RFC 7396 section 2): null removes a label, other values set it;
 * null instead of the object removes all labels. ERR_INVALID_SPEC if the VM would have more than
 * METADATA_LABELS_MAX.
 */
int metadata_merge_labels(struct xml_node *domain, const struct json *labels, struct err *err);

/* Records an image that virtgate makes for this <domain>; is one recorded? */
int metadata_add_disk(struct xml_node *domain, const char *path, struct err *err);
bool metadata_has_disk(const struct xml_node *domain, const char *path);

/* The same of the carrier disk, of which a VM has one at most. */
int metadata_set_carrier(struct xml_node *domain, const char *path, struct err *err);
bool metadata_is_carrier(const struct xml_node *domain, const char *path);

/* Records the request that makes a <domain>; reads it, "" if none is recorded. */
int metadata_set_request(struct xml_node *domain, const char *hash, struct err *err);
void metadata_get_request(const struct xml_node *domain, char ret[static HASH_SIZE]);

/*
 * Claims are what only virtgate may write: the disks it created, the request. Removes them from a
 * client's <domain>.
 */
void metadata_drop_claims(struct xml_node *domain);

/* Copies the claims of the <domain> that this one replaces; of disks, those that it still has. */
int metadata_keep_claims(struct xml_node *domain, const struct xml_node *replaced, struct err *err);

/*
 * Our element of a <domain> as virDomainSetMetadata() expects it: without namespaces, since libvirt
 * adds ours. *ret is NULL if there is none; the caller frees it.
 */
int metadata_element(const struct xml_node *domain, char **ret, struct err *err);

/*
 * The labels of a <domain> as an object from names to texts, which the caller owns. An element that
 * is not a label as above is left out.
 */
struct json *metadata_labels(const struct xml_node *domain);

/* NULL, or the reason in words why an element of our namespace below <metadata> is not as above. */
const char *metadata_refusal(const struct xml_node *node);
