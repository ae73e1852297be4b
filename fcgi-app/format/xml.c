/* SPDX-License-Identifier: MIT */
#include "format/xml.h"

#include "base/text.h"

#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <libxml/relaxng.h>
#include <libxml/tree.h>
#include <libxml/xmlerror.h>
#include <libxml/xmlschemastypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* struct xml and struct xml_node are libxml2's types under our names. */
static xmlDoc *to_doc(const struct xml *doc)
{
	return (xmlDoc *)(uintptr_t)doc;
}

static xmlNode *to_node(const struct xml_node *node)
{
	return (xmlNode *)(uintptr_t)node;
}

static const xmlChar *chars(const char *text)
{
	return (const xmlChar *)text;
}

static struct xml_node *from_node(xmlNode *node)
{
	return (struct xml_node *)node;
}

enum {
	/* Without the white space between elements: serialising indents anew. */
	PARSE_OPTIONS = XML_PARSE_NONET | XML_PARSE_NOCDATA | XML_PARSE_NOBLANKS |
		XML_PARSE_NOERROR | XML_PARSE_NOWARNING
};

/* What our handlers count, and why they stopped the parser. In its _private. */
struct parse {
	int elements;
	int namespaces;
	const char *refused;
};

static void parser_refuse(void *ctx, const char *why)
{
	xmlParserCtxt *parser = ctx;
	struct parse *parse = parser->_private;
	parse->refused = why;
	xmlStopParser(parser);
}

static void on_doctype(
	void *ctx, const xmlChar *name, const xmlChar *external_id, const xmlChar *system_id)
{
	(void)name;
	(void)external_id;
	(void)system_id;
	parser_refuse(ctx, "a document type declaration is not accepted");
}

static void on_instruction(void *ctx, const xmlChar *target, const xmlChar *data)
{
	(void)target;
	(void)data;
	parser_refuse(ctx, "a processing instruction is not accepted");
}

/* Bounds namespaces, because libxml2 2.9.14 searches all those in scope for each prefix. */
static void on_element(void *ctx, const xmlChar *localname, const xmlChar *prefix,
	const xmlChar *uri, int namespace_count, const xmlChar **namespaces, int attribute_count,
	int defaulted_count, const xmlChar **attributes)
{
	xmlParserCtxt *parser = ctx;
	struct parse *parse = parser->_private;
	parse->namespaces += namespace_count;
	if (++parse->elements > XML_ELEMENTS_MAX)
		parser_refuse(ctx, "it has more than 4096 elements");
	else if (attribute_count > XML_ELEMENT_ATTRIBUTES_MAX)
		parser_refuse(ctx, "an element has more than 64 attributes");
	else if (parse->namespaces > XML_NAMESPACES_MAX)
		parser_refuse(ctx, "it declares more than 64 namespaces");
	else
		xmlSAX2StartElementNs(ctx, localname, prefix, uri, namespace_count, namespaces,
			attribute_count, defaulted_count, attributes);
}
_Static_assert(
	XML_ELEMENTS_MAX == 4096 && XML_NAMESPACES_MAX == 64 && XML_ELEMENT_ATTRIBUTES_MAX == 64,
	"the limits in the messages of on_element()");

void xml_init(void)
{
	/*
	 * Sets no external entity loader: it would be the whole process's, and libvirt's in-process
	 * drivers load their schemas with it. Nothing here needs one, because there is no DTD.
	 */
	xmlInitParser();
	/* Two threads that load the first schema at the same time would both make these tables. */
	(void)xmlRelaxNGInitTypes();
	xmlSchemaInitTypes();
}

static void auto_parser(xmlParserCtxt **parser)
{
	if (*parser && (*parser)->myDoc)
		xmlFreeDoc((*parser)->myDoc);
	if (*parser)
		xmlFreeParserCtxt(*parser);
}

static int parser_error(const xmlParserCtxt *parser, const char *what, struct err *err)
{
	const struct parse *parse = parser->_private;
	const xmlError *error = &parser->lastError;
	if (parse->refused)
		return err_set(err, ERR_INVALID_XML, "%s: %s", what, parse->refused);
	if (error->code == XML_ERR_NO_MEMORY)
		return err_memory(err);
	const char *message = error->message ? error->message : "not well-formed";
	(void)err_set(err, ERR_INVALID_XML, "%s: not well-formed at line %d, column %d: %.*s", what,
		error->line, error->int2, (int)strcspn(message, "\n"), message);
	err->line = error->line;
	err->column = error->int2;
	return -1;
}

/* The place behind the next occurrence of the text; the end if there is none. */
static const char *skip_past(const char *at, const char *end, const char *text)
{
	const char *found = memmem(at, (size_t)(end - at), text, strlen(text));
	return found ? found + strlen(text) : end;
}

static bool starts_with(const char *at, const char *end, const char *text)
{
	return (size_t)(end - at) >= strlen(text) && !memcmp(at, text, strlen(text));
}

/* Skips the markup that begins with the '<' at `at`; counts the '=' outside of quotes in a tag. */
static const char *skip_markup(const char *at, const char *end, int *count)
{
	char quote = '\0';
	if (starts_with(at, end, "<!--"))
		return skip_past(at + 4, end, "-->");
	if (starts_with(at, end, "<![CDATA["))
		return skip_past(at + 9, end, "]]>");
	if (starts_with(at, end, "<?"))
		return skip_past(at + 2, end, "?>");
	for (; at < end; at++) {
		if (quote)
			quote = *at == quote ? '\0' : quote;
		else if (*at == '\'' || *at == '"')
			quote = *at;
		else if (*at == '>')
			return at + 1;
		*count += !quote && *at == '=';
	}
	return end;
}

/*
 * libxml2 2.9.14 compares each attribute of a tag with all those before it: 128 KiB of attributes
 * in one tag take a second. So they are counted before it sees them. Where this scan would misread
 * a document, the document is not well-formed and libxml2 stops.
 */
static bool has_too_many_attributes(const char *text, size_t len)
{
	int count = 0;
	const char *end = text + len;
	for (const char *at = text; (at = memchr(at, '<', (size_t)(end - at)));)
		at = skip_markup(at, end, &count);
	return count > XML_ATTRIBUTES_MAX;
}

int xml_parse(const char *text, size_t len, const char *what, struct xml **ret, struct err *err)
{
	if (len > XML_BYTES_MAX)
		return err_set(err, ERR_BODY_TOO_LARGE,
			"%s: %zu bytes are more than the %d allowed", what, len, XML_BYTES_MAX);
	if (!text_is_utf8(text, len))
		return err_set(
			err, ERR_INVALID_XML, "%s: it must be UTF-8 without NUL characters", what);
	if (has_too_many_attributes(text, len))
		return err_set(err, ERR_INVALID_XML, "%s: it has more than %d attributes", what,
			XML_ATTRIBUTES_MAX);
	__attribute__((cleanup(auto_parser))) xmlParserCtxt *parser = xmlNewParserCtxt();
	if (!parser)
		return err_memory(err);
	struct parse parse = { 0 };
	parser->_private = &parse;
	parser->sax->internalSubset = on_doctype;
	parser->sax->externalSubset = on_doctype;
	parser->sax->processingInstruction = on_instruction;
	parser->sax->startElementNs = on_element;
	parser->sax->comment = NULL;
	xmlDoc *doc = xmlCtxtReadMemory(parser, text, (int)len, NULL, "UTF-8", PARSE_OPTIONS);
	if (doc && (parse.refused || doc->intSubset || !xmlDocGetRootElement(doc))) {
		xmlFreeDoc(doc);
		doc = NULL;
	}
	if (!doc)
		return parser_error(parser, what, err);
	*ret = (struct xml *)doc;
	return 0;
}

int xml_parse_trusted(const char *text, struct xml **ret, struct err *err)
{
	size_t len = strlen(text);
	int options = PARSE_OPTIONS | XML_PARSE_HUGE;
	xmlDoc *doc = len > INT_MAX ? NULL : xmlReadMemory(text, (int)len, NULL, "UTF-8", options);
	if (!doc)
		return err_set(err, ERR_INTERNAL, "libvirt returned XML that cannot be parsed");
	*ret = (struct xml *)doc;
	return 0;
}

struct xml *xml_new(const char *root)
{
	xmlDoc *doc = xmlNewDoc(chars("1.0"));
	xmlNode *node = doc ? xmlNewDocNode(doc, NULL, chars(root), NULL) : NULL;
	if (!node) {
		xmlFreeDoc(doc);
		return NULL;
	}
	(void)xmlDocSetRootElement(doc, node);
	return (struct xml *)doc;
}

struct xml *xml_copy_without(const struct xml *doc, const char *name)
{
	enum { ATTRIBUTES_ONLY = 2 }; /* and namespaces: see xmlDocCopyNode() */
	xmlNode *from = xmlDocGetRootElement(to_doc(doc));
	AUTO(xml_free) struct xml *copy = (struct xml *)xmlNewDoc(chars("1.0"));
	xmlNode *root = copy ? xmlDocCopyNode(from, to_doc(copy), ATTRIBUTES_ONLY) : NULL;
	if (!root)
		return NULL;
	(void)xmlDocSetRootElement(to_doc(copy), root);
	for (xmlNode *n = from->children; n; n = n->next) {
		if (n->type == XML_ELEMENT_NODE && !strcmp((const char *)n->name, name))
			continue;
		xmlNode *child = xmlDocCopyNode(n, to_doc(copy), 1);
		if (!child)
			return NULL;
		(void)xmlAddChild(root, child);
	}
	return TAKE(copy);
}

void xml_free(struct xml *doc)
{
	xmlFreeDoc(to_doc(doc));
}

/* Copies a text of libxml2, whose allocator may differ from ours, and frees it. */
static char *take_text(xmlChar *text)
{
	char *copy = text ? strdup((const char *)text) : NULL;
	xmlFree(text);
	return copy;
}

char *xml_text(const struct xml *doc)
{
	xmlChar *text = NULL;
	int len = 0;
	xmlDocDumpFormatMemoryEnc(to_doc(doc), &text, &len, "UTF-8", 1);
	return take_text(text);
}

struct xml_node *xml_root(const struct xml *doc)
{
	return from_node(xmlDocGetRootElement(to_doc(doc)));
}

bool xml_is(const struct xml_node *node, const char *name)
{
	const xmlNode *n = to_node(node);
	return n->type == XML_ELEMENT_NODE && !n->ns && !strcmp((const char *)n->name, name);
}

/* The first element from `node` on with this name, of n bytes. */
static struct xml_node *first_named(xmlNode *node, const char *name, size_t n)
{
	for (; node; node = node->next)
		if (node->type == XML_ELEMENT_NODE && !node->ns &&
			!strncmp((const char *)node->name, name, n) && !node->name[n])
			break;
	return from_node(node);
}

struct xml_node *xml_child(const struct xml_node *node, const char *name)
{
	return first_named(to_node(node)->children, name, strlen(name));
}

struct xml_node *xml_next(const struct xml_node *node)
{
	const char *name = xml_name(node);
	return first_named(to_node(node)->next, name, strlen(name));
}

struct xml_node *xml_find(const struct xml_node *node, const char *path)
{
	struct xml_node *at = from_node(to_node(node));
	while (at && *path) {
		size_t n = strcspn(path, "/");
		at = first_named(to_node(at)->children, path, n);
		path += n + (path[n] == '/');
	}
	return at;
}

int xml_each_at(struct xml_node *node, const char *path, xml_node_fn *each, void *data)
{
	if (!*path || *path == '@')
		return each(node, data);
	size_t n = strcspn(path, "/");
	const char *rest = path + n + (path[n] == '/');
	struct xml_node *child = first_named(to_node(node)->children, path, n);
	for (struct xml_node *next; child; child = next) {
		next = xml_next(child);
		if (xml_each_at(child, rest, each, data) < 0)
			return -1;
	}
	return 0;
}

static struct xml_node *first_element(xmlNode *node)
{
	while (node && node->type != XML_ELEMENT_NODE)
		node = node->next;
	return from_node(node);
}

struct xml_node *xml_first(const struct xml_node *node)
{
	return first_element(to_node(node)->children);
}

struct xml_node *xml_sibling(const struct xml_node *node)
{
	return first_element(to_node(node)->next);
}

struct xml_node *xml_parent(const struct xml_node *node)
{
	xmlNode *parent = to_node(node)->parent;
	return parent && parent->type == XML_ELEMENT_NODE ? from_node(parent) : NULL;
}

const char *xml_name(const struct xml_node *node)
{
	return (const char *)to_node(node)->name;
}

bool xml_is_foreign(const struct xml_node *node)
{
	return to_node(node)->ns || to_node(node)->nsDef;
}

const char *xml_uri(const struct xml_node *node)
{
	const xmlNs *ns = to_node(node)->ns;
	return ns ? (const char *)ns->href : NULL;
}

bool xml_is_bare(const struct xml_node *node)
{
	return !to_node(node)->properties && !to_node(node)->children;
}

bool xml_has_text(const struct xml_node *node)
{
	for (const xmlNode *n = to_node(node)->children; n; n = n->next)
		if (n->type != XML_ELEMENT_NODE && !xmlIsBlankNode(n))
			return true;
	return false;
}

int xml_each_attr(const struct xml_node *node, xml_attr_fn *each, void *data)
{
	for (xmlAttr *a = to_node(node)->properties; a; a = a->next) {
		AUTO(free) char *value = take_text(xmlNodeListGetString(a->doc, a->children, 1));
		if (!value && a->children)
			return -1;
		each((const char *)a->name, value ? value : "", a->ns, data);
	}
	return 0;
}

char *xml_raw_text(const struct xml_node *node)
{
	return take_text(xmlNodeGetContent(to_node(node)));
}

char *xml_node_text(const struct xml_node *node)
{
	char *text = xml_raw_text(node);
	if (!text)
		return NULL;
	size_t lead = strspn(text, " \t\r\n");
	size_t len = strlen(text + lead);
	while (len && strchr(" \t\r\n", text[lead + len - 1]))
		len--;
	memmove(text, text + lead, len);
	text[len] = '\0';
	return text;
}

void xml_copy_text(const struct xml_node *node, const char *path, char *ret, size_t size)
{
	const struct xml_node *at = xml_find(node, path);
	AUTO(free) char *text = at ? xml_node_text(at) : NULL;
	(void)snprintf(ret, size, "%s", text ? text : "");
	text_mask_malformed(ret);
}

char *xml_attr(const struct xml_node *node, const char *name)
{
	return take_text(xmlGetNoNsProp(to_node(node), chars(name)));
}

int xml_set_text(struct xml_node *node, const char *text)
{
	xmlNode *child = *text ? xmlNewText(chars(text)) : NULL;
	if (*text && !child)
		return -1;
	while (to_node(node)->children) {
		xmlNode *old = to_node(node)->children;
		xmlUnlinkNode(old);
		xmlFreeNode(old);
	}
	if (child)
		(void)xmlAddChild(to_node(node), child);
	return 0;
}

int xml_set_attr(struct xml_node *node, const char *name, const char *value)
{
	return xmlSetProp(to_node(node), chars(name), chars(value)) ? 0 : -1;
}

/*
 * The parser keeps white space that is an element's only content. Beside a child it would prevent
 * indentation, and the document would differ after it is written and read.
 */
static void drop_lone_blank(xmlNode *node)
{
	xmlNode *child = node->children;
	if (!child || child->next || !xmlIsBlankNode(child))
		return;
	xmlUnlinkNode(child);
	xmlFreeNode(child);
}

struct xml_node *xml_add(struct xml_node *parent, const char *name, const char *text)
{
	drop_lone_blank(to_node(parent));
	/* No node for an empty text: reading the document would make none. */
	const xmlChar *content = text && *text ? chars(text) : NULL;
	return from_node(xmlNewTextChild(to_node(parent), NULL, chars(name), content));
}

struct xml_node *xml_add_foreign(
	struct xml_node *parent, const char *prefix, const char *uri, const char *name)
{
	drop_lone_blank(to_node(parent));
	xmlNode *node = xmlNewChild(to_node(parent), NULL, chars(name), NULL);
	xmlNs *ns = node ? xmlNewNs(node, chars(uri), chars(prefix)) : NULL;
	if (!ns)
		return NULL;
	xmlSetNs(node, ns);
	return from_node(node);
}

void xml_sort(struct xml_node *node, const char *names)
{
	for (const char *n = names; *n; n += strcspn(n, "|"), n += *n == '|') {
		size_t len = strcspn(n, "|");
		size_t count = 0;
		for (struct xml_node *c = first_named(to_node(node)->children, n, len); c;
			c = xml_next(c))
			count++;
		struct xml_node *c = first_named(to_node(node)->children, n, len);
		for (struct xml_node *next; count; count--, c = next) {
			next = xml_next(c);
			xmlUnlinkNode(to_node(c)); /* xmlAddChild() leaves a child where it is */
			(void)xmlAddChild(to_node(node), to_node(c));
		}
	}
}

void xml_remove(struct xml_node *node)
{
	xmlUnlinkNode(to_node(node));
	xmlFreeNode(to_node(node));
}

void xml_remove_attr(struct xml_node *node, const char *name)
{
	(void)xmlUnsetProp(to_node(node), chars(name));
}

/* Schemas: struct xml_schema is libxml2's type under our name. */

static xmlRelaxNG *to_schema(struct xml_schema *schema)
{
	return (xmlRelaxNG *)schema;
}

DEFINE_AUTO(xmlRelaxNGParserCtxt *, xmlRelaxNGFreeParserCtxt)
DEFINE_AUTO(xmlRelaxNGValidCtxt *, xmlRelaxNGFreeValidCtxt)

static void ignore_error(void *data, xmlError *error)
{
	(void)data;
	(void)error;
}

int xml_schema_load(const char *path, struct xml_schema **ret, struct err *err)
{
	AUTO(xmlRelaxNGFreeParserCtxt) xmlRelaxNGParserCtxt *parser = xmlRelaxNGNewParserCtxt(path);
	if (!parser)
		return err_memory(err);
	xmlRelaxNGSetParserStructuredErrors(parser, ignore_error, NULL);
	xmlRelaxNG *schema = xmlRelaxNGParse(parser);
	if (!schema)
		return err_set(err, ERR_INTERNAL, "libvirt's schema cannot be read");
	*ret = (struct xml_schema *)schema;
	return 0;
}

void xml_schema_free(struct xml_schema *schema)
{
	xmlRelaxNGFree(to_schema(schema));
}

/* The first of several errors says the most; the last is "did not validate". */
static void keep_first_error(void *data, xmlError *error)
{
	char *message = data;
	if (!*message && error->message)
		(void)snprintf(message, sizeof((struct err *)NULL)->private, "%.*s",
			(int)strcspn(error->message, "\n"), error->message);
}

int xml_validate(const struct xml *doc, struct xml_schema *schema, struct err *err)
{
	char message[sizeof err->private] = "";
	AUTO(xmlRelaxNGFreeValidCtxt) xmlRelaxNGValidCtxt *valid =
		xmlRelaxNGNewValidCtxt(to_schema(schema));
	if (!valid)
		return err_memory(err);
	xmlRelaxNGSetValidStructuredErrors(valid, keep_first_error, message);
	if (!xmlRelaxNGValidateDoc(valid, to_doc(doc)))
		return 0;
	return err_set(err, ERR_INVALID_XML, "libvirt's schema refuses it: %.400s", message);
}
