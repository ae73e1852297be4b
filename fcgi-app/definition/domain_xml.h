/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Domain XML on its way to libvirt: read hardened, named, given a uuid, its relative paths made
 * absolute, its type chosen. What libvirt gets is this tree serialised, never the client's bytes.
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
	char warnings[DOMAIN_XML_WARNINGS_MAX][160]; /* of what was changed */
	size_t warning_count;
};
void domain_xml_done(struct domain_xml *domain);
#define AUTO_DOMAIN_XML __attribute__((cleanup(domain_xml_done)))

/* Adds a warning for whoever sent the document; beyond the most there is room for it is lost. */
void domain_xml_warn(struct domain_xml *domain, const char *fmt, ...) FORMAT(2, 3);

/* ERR_INVALID_XML unless it is a <domain>. Only the document is set. */
int domain_xml_read(const char *text, size_t len, struct domain_xml *ret, struct err *err);

/*
 * For the definition of a VM that exists: name and uuid become its own. ERR_INVALID_SPEC when the
 * document has others.
 */
int domain_xml_adopt(
	struct domain_xml *domain, const char *name, const char *uuid, struct err *err);

/* Gives it a uuid, which it must not have: ERR_INVALID_SPEC. */
int domain_xml_identify(struct domain_xml *domain, const char *uuid, struct err *err);

/*
 * Settles what the client left open, for the policy to look at. ERR_INVALID_XML unless there is
 * at most one name and uuid, ERR_INVALID_SPEC when one of these is not good. A document without a
 * uuid gets a random one, as does an interface without a MAC address.
 * A relative kernel, initrd or disk is taken from config->images, a filesystem's source from
 * config->shares, a serial log from config->logs; ERR_INVALID_SPEC when it leads out with "..".
 * What libvirt writes of a VM that runs, or chooses by itself, is taken out, and so is what only
 * virtgate itself may say (metadata_drop_claims()).
 */
int domain_xml_settle(struct domain_xml *domain, const struct config *config, struct err *err);

/* Puts what was added to a settled document into its place, where libvirt's schema wants it. */
void domain_xml_sort(const struct domain_xml *domain);

/* Sets the type: "test" on the test driver, else by config->accel. */
int domain_xml_accelerate(
	struct domain_xml *domain, enum accel accel, struct lease *lease, struct err *err);
