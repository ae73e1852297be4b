/* SPDX-License-Identifier: MIT */
#include "api/handlers.h"

#include "api/vm_json.h"
#include "vm/selection.h"

#include <stdio.h>
#include <string.h>

const struct field api_list_query[] = {
	SELECTION_FIELDS,
	{ "fields", .type = FIELD_TEXT, .max = 1024,
		.says = "the members to return of each VM, separated by commas",
		.example = "\"name,state\"" },
	{ "limit", .type = FIELD_NUMBER, .min = 1, .max = 1000,
		.says = "number of items; default 100", .example = "100" },
	{ "after", .type = FIELD_TEXT, .max = REF_BYTES_MAX,
		.says = "returns only VMs whose names sort after this one: `next` of the previous "
			"page" },
	{ 0 },
};

static const struct field item_fields[] = {
	{ "VmItem", .type = FIELD_ALSO, .optional = true, .of = vm_json_item_fields },
	{ 0 },
};

struct page_answer {
	struct json *items; /* owned */
	const char *next;   /* or NULL */
	bool stale;
};

const struct field api_list_answer[] = {
	{ "items", .type = FIELD_LIST, .of = item_fields, FROM(struct page_answer, items),
		.says = "sorted by name" },
	{ "next", .type = FIELD_TEXT, FROM(struct page_answer, next), .nullable = true,
		.says = "the value of `after` for the next page; null on the last page" },
	{ "stale", .type = FIELD_FLAG, FROM(struct page_answer, stale),
		.says = "the list was made before the request arrived; the header Age says how "
			"long before",
		.example = "false" },
	{ 0 },
};

enum { LIST_LIMIT = 100 };

struct page {
	struct selection selection;
	const char *after;
	const char *fields;
	size_t limit;
};

/* Does each name one of the members? */
static int check_page_fields(const char *fields, struct err *err)
{
	for (const char *s = fields; s; s = strchr(s, ','), s = s ? s + 1 : NULL) {
		char name[64];
		(void)snprintf(name, sizeof name, "%.*s", (int)strcspn(s, ","), s);
		if (field_find(vm_json_item_fields, name))
			continue;
		(void)err_set(err, ERR_BAD_REQUEST,
			"fields: '%s' is not a member of a VM in a list", name);
		return field_hint(vm_json_item_fields, err);
	}
	return 0;
}

static int read_page(struct api_call *call, struct page *ret, struct err *err)
{
	const char *limit = api_text(call, "limit");
	struct page page = {
		.after = api_text(call, "after"),
		.fields = api_text(call, "fields"),
		.limit = limit ? strtoul(limit, NULL, 10) : LIST_LIMIT,
	};
	if (selection_read(api_text(call, "state"), api_text(call, "name"), api_text(call, "label"),
		    &page.selection, err) < 0 ||
		check_page_fields(page.fields, err) < 0)
		return -1;
	*ret = page;
	return 0;
}

/* What an answer is rendered from. */
struct listing {
	const struct api_call *call;
	const struct page *page;
	const struct vm_list *vms;
	bool stale;
};

/* Collects the items of the page, and the name that the next page begins after. */
static struct page_answer collect_page(const struct listing *listing)
{
	const struct page *page = listing->page;
	struct page_answer answer = { json_new_array(), NULL, listing->stale };
	const struct vm *last = NULL;
	for (size_t i = 0; i < listing->vms->count; i++) {
		const struct vm *vm = &listing->vms->vms[i];
		if ((page->after && strcmp(vm->name, page->after) <= 0) ||
			!selection_has(&page->selection, vm))
			continue;
		if (json_length(answer.items) == page->limit) {
			answer.next = last->name;
			break;
		}
		struct json *item = answer_json(vm_json_item_fields, vm, listing->call);
		if (page->fields)
			json_keep(item, page->fields);
		json_push(answer.items, item);
		last = vm;
	}
	return answer;
}

static int render_page(const void *data, char **ret, size_t *ret_len, struct err *err)
{
	const struct listing *listing = data;
	struct page_answer page = collect_page(listing);
	AUTO(json_free) struct json *answer = answer_json(api_list_answer, &page, listing->call);
	json_free(page.items);
	return json_text(answer, ret, ret_len, err);
}

/*
 * The entity tag is a hash of the list's version and of the request, so that it is known without
 * rendering the answer. A stale answer says so and has another tag: a client that holds the fresh
 * answer must not get 304 for a stale one.
 */
static int reply_page(const struct api_call *call, const struct page *page, struct api_reply *reply,
	struct err *err)
{
	AUTO(vm_list_give) struct vm_list *vms = NULL;
	AUTO(free) char *question = NULL;
	struct rendering *rendering = NULL;
	if (inventory_list(call->api->host->inventory, api_need(call), &vms, &reply->age, err) < 0)
		return -1;
	if (asprintf(&question, "%s%s", reply->age ? "stale " : "", call->req->target) < 0)
		return err_memory(err);
	etag_make_versioned(vms->version, question, strlen(question), reply->etag);
	if (api_is_held(call, reply))
		return 0;
	const struct listing listing = { call, page, vms, reply->age > 0 };
	if (renderings_get(&vms->renderings, question, render_page, &listing, &rendering, err) < 0)
		return -1;
	api_reply_shared(reply, rendering, "application/json");
	return 0;
}

int api_list_vms(struct api_call *call, struct api_reply *reply, struct err *err)
{
	struct page page;
	return read_page(call, &page, err) < 0 ? -1 : reply_page(call, &page, reply, err);
}

int api_list_active(struct api_call *call, struct api_reply *reply, struct err *err)
{
	const struct page active = {
		.selection.states = ~(1U << VM_SHUTOFF | 1U << VM_CRASHED),
		.limit = SIZE_MAX,
	};
	return reply_page(call, &active, reply, err);
}
