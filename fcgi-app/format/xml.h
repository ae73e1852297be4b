/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * XML; the only door to libxml2. Parsing is hardened: no network, no DTD and so no entities, no
 * processing instructions, UTF-8 only, and bounds on bytes, elements, attributes, namespaces and
 * depth (libxml2's 256). Comments are dropped and CDATA becomes text: what is serialised is exactly
 * what was checked.
 *
 * One thread at a time uses a document, which owns its nodes. The caller frees the texts that are
 * returned. A function that makes or changes a node returns NULL or -1 when memory runs out.
 */
#include "base/err.h"

enum {
	XML_BYTES_MAX = 128 * 1024,
	XML_ELEMENTS_MAX = 4096,
	XML_ATTRIBUTES_MAX = 4096,
	/* Validation by libvirt 9.0.0 needs memory in proportion to the square of this. */
	XML_ELEMENT_ATTRIBUTES_MAX = 64,
	XML_NAMESPACES_MAX = 64, /* declarations */
};

struct xml;
struct xml_node;

/* Once, before any other thread starts. */
void xml_init(void);

/* Parses a client's text; messages begin with `what`. ERR_INVALID_XML, ERR_BODY_TOO_LARGE. */
int xml_parse(const char *text, size_t len, const char *what, struct xml **ret, struct err *err);
/* Parses text from libvirt, of any size: its escapes can exceed the limits. ERR_INTERNAL. */
int xml_parse_trusted(const char *text, struct xml **ret, struct err *err);
struct xml *xml_new(const char *root);
/* A copy without those children of the root that have this name. */
struct xml *xml_copy_without(const struct xml *doc, const char *name);
void xml_free(struct xml *doc);
DEFINE_AUTO(struct xml *, xml_free)
char *xml_text(const struct xml *doc);

struct xml_node *xml_root(const struct xml *doc);
bool xml_is(const struct xml_node *node, const char *name);
/* The first child element with this name, and the next sibling with the same name; or NULL. */
struct xml_node *xml_child(const struct xml_node *node, const char *name);
struct xml_node *xml_next(const struct xml_node *node);
/* The element at a path ("devices/disk"), by the first child of each name; or NULL. */
struct xml_node *xml_find(const struct xml_node *node, const char *path);
/*
 * Calls each() for every element at a path. each() may remove its element, and returns -1 to stop.
 * An attribute at the end of the path ("devices/disk/source/@file") is left for each() to read.
 */
typedef int xml_node_fn(struct xml_node *node, void *data);
int xml_each_at(struct xml_node *node, const char *path, xml_node_fn *each, void *data);
/* The first child element, and the next sibling element, of any name; or NULL. */
struct xml_node *xml_first(const struct xml_node *node);
struct xml_node *xml_sibling(const struct xml_node *node);
struct xml_node *xml_parent(const struct xml_node *node); /* NULL for the root */
const char *xml_name(const struct xml_node *node);        /* without its prefix */
/* Is it in a namespace, or does it declare one? */
bool xml_is_foreign(const struct xml_node *node);
const char *xml_uri(const struct xml_node *node); /* the URI of its namespace; or NULL */
/* Does it contain text other than white space, apart from its children's? */
bool xml_has_text(const struct xml_node *node);
/* Calls each() for every attribute; `foreign`: it is in a namespace. -1: out of memory. */
typedef void xml_attr_fn(const char *name, const char *value, bool foreign, void *data);
int xml_each_attr(const struct xml_node *node, xml_attr_fn *each, void *data);
/* The element's text without the white space around it. NULL: out of memory. */
char *xml_node_text(const struct xml_node *node);
char *xml_raw_text(const struct xml_node *node); /* with that white space */
/* Copies the text at a path, cut to size, with malformed UTF-8 masked; "": there is none. */
void xml_copy_text(const struct xml_node *node, const char *path, char *ret, size_t size);
/* An attribute's value; NULL: there is none, or out of memory. */
char *xml_attr(const struct xml_node *node, const char *name);
/* Has it neither attributes nor children? */
bool xml_is_bare(const struct xml_node *node);

int xml_set_text(struct xml_node *node, const char *text);
int xml_set_attr(struct xml_node *node, const char *name, const char *value);
/* Adds a last child, in the namespace of its parent, with a text or NULL. */
struct xml_node *xml_add(struct xml_node *parent, const char *name, const char *text);
/* Adds a last child that declares and uses a namespace. */
struct xml_node *xml_add_foreign(
	struct xml_node *parent, const char *prefix, const char *uri, const char *name);
/* Sorts children by a list of names, which | separates. Children not in the list come first. */
void xml_sort(struct xml_node *node, const char *names);
void xml_remove(struct xml_node *node);
void xml_remove_attr(struct xml_node *node, const char *name);

/* A RELAX NG schema. To load one takes tens of milliseconds. */
struct xml_schema;
int xml_schema_load(const char *path, struct xml_schema **ret, struct err *err);
void xml_schema_free(struct xml_schema *schema);
DEFINE_AUTO(struct xml_schema *, xml_schema_free)
/*
 * ERR_INVALID_XML, with libxml2's message, if the document does not match. One thread at a time may
 * validate with a schema.
 */
int xml_validate(const struct xml *doc, struct xml_schema *schema, struct err *err);
