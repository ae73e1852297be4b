/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What virtgate itself keeps of a VM, in the <metadata> of its domain, where libvirt allows one
 * element per namespace:
 *	<virtgate:vm xmlns:virtgate="urn:virtgate:vm:1">
 *	  <virtgate:label name="tier">web</virtgate:label>
 *	  <virtgate:disk path="/var/lib/libvirt/images/web.qcow2"/>
 *	  <virtgate:request hash="00112233445566778899aabbccddeeff"/>
 *	</virtgate:vm>
 * A disk there is an image that virtgate made for this VM, and may remove with it; the request is
 * the one, with an Idempotency-Key, that the VM was made by. A client must not be able to claim
 * either. Thread-safe: no state.
 */
#include "base/hash.h"
#include "format/field.h"
#include "format/xml.h"

#include <stdatomic.h>

#define METADATA_URI "urn:virtgate:vm:1"
#define METADATA_PREFIX "virtgate"
enum { METADATA_LABELS_MAX = 64, METADATA_DISKS_MAX = 16, METADATA_PATH_MAX = 1023 };

/* One block of memory, for free() or labels_give(); shared by several threads, it is constant. */
struct labels {
	atomic_int holders;
	size_t count;
	struct label {
		const char *name, *text;
	} label[];
};

/*
 * Those of our element as virDomainGetMetadata() has it, which is without the namespace; *ret is
 * NULL when there are none. The caller holds them.
 */
int metadata_read_labels(const char *element, struct labels **ret, struct err *err);

/* One holder more, and one less; NULL is nobody's. */
struct labels *labels_share(struct labels *labels);
void labels_give(struct labels *labels);

/* Replaces all labels of a <domain>; labels is a checked object of names to texts. */
int metadata_set_labels(struct xml_node *domain, const struct json *labels, struct err *err);

/*
 * The same as a merge patch (RFC 7396 section 2): a label that is null goes, the others are set;
 * null instead of the object takes all. ERR_INVALID_SPEC for more than METADATA_LABELS_MAX
 * afterwards.
 */
int metadata_merge_labels(struct xml_node *domain, const struct json *labels, struct err *err);

/* Records an image that virtgate makes for this <domain>; is one recorded? */
int metadata_add_disk(struct xml_node *domain, const char *path, struct err *err);
bool metadata_has_disk(const struct xml_node *domain, const char *path);

/* Records the request that a <domain> is made by; "" when none is recorded. */
int metadata_set_request(struct xml_node *domain, const char *hash, struct err *err);
void metadata_get_request(const struct xml_node *domain, char ret[static HASH_SIZE]);

/* Takes out all such records of a client's <domain>: whatever they say is not ours. */
void metadata_drop_claims(struct xml_node *domain);

/* Records what is recorded in the <domain> that this one replaces, of disks those that stay. */
int metadata_keep_claims(struct xml_node *domain, const struct xml_node *replaced, struct err *err);

/*
 * What virDomainSetMetadata() takes for all that stands in our namespace of a <domain>: an element
 * without namespaces, which libvirt gives ours. *ret is NULL when there is nothing; the caller
 * frees it.
 */
int metadata_element(const struct xml_node *domain, char **ret, struct err *err);

/*
 * The labels of a <domain> as an object of names to texts, which the caller owns. What is no label
 * as above, of whoever wrote it, is none.
 */
struct json *metadata_labels(const struct xml_node *domain);

/* Why an element of our namespace below <metadata> is not as above, in words; NULL: it is. */
const char *metadata_refusal(const struct xml_node *node);
