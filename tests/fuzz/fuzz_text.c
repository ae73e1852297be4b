/* SPDX-License-Identifier: MIT */
/*
 * Targets, lists of entity tags, patterns, selections, media types: one line each, of which those
 * that are missing are empty. Where there is a plainer way to say what is right, it is asked, too.
 */
#include "fuzz.h"

#include "base/text.h"
#include "base/uuid.h"
#include "definition/metadata.h"
#include "format/etag.h"
#include "format/http.h"
#include "vm/selection.h"

#include <fnmatch.h>

static bool is_utf8(const char *s)
{
	return text_is_utf8(s, strlen(s));
}

static void check_error(const struct err *err)
{
	insist(err->text[0] && is_utf8(err->text), "an error's text");
	insist(err_status(err->kind) == 400 || err->kind == ERR_NOT_FOUND, "%s",
		err_code(err->kind));
}

/* What a path was decoded to comes back when it is encoded. */
static void encode_again(const struct http_path *path)
{
	for (size_t i = 0; i < path->count; i++) {
		__attribute__((cleanup(http_path_done))) struct http_path again = { 0 };
		AUTO(free) char *segment = http_encode_segment(path->segment[i]);
		AUTO(free) char *target = NULL;
		struct err err;
		insist(asprintf(&target, "/%s", segment) > 0, "memory");
		insist(!http_path_parse(target, &again, &err), "%s: %s", target, err.text);
		insist(again.count == 1 && !strcmp(again.segment[0], path->segment[i]), "%s",
			target);
	}
}

static void parse_target(const char *target)
{
	__attribute__((cleanup(http_path_done))) struct http_path path = { 0 };
	__attribute__((cleanup(http_query_done))) struct http_query query = { 0 };
	struct err err;
	if (http_path_parse(target, &path, &err) < 0)
		check_error(&err);
	for (size_t i = 0; i < path.count; i++)
		insist(path.segment[i][0] && is_utf8(path.segment[i]), "a segment of %s", target);
	encode_again(&path);
	if (http_query_parse(target, &query, &err) < 0)
		check_error(&err);
	for (size_t i = 0; i < query.count; i++)
		insist(is_utf8(query.param[i].name) && is_utf8(query.param[i].value),
			"a parameter of %s", target);
}

static void look_up_etag(const char *list)
{
	char tag[ETAG_SIZE];
	char versioned[ETAG_SIZE];
	etag_make("x", 1, tag);
	etag_make_versioned("v", "x", 1, versioned);
	insist(!etag_is_listed(list, tag) || strchr(list, '*') || strstr(list, tag),
		"%s is not in %s", tag, list);
	insist(!etag_is_version_listed(list, "v") || strchr(list, '*') || strstr(list, "\"v."),
		"\"v. is not in %s", list);
	AUTO(free) char *more = NULL;
	insist(asprintf(&more, "%s, W/%s", tag, list) > 0, "memory");
	insist(etag_is_listed(more, tag), "%s is not found first in %s", tag, more);
}

/* fnmatch() takes exponential time, a [ for a class, and ? for a character. */
static void match(const char *pattern, const char *s)
{
	enum { PLAIN_MAX = 12 };
	bool fits = text_is_glob(pattern, s);
	if (strlen(pattern) > PLAIN_MAX || strlen(s) > 4 * PLAIN_MAX || strchr(pattern, '['))
		return;
	insist(fits == !fnmatch(pattern, s, FNM_NOESCAPE), "'%s' and '%s'", pattern, s);
}

static struct labels *vm_labels;

static void select_by(const char *states, const char *name, const char *label)
{
	struct vm vm = { .name = "web-1", .state = VM_RUNNING, .labels = vm_labels };
	struct selection selection;
	struct err err;
	if (selection_read(*states ? states : NULL, *name ? name : NULL, *label ? label : NULL,
		    &selection, &err) < 0) {
		check_error(&err);
		return;
	}
	bool has = selection_has(&selection, &vm);
	insist(!has || !*states || strstr(states, "running"), "state: %s", states);
	insist(!has || !*name || text_is_glob(name, vm.name), "name: %s", name);
	vm.labels = NULL;
	insist(!selection_has(&selection, &vm) || !*label, "label: %s", label);
}

static void mask(const char *s)
{
	AUTO(free) char *masked = strdup(s);
	insist(masked, "memory");
	text_mask_malformed(masked);
	insist(is_utf8(masked) && strlen(masked) == strlen(s), "masked: %s", s);
	insist(!is_utf8(s) || !strcmp(masked, s), "what is right was masked: %s", s);
	text_mask_controls(masked);
	insist(!strpbrk(masked, "\n\r\t\x7f\x1b"), "a control: %s", s);
	insist(!text_is_name(s) || (strlen(s) < 64 && is_utf8(s)), "a name: %s", s);
	insist(!uuid_is(s) || strlen(s) == UUID_SIZE - 1, "a UUID: %s", s);
	(void)text_is_xml(s);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char element[] = "<vm><label name='tier'>front</label><label name='a'/></vm>";
	struct err err;
	(void)argc;
	(void)argv;
	xml_init();
	insist(!metadata_read_labels(element, &vm_labels, &err), "%s", err.text);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(free) char *text = fuzz_text(data, size);
	char *line[7];
	char *rest = text;
	for (size_t i = 0; i < ARRAY_LEN(line); i++) {
		char *s = strsep(&rest, "\n");
		/* Each in a block of its own, where a read beyond its end is noticed. */
		line[i] = strdup(s ? s : "");
		insist(line[i], "memory");
	}
	parse_target(line[0]);
	look_up_etag(line[1]);
	match(line[2], line[3]);
	select_by(line[4], line[2], line[5]);
	struct http_req req = {
		.origin = line[6], .sec_fetch_site = "", .scheme = line[5], .host = line[3]
	};
	insist(!http_is_cross_site(&req) || *line[6], "who says nothing is no browser");
	(void)http_is_media_type(line[6], "application/json");
	for (size_t i = 0; i < ARRAY_LEN(line); i++) {
		mask(line[i]);
		free(line[i]);
	}
	return 0;
}
