/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Domain XML on its way to libvirt: it is parsed, gets a name and a UUID, its relative paths become
 * absolute, and its type is chosen. libvirt gets this tree serialised, never the client's bytes.
 *
 * A document belongs to one thread.
 */
#include "base/config.h"
#include "base/uuid.h"
#include "format/xml.h"
#include "libvirt/virt.h"

enum { DOMAIN_XML_WARNINGS_MAX = 32 }; /* more than the policy leaves room for */
struct domain_xml {
	struct xml *doc;
	char name[64];
	char uuid[UUID_SIZE];
	char warnings[DOMAIN_XML_WARNINGS_MAX][160]; /* about what was changed */
	size_t warning_count;
};
void domain_xml_done(struct domain_xml *domain);
#define AUTO_DOMAIN_XML __attribute__((cleanup(domain_xml_done)))

/* Adds a warning for the client; dropped if there are DOMAIN_XML_WARNINGS_MAX already. */
void domain_xml_warn(struct domain_xml *domain, const char *fmt, ...) FORMAT(2, 3);

/* Parses a <domain>, and sets only the document. ERR_INVALID_XML. */
int domain_xml_read(const char *text, size_t len, struct domain_xml *ret, struct err *err);

/*
 * Makes it a definition of an existing VM, with the name and UUID of the VM. ERR_INVALID_SPEC if
 * the document has different ones.
 */
int domain_xml_adopt(
	struct domain_xml *domain, const char *name, const char *uuid, struct err *err);

/* Sets the UUID. ERR_INVALID_SPEC if the document has one. */
int domain_xml_identify(struct domain_xml *domain, const char *uuid, struct err *err);

/*
 * Settles what the client left open, before the policy checks the document. ERR_INVALID_XML if it
 * has more than one name or UUID, ERR_INVALID_SPEC if one of them is wrong.
 *
 * A missing UUID or MAC address becomes a random one. A relative path starts from config->images
 * (kernel, initrd, disk) or config->shares (source of a filesystem); the name of a serial log
 * becomes a path in config->logs (serial_log.h). ERR_INVALID_SPEC if it leads out with "..".
 * Removed is what libvirt writes for a running VM or chooses by itself, and what only virtgate may
 * record (metadata_drop_claims()).
 */
int domain_xml_settle(struct domain_xml *domain, const struct config *config, struct err *err);

/* Moves elements that were added to a settled document to where libvirt's schema wants them. */
void domain_xml_sort(const struct domain_xml *domain);

/* Sets the type of the VM: "test" on the test driver, else by accel. */
int domain_xml_accelerate(
	struct domain_xml *domain, enum accel accel, struct lease *lease, struct err *err);
