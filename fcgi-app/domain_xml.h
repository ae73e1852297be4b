/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Domain XML on its way to libvirt: read hardened, named, given a uuid, its relative paths made
 * absolute, its type chosen. What libvirt gets is this tree serialised, never the client's bytes.
 *
 * A document belongs to one thread.
 */
#include "config.h"
#include "virt.h"
#include "xml.h"

struct domain_xml {
	struct xml *doc;
	char name[64];
	char uuid[UUID_SIZE];
	char warning[160]; /* what was changed that the client should know, or "" */
};
void domain_xml_done(struct domain_xml *domain);
#define AUTO_DOMAIN_XML __attribute__((cleanup(domain_xml_done)))

/*
 * ERR_INVALID_XML unless it is a <domain> with at most one name and uuid, ERR_INVALID_SPEC when
 * one of these is not good; `name` replaces the document's own, NULL keeps it. A document without
 * a uuid gets a random one.
 * A relative kernel, initrd or disk is taken from config->images, a filesystem's source from
 * config->shares, a serial log from config->logs; ERR_INVALID_SPEC when it leads out with "..".
 */
int domain_xml_read(const char *text, size_t len, const char *name, const struct config *config,
	struct domain_xml *ret, struct err *err);

/* Sets the type: "test" on the test driver, else by config->accel. */
int domain_xml_accelerate(
	struct domain_xml *domain, enum accel accel, struct lease *lease, struct err *err);

/*
 * Reads a template by its name, with or without ".xml", from config->templates and from nowhere
 * else. ERR_TEMPLATE_NOT_FOUND, ERR_INVALID_SPEC. The caller frees *ret.
 */
int domain_xml_template(const struct config *config, const char *name, char **ret, size_t *ret_len,
	struct err *err);

struct domain_template {
	char name[64]; /* without ".xml" */
	char title[256];
	char description[1024];
	char error[160]; /* why it cannot be used, or "" */
};

/* All templates, by name; at most TEMPLATES_MAX. The caller frees *ret. */
enum { TEMPLATES_MAX = 1000 };
int domain_xml_templates(const struct config *config, struct domain_template **ret,
	size_t *ret_count, struct err *err);
