/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * From a request to a reply. The route table (routes.c) says what varies by endpoint; the
 * dispatcher does what is the same for all: path, role, parameters, body, errors. A handler gets
 * a call whose arguments are known, typed and bounded, and returns a reply or an error; it knows
 * nothing of FastCGI and does not log. All functions may be called from any thread.
 */
#include "base/config.h"
#include "definition/policy.h"
#include "format/etag.h"
#include "format/field.h"
#include "format/http.h"
#include "format/json.h"
#include "format/metrics.h"
#include "vm/host.h"

#include <stdatomic.h>

/* The largest body: XML of the largest size as a JSON string, with its escapes. */
enum { API_BODY_MAX = 2 * 128 * 1024 };

/* The longest Idempotency-Key, in bytes; its draft leaves that to us. */
enum { API_KEY_MAX = 255 };

#define API_PATCH_TYPE "application/merge-patch+json"

struct route;

/* What all requests share; set before the first, constant but for the atomic ones. */
struct api {
	const struct config *config;
	struct host *host;
	struct metrics *metrics; /* of api_metrics_new() */
	const struct route *routes;
	size_t route_count;
	struct {
		char *text; /* owned by whoever has it made */
		size_t len;
		char etag[ETAG_SIZE];
	} document;           /* the OpenAPI document: see api_docs_prepare() */
	atomic_bool draining; /* to be told by /readyz */
	atomic_bool leaving;  /* nobody shall wait any longer for a guest */
	atomic_int stuck;     /* requests that were answered by the watchdog, and go on */
};

/* Where a reply's body comes from. exchange_answer() is the one place that tells them apart. */
enum api_reply_kind {
	API_REPLY_BODY,     /* `body`, or none if that is NULL */
	API_REPLY_REDIRECT, /* a file that nginx sends, from its internal location `redirect` */
	API_REPLY_STREAM,   /* `stream` writes it, from another thread, after the worker is free */
};

/* What a stream writes to; one thread at a time. The stream owns it from start() to end(). */
struct api_sink {
	/* Blocks while nginx reads slowly. false: the client has gone, and only end() is left. */
	bool (*write)(struct api_sink *sink, const void *bytes, size_t len);
	void (*end)(struct api_sink *sink); /* the body is complete; frees the sink */
};

/* The owner of a reply that goes on. Exactly one of the two is called, once. */
struct api_stream {
	/* Takes the sink and returns at once: it is called by a worker. */
	void (*start)(struct api_stream *stream, struct api_sink *sink);
	void (*drop)(struct api_stream *stream); /* nobody will read it */
};

struct api_reply {
	int status;
	enum api_reply_kind kind;
	char *redirect;            /* owned; or NULL */
	struct api_stream *stream; /* owned until it is started; or NULL */
	const char *type;          /* a literal */
	char *body;                /* owned, unless it is a shared one's */
	size_t body_len;
	struct rendering *shared; /* held; or NULL */
	int age;                  /* seconds: it is of before the request; 0: it is not */
	char *location;           /* owned; or NULL */
	char allow[64];           /* or "" */
	char etag[ETAG_SIZE];     /* or "": of a 200 to a GET one is made of the body */
	const char *accept_patch; /* a literal, or NULL */
	bool replayed;            /* what an earlier request with its Idempotency-Key made */
	int retry_after;          /* seconds; 0: no such header */
	bool stop;                /* the process ends after this reply */
	struct json *violations;  /* owned; of an error that has some, else NULL */

	/* For the log. */
	enum role role;
	bool failed;
	struct err err; /* when failed */
};

/*
 * A request's way: who asks and which row of the table it is, which never waits; then the answer,
 * which may. Always makes a reply; api_reply_done() frees it.
 */
struct api_call;
void api_call_init(struct api *api, const struct http_req *req, struct api_call *ret);
void api_call_done(struct api_call *call);
void api_answer(struct api_call *call, struct api_reply *ret);
int api_deadline(const struct api_call *call); /* seconds that this may take */
/* The same for a request that went wrong, and is not to be acted upon. */
void api_answer_error(const struct api_call *call, const struct err *err, struct api_reply *ret);
void api_reply_done(struct api_reply *reply);

/* Counters for all routes. NULL: memory. */
struct metrics *api_metrics_new(const struct route *routes, size_t count);
/* Counts a request that metrics_begin() was told of, and its answer. */
void api_count(const struct api_call *call, const struct api_reply *reply, int64_t microseconds);

const char *api_role_name(enum role role);

/* What every error looks like. */
extern const struct field api_problem_fields[];

/* The rest is between the dispatcher, the routes and the handlers. */

struct arg {
	const char *name;
	const char *text;
	size_t len;
	bool flag;
};

enum { API_ARGS_MAX = 24 };
struct api_call {
	struct api *api;
	const struct http_req *req;
	struct http_path path;
	int found; /* -1: there is no such route, and missing says why */
	struct err missing;
	const struct route *route; /* NULL: none, or OPTIONS, which has no row */
	bool open;                 /* the path is for everybody */
	bool patchable;            /* the path knows PATCH */
	char allow[64];            /* the methods that it knows */
	enum role role;
	struct arg args[API_ARGS_MAX];
	size_t arg_count;
	const struct json *body; /* as route->fields has it; NULL: no JSON */
};

/* An argument from path, query or the top of the body; NULL: not given. */
const struct arg *api_arg(const struct api_call *call, const char *name);
const char *api_text(const struct api_call *call, const char *name);
bool api_flag(const struct api_call *call, const char *name, bool preset);

/* The VM that the path or the query names, with the call's If-Match. */
struct target api_target(const struct api_call *call);

typedef int api_handler(struct api_call *call, struct api_reply *reply, struct err *err);

enum {
	API_BODY_NONE = 0,
	API_BODY_JSON = 1,
	API_BODY_XML = 2,
	API_BODY_TEXT = 4,
	API_BODY_PATCH = 8, /* a JSON merge patch (RFC 7396); plain JSON is taken for one, too */
};

/*
 * A row of the table, sorted by path and then method. A body of XML becomes the argument "xml", one
 * of text/plain "text".
 * A route without a body still takes an empty one or an empty JSON object.
 */
struct route {
	const char *path; /* {name} is an argument */
	enum http_method method;
	enum role role; /* ROLE_NONE: for everybody, even without a user */
	api_handler *handle;
	int status; /* of success */
	unsigned body;
	const struct field *query;
	const struct field *fields; /* of the JSON body */
	const char *summary;

	/* For the OpenAPI document, which knows what the rest of the row implies. */
	const struct field *answer;     /* NULL: it is no JSON */
	const char *media;              /* of the answer; NULL: JSON, or else XML */
	const struct field *dry_answer; /* of a 200 with dry_run=1; or NULL */
	const char *errors;             /* codes that the handler adds, separated by | */
	const char *example;            /* a body, as JSON; or NULL */

	bool instant;    /* never waits: is answered however much there is to do */
	bool takes_long; /* has the long deadline */

	bool if_match; /* a mutation that heeds If-Match: others refuse it */
	bool keyed;    /* heeds Idempotency-Key: others have no need of it */
	bool aged;     /* may answer with what was before the request, and then says its Age */
};

/* How fresh a list the request needs: only who says no-cache waits long for one. */
enum inventory_need api_need(const struct api_call *call);

/* Does the client hold the answer of the reply's entity tag? Then it needs no body. */
bool api_is_held(const struct api_call *call, const struct api_reply *reply);

/* Answers with what others are answered with, too; takes the rendering. */
void api_reply_shared(struct api_reply *reply, struct rendering *rendering, const char *type);

/* Puts the value into the reply and frees it. */
int api_reply_json(struct api_reply *reply, struct json *value, struct err *err);
/*
 * Replies with what nginx has at an internal location: the path of these segments, encoded; NULL
 * ends them. nginx takes the media type and Cache-Control from this reply, the rest from the file.
 */
int api_reply_redirect(
	struct api_reply *reply, const char *const segments[], const char *type, struct err *err);
/* Replies with a stream, which becomes the reply's. */
void api_reply_stream(struct api_reply *reply, struct api_stream *stream, const char *type);
/* Sets Location to the path of these segments, encoded; NULL ends them. */
int api_reply_location(struct api_reply *reply, const char *const segments[], struct err *err);

extern const struct field api_violation_fields[];
/* An error as it is answered; takes the violations, which may be NULL. */
struct json *api_problem_json(
	const struct err *err, const char *request_id, enum role role, struct json *violations);

struct json *api_violations_json(const struct policy_report *report);

/* ERR_POLICY_DENIED, with the violations in the reply, unless the policy lets the document pass. */
int api_apply_policy(const struct api_call *call, const struct xml *doc, struct api_reply *reply,
	struct err *err);
