/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The only door to libxml2. Parsing is hardened: no network, no DTD and so no entities, no
 * processing instructions, UTF-8 only, bounded bytes, elements, attributes, namespaces and depth
 * (256, libxml2's own). Comments are dropped and CDATA becomes text, so that what is serialised is
 * what was looked at.
 *
 * A document belongs to one thread at a time and owns its nodes. Texts that are returned are the
 * caller's to free. A function that makes or changes a node returns NULL or -1 when memory is out.
 */
#include "base/err.h"

enum {
	XML_BYTES_MAX = 128 * 1024,
	XML_ELEMENTS_MAX = 4096,
	XML_ATTRIBUTES_MAX = 4096,
	/* libvirt 9.0.0's check against its schema takes the square of it in memory. */
	XML_ELEMENT_ATTRIBUTES_MAX = 64,
	XML_NAMESPACES_MAX = 256, /* declarations of them */
};

struct xml;
struct xml_node;

/* Once, before any thread is started. */
void xml_init(void);

/* A client's. `what` starts the message: "domain XML". ERR_INVALID_XML, ERR_BODY_TOO_LARGE. */
int xml_parse(const char *text, size_t len, const char *what, struct xml **ret, struct err *err);
/* libvirt's own, of any size: escapes make it larger than what a client sent. ERR_INTERNAL. */
int xml_parse_trusted(const char *text, struct xml **ret, struct err *err);
struct xml *xml_new(const char *root);
void xml_free(struct xml *doc);
DEFINE_AUTO(struct xml *, xml_free)
char *xml_text(const struct xml *doc);

struct xml_node *xml_root(const struct xml *doc);
bool xml_is(const struct xml_node *node, const char *name);
/* The first child element of that name, and the next sibling of the same name; NULL: none. */
struct xml_node *xml_child(const struct xml_node *node, const char *name);
struct xml_node *xml_next(const struct xml_node *node);
/* The element at a path of first children ("devices/disk"); NULL: none. */
struct xml_node *xml_find(const struct xml_node *node, const char *path);
/*
 * Calls each(node, data) for every element at a path of children, which it may remove; an
 * attribute at the path's end ("devices/disk/source/@file") is for it to look at. -1 ends that.
 */
typedef int xml_node_fn(struct xml_node *node, void *data);
int xml_each_at(struct xml_node *node, const char *path, xml_node_fn *each, void *data);
/* The first child element of any name, and the next sibling; NULL: none. */
struct xml_node *xml_first(const struct xml_node *node);
struct xml_node *xml_sibling(const struct xml_node *node);
struct xml_node *xml_parent(const struct xml_node *node); /* NULL: it is the root */
const char *xml_name(const struct xml_node *node);        /* without its prefix */
/* Is it in a namespace, or does it declare one? */
bool xml_is_foreign(const struct xml_node *node);
const char *xml_uri(const struct xml_node *node); /* of its namespace; NULL: none */
/* Has it text of its own other than white space? */
bool xml_has_text(const struct xml_node *node);
/* Calls each(name, value, foreign, data) for every attribute. -1: memory. */
typedef void xml_attr_fn(const char *name, const char *value, bool foreign, void *data);
int xml_each_attr(const struct xml_node *node, xml_attr_fn *each, void *data);
/* The element's text with surrounding white space removed. NULL: memory. */
char *xml_node_text(const struct xml_node *node);
char *xml_raw_text(const struct xml_node *node); /* the same with it */
/* The text at a path, cut to size and masked; "" when there is none. */
void xml_copy_text(const struct xml_node *node, const char *path, char *ret, size_t size);
/* NULL: no such attribute. */
char *xml_attr(const struct xml_node *node, const char *name);
/* Has it neither attributes nor children? */
bool xml_is_bare(const struct xml_node *node);

int xml_set_text(struct xml_node *node, const char *text);
int xml_set_attr(struct xml_node *node, const char *name, const char *value);
/* A new last child, in its parent's namespace, with a text (may be NULL). */
struct xml_node *xml_add(struct xml_node *parent, const char *name, const char *text);
/* A new last child in a namespace that it declares. */
struct xml_node *xml_add_foreign(
	struct xml_node *parent, const char *prefix, const char *uri, const char *name);
/*
 * Puts the children into the order of their names, which are separated by |; those that are not
 * named come first.
 */
void xml_sort(struct xml_node *node, const char *names);
void xml_remove(struct xml_node *node);
void xml_remove_attr(struct xml_node *node, const char *name);

/* A RELAX NG schema. Loading takes tens of milliseconds. */
struct xml_schema;
int xml_schema_load(const char *path, struct xml_schema **ret, struct err *err);
void xml_schema_free(struct xml_schema *schema);
DEFINE_AUTO(struct xml_schema *, xml_schema_free)
/*
 * ERR_INVALID_XML, with libxml2's words, when the document does not fit. A schema validates for
 * one thread at a time.
 */
int xml_validate(const struct xml *doc, struct xml_schema *schema, struct err *err);
