/* SPDX-License-Identifier: MIT */
#include "schema_words.h"

#include "base/base.h"

#include <dirent.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdio.h>
#include <string.h>

#define SCHEMAS "/usr/share/libvirt/schemas"

/* Sorted by kind, then word, each pair once. */
static struct word {
	char kind[96];
	const char *word; /* of a document that stays */
} words[16384];
static size_t word_count;

static xmlDoc *docs[64];
static size_t doc_count;

static void add(const char *element, const char *separator, const char *attr, const char *word)
{
	if (!element || !word || word_count == ARRAY_LEN(words))
		return;
	struct word *to = &words[word_count++];
	(void)snprintf(to->kind, sizeof to->kind, "%s%s%s", element, separator, attr);
	to->word = word;
}

static bool is(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && !strcmp((const char *)node->name, name);
}

static const char *text_in(const xmlNode *node)
{
	return node && node->type == XML_TEXT_NODE ? (const char *)node->content : NULL;
}

static const char *name_of(const xmlNode *node)
{
	for (const xmlAttr *a = node->properties; a; a = a->next)
		if (!strcmp((const char *)a->name, "name"))
			return text_in(a->children);
	return NULL;
}

/* Where in an instance the pattern that is walked stands. */
struct place {
	const char *element, *attr;
	void *visit; /* whatever is its own: what has been here already is marked with it */
};

static void walk(xmlNode *node, const struct place *place);

static void walk_all(xmlNode *node, const struct place *place)
{
	for (; node; node = node->next)
		walk(node, place);
}

static void walk_ref(const char *name, const struct place *place)
{
	for (size_t i = 0; name && i < doc_count; i++) {
		xmlNode *define = xmlDocGetRootElement(docs[i])->children;
		for (; define; define = define->next) {
			if (!is(define, "define") || define->_private == place->visit ||
				!name_of(define) || strcmp(name_of(define), name) != 0)
				continue;
			define->_private = place->visit;
			walk_all(define->children, place);
		}
	}
}

static void walk(xmlNode *node, const struct place *place)
{
	if (is(node, "element")) {
		add(place->element, "/", "", name_of(node));
	} else if (is(node, "attribute")) {
		struct place inside = *place;
		inside.attr = name_of(node);
		inside.visit = node;
		add(place->element, "@", "", inside.attr);
		walk_all(node->children, &inside);
	} else if (is(node, "value")) {
		add(place->element, place->attr ? "@" : "=", place->attr ? place->attr : "",
			text_in(node->children));
	} else if (is(node, "ref")) {
		walk_ref(name_of(node), place);
	} else if (node->type == XML_ELEMENT_NODE) {
		walk_all(node->children, place);
	}
}

/* Every pattern of an element, wherever it stands, begins anew. */
static void walk_elements(xmlNode *node)
{
	for (; node; node = node->next) {
		const struct place place = { is(node, "element") ? name_of(node) : NULL, NULL,
			node };
		if (place.element)
			walk_all(node->children, &place);
		walk_elements(node->children);
	}
}

static int compare(const void *a, const void *b)
{
	const struct word *x = a;
	const struct word *y = b;
	int order = strcmp(x->kind, y->kind);
	return order ? order : strcmp(x->word, y->word);
}

static void sort(void)
{
	size_t kept = 0;
	qsort(words, word_count, sizeof words[0], compare);
	for (size_t i = 0; i < word_count; i++)
		if (!kept || compare(&words[kept - 1], &words[i]) != 0)
			words[kept++] = words[i];
	word_count = kept;
}

void schema_words_load(void)
{
	DIR *dir = opendir(SCHEMAS);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		char path[512];
		(void)snprintf(path, sizeof path, "%s/%s", SCHEMAS, entry->d_name);
		xmlDoc *doc = strstr(path, ".rng") && doc_count < ARRAY_LEN(docs)
			? xmlReadFile(path, NULL, XML_PARSE_NONET | XML_PARSE_NOBLANKS)
			: NULL;
		if (doc)
			docs[doc_count++] = doc;
	}
	if (dir)
		(void)closedir(dir);
	for (size_t i = 0; i < doc_count; i++)
		walk_elements(xmlDocGetRootElement(docs[i]));
	sort();
	if (!schema_word("domain/", 0)) {
		(void)fprintf(stderr, "no schemas of libvirt in %s\n", SCHEMAS);
		exit(1);
	}
}

const char *schema_word(const char *kind, unsigned n)
{
	size_t low = 0;
	size_t high = word_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(words[middle].kind, kind) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	size_t count = 0;
	while (low + count < word_count && !strcmp(words[low + count].kind, kind))
		count++;
	return count ? words[low + n % count].word : NULL;
}
