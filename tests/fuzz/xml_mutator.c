/* SPDX-License-Identifier: MIT */
#include "mutator.h"
#include "schema_words.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdio.h>
#include <string.h>

static void auto_doc(xmlDoc **doc)
{
	xmlFreeDoc(*doc);
}
#define AUTO_DOC __attribute__((cleanup(auto_doc)))

static const xmlChar *chars(const char *text)
{
	return (const xmlChar *)text;
}

static const char *name_of(const xmlNode *node)
{
	return (const char *)node->name;
}

/* One with entities is left to mutations of its bytes: a tree of it can be very large. */
static xmlDoc *parse(const char *text, size_t size)
{
	enum {
		OPTIONS = XML_PARSE_RECOVER | XML_PARSE_NONET | XML_PARSE_NOBLANKS |
			XML_PARSE_NOCDATA | XML_PARSE_NOERROR | XML_PARSE_NOWARNING
	};
	xmlDoc *doc = xmlReadMemory(text, (int)size, NULL, "UTF-8", OPTIONS);
	if (!doc || (xmlDocGetRootElement(doc) && !doc->intSubset))
		return doc;
	xmlFreeDoc(doc);
	return NULL;
}

static size_t dump(xmlDoc *doc, char *ret, size_t max_size)
{
	xmlChar *text = NULL;
	int n = 0;
	xmlDocDumpFormatMemoryEnc(doc, &text, &n, "UTF-8", 1);
	bool fits = text && n > 0 && (size_t)n <= max_size;
	if (fits)
		memcpy(ret, text, (size_t)n);
	xmlFree(text);
	return fits ? (size_t)n : 0;
}

/* All elements, the outermost first. */
struct elements {
	unsigned count;
	xmlNode *list[1024];
};

static void collect(xmlNode *node, struct elements *ret)
{
	for (; node; node = node->next) {
		if (node->type != XML_ELEMENT_NODE || ret->count == ARRAY_LEN(ret->list))
			continue;
		ret->list[ret->count++] = node;
		collect(node->children, ret);
	}
}

static xmlNode *pick_element(const struct elements *in)
{
	return in->list[mutator_pick(in->count)];
}

/* NULL: it is the only one. */
static xmlNode *pick_inner(const struct elements *in)
{
	return in->count > 1 ? in->list[1 + mutator_pick(in->count - 1)] : NULL;
}

static xmlAttr *pick_attr(const struct elements *in, xmlNode **ret)
{
	for (int tries = 0; tries < 16; tries++) {
		unsigned count = 0;
		*ret = pick_element(in);
		for (xmlAttr *a = (*ret)->properties; a; a = a->next)
			count++;
		unsigned n = mutator_pick(count);
		for (xmlAttr *a = (*ret)->properties; a; a = a->next)
			if (!n--)
				return a;
	}
	return NULL;
}

/* Words */

static const char *schema_pick(const char *element, const char *separator, const char *attr)
{
	char kind[128];
	(void)snprintf(kind, sizeof kind, "%s%s%s", element, separator, attr);
	return schema_word(kind, mutator_pick(UINT16_MAX));
}

/* Of an attribute, or where attr is "" of a text; the caller frees. */
static char *make_value(const xmlNode *node, const char *attr, const char *old)
{
	const char *word = schema_pick(name_of(node), *attr ? "@" : "=", attr);
	if (old && mutator_one_in(6))
		return mutator_garble(old);
	return strdup(word && !mutator_one_in(3) ? word : mutator_text());
}

static void put_attr(xmlNode *node, const char *attr)
{
	AUTO(free) char *name = strdup(attr); /* it may be the one that goes */
	xmlChar *old = xmlGetNoNsProp(node, chars(name));
	AUTO(free) char *value = make_value(node, name, (const char *)old);
	xmlFree(old);
	(void)xmlSetProp(node, chars(name), chars(value));
}

static void put_text(xmlNode *node)
{
	xmlNode *text = node->children;
	bool has_text = text && text->type == XML_TEXT_NODE;
	AUTO(free) char *value = make_value(node, "", has_text ? (char *)text->content : NULL);
	if (has_text)
		xmlNodeSetContent(text, NULL);
	(void)xmlAddChild(node, xmlNewText(chars(value)));
}

/* Mutations */

static void change_attr(const struct elements *in)
{
	xmlNode *node = NULL;
	const xmlAttr *attr = pick_attr(in, &node);
	if (attr)
		put_attr(node, (const char *)attr->name);
}

static void add_attr(const struct elements *in)
{
	xmlNode *node = pick_element(in);
	const char *attr = schema_pick(name_of(node), "@", "");
	if (attr)
		put_attr(node, attr);
}

static void remove_attr(const struct elements *in)
{
	xmlNode *node = NULL;
	xmlAttr *attr = pick_attr(in, &node);
	if (attr)
		(void)xmlRemoveProp(attr);
}

static void change_text(const struct elements *in)
{
	xmlNode *node = pick_element(in);
	/* Text between elements is refused at once; that is tried seldom. */
	for (int tries = 0; tries < 8 && xmlFirstElementChild(node); tries++)
		node = pick_element(in);
	put_text(node);
}

/* With attributes, so that there is something to it. */
static void add_element(const struct elements *in)
{
	xmlNode *parent = pick_element(in);
	const char *name = schema_pick(name_of(parent), "/", "");
	xmlNode *node = name ? xmlNewChild(parent, NULL, chars(name), NULL) : NULL;
	for (unsigned i = mutator_pick(4); node && i > 0; i--) {
		const char *attr = schema_pick(name, "@", "");
		if (attr)
			put_attr(node, attr);
	}
	/* Of a text that is a path the schema has no words. */
	if (node && (schema_pick(name, "=", "") || mutator_one_in(3)))
		put_text(node);
}

static void remove_element(const struct elements *in)
{
	xmlNode *node = pick_inner(in);
	if (!node)
		return;
	xmlUnlinkNode(node);
	xmlFreeNode(node);
}

static void double_element(const struct elements *in)
{
	xmlNode *node = pick_inner(in);
	xmlNode *copy = node ? xmlCopyNode(node, 1) : NULL;
	if (copy)
		(void)(mutator_one_in(4) ? xmlAddChild(pick_element(in), copy)
					 : xmlAddNextSibling(node, copy));
}

static void move_element(const struct elements *in)
{
	xmlNode *node = pick_inner(in);
	xmlNode *to = pick_element(in);
	for (const xmlNode *n = to; n; n = n->parent)
		if (n == node)
			return;
	if (!node)
		return;
	xmlUnlinkNode(node);
	(void)xmlAddChild(to, node);
	/* Whoever declared its namespace may be removed next. */
	(void)xmlReconciliateNs(node->doc, node);
}

static void rename_element(const struct elements *in)
{
	xmlNode *node = pick_inner(in);
	const char *name = node ? schema_pick(name_of(node->parent), "/", "") : NULL;
	if (name)
		xmlNodeSetName(node, chars(name));
}

/* A part of another document, below an element of the name that it was below there. */
static void graft_from(const struct elements *in, const struct elements *from)
{
	for (int tries = 0; tries < 16; tries++) {
		xmlNode *node = pick_inner(from);
		xmlNode *to = pick_element(in);
		if (!node || strcmp(name_of(node->parent), name_of(to)) != 0)
			continue;
		xmlNode *copy = xmlDocCopyNode(node, to->doc, 1);
		xmlNode *twin = to->children;
		while (twin && strcmp(name_of(twin), name_of(node)) != 0)
			twin = twin->next;
		if (!twin || mutator_one_in(3)) {
			(void)xmlAddChild(to, copy);
		} else {
			(void)xmlReplaceNode(twin, copy);
			xmlFreeNode(twin);
		}
		return;
	}
}

static void graft(const struct elements *in)
{
	const char *donor = mutator_donor();
	AUTO_DOC xmlDoc *doc = donor ? parse(donor, strlen(donor)) : NULL;
	struct elements from = { 0 };
	if (!doc)
		return;
	collect(xmlDocGetRootElement(doc), &from);
	graft_from(in, &from);
}

/* The same one twice: twice as often. */
static void (*const mutations[])(const struct elements *in) = {
	change_attr,
	change_attr,
	change_attr,
	add_attr,
	add_attr,
	remove_attr,
	change_text,
	add_element,
	add_element,
	remove_element,
	double_element,
	move_element,
	rename_element,
	graft,
	graft,
};

size_t xml_mutate(const char *text, size_t size, char *ret, size_t max_size)
{
	AUTO_DOC xmlDoc *doc = parse(text, size);
	if (!doc)
		return 0;
	/* Mostly one, as what has passed the policy shall often pass it again. */
	do {
		struct elements in = { 0 };
		collect(xmlDocGetRootElement(doc), &in);
		mutations[mutator_pick(ARRAY_LEN(mutations))](&in);
	} while (mutator_one_in(3));
	return dump(doc, ret, max_size);
}

size_t xml_cross(const char *text, size_t size, const char *other, size_t other_size, char *ret,
	size_t max_size)
{
	AUTO_DOC xmlDoc *doc = parse(text, size);
	AUTO_DOC xmlDoc *donor = parse(other, other_size);
	struct elements in = { 0 };
	struct elements from = { 0 };
	if (!doc || !donor)
		return 0;
	collect(xmlDocGetRootElement(doc), &in);
	collect(xmlDocGetRootElement(donor), &from);
	graft_from(&in, &from);
	return dump(doc, ret, max_size);
}
