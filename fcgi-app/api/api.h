/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * From a request to a reply. The route table (routes.c) says what differs between endpoints; the
 * dispatcher does what is the same for all: path, role, parameters, body, errors. A handler gets a
 * call whose arguments are known, typed and bounded, and makes a reply or an error; it knows
 * nothing of FastCGI and does not log. All functions may be called from any thread; a call and its
 * reply belong to one thread at a time.
 *
 * api.c dispatches, arguments.c reads a call's arguments, reply.c makes replies and errors.
 */
#include "base/config.h"
#include "base/secret.h"
#include "definition/policy.h"
#include "format/answer.h"
#include "format/etag.h"
#include "format/field.h"
#include "format/http.h"
#include "format/json.h"
#include "format/metrics.h"
#include "vm/host.h"

#include <stdatomic.h>

enum {
	/* The largest body: the largest XML as a JSON string, with its escapes. */
	API_BODY_MAX = 2 * 128 * 1024,
	/* Where a route takes none: {}, perhaps with a line end, which some clients always send. */
	API_NO_BODY_MAX = 4,
};

/* The longest Idempotency-Key, in bytes; the draft of that header leaves the limit to servers. */
enum { API_KEY_MAX = 255 };

#define API_PATCH_TYPE "application/merge-patch+json"

struct route;
struct api_call;
struct api_reply;

/* What all requests share: set before the first request, then constant except the atomic members.
 */
struct api {
	const struct config *config;
	struct host *host;
	struct stop_watch *stops; /* waits for VMs that stop; NULL: each request waits itself */
	struct metrics *metrics;  /* from api_metrics_new() */
	unsigned char secret[SECRET_SIZE]; /* of what follows from an Idempotency-Key */
	const struct route *routes;
	size_t route_count;
	struct {
		char *text; /* owned by the caller of api_docs_prepare() */
		size_t len;
		char etag[ETAG_SIZE];
	} document;           /* OpenAPI */
	atomic_bool draining; /* /readyz answers 503 */
	atomic_bool leaving;  /* the process ends: no request waits for a guest any longer */
	atomic_int stuck;     /* requests that the watchdog has answered and that still run */
};

/* Where a reply's body comes from. exchange_answer() is the one place that tells them apart. */
enum api_reply_kind {
	API_REPLY_BODY,     /* `body`, or none if that is NULL */
	API_REPLY_REDIRECT, /* a file that nginx sends, from its internal location `redirect` */
	API_REPLY_STREAM,   /* `stream` writes it, from another thread, after the worker is free */
	API_REPLY_LATER,    /* `later` makes the reply, after a wait that needs no thread */
};

/*
 * The server's side of a reply that is waited for. Both functions may be called from any thread and
 * return at once.
 */
struct api_waiter {
	bool (*is_gone)(struct api_waiter *waiter); /* has the client gone? */
	void (*ready)(struct api_waiter *waiter);   /* the wait is over; called once, and last */
};

/* A reply that has to be waited for. drop() is called, or wait() and then api_finish(). */
struct api_later {
	/* Begins the wait and returns at once; ready() may be called before that. */
	void (*wait)(struct api_later *later, struct api_waiter *waiter);
	/* Makes the reply or an error, as a handler does, and frees itself. */
	int (*finish)(struct api_later *later, struct api_call *call, struct api_reply *reply,
		struct err *err);
	void (*drop)(struct api_later *later); /* nobody will wait */
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
	struct api_later *later;   /* owned until it is waited for; or NULL */
	const char *type;          /* a literal */
	char *body;                /* owned, unless shared is set */
	size_t body_len;
	struct rendering *shared; /* held: the body is its text; or NULL */
	int age;                  /* of the answer in seconds; 0: made after the request arrived */
	char *location;           /* owned; or NULL */
	char allow[64];           /* or "" */
	char etag[ETAG_SIZE];     /* "": the dispatcher hashes the body of a 200 to a GET */
	const char *accept_patch; /* a literal, or NULL */
	bool replayed;            /* an earlier request with the same Idempotency-Key did this */
	int retry_after;          /* seconds; 0: no such header */
	bool stop;                /* the process ends after this reply */
	struct json *violations;  /* owned: what the policy refuses, for an error; or NULL */

	/* For the log. */
	enum role role;
	bool failed;
	struct err err; /* when failed */
};

/*
 * The life of a request: api_call_init() finds the caller's role and the row of the table, and
 * refuses all that can be refused without a look into the body; it never waits. api_answer() may
 * wait, and always makes a reply.
 */
struct api_call;
void api_call_init(struct api *api, const struct http_req *req, struct api_call *ret);
bool api_reads_body(const struct api_call *call); /* api_answer() does */
bool api_is_instant(const struct api_call *call); /* api_answer() does not wait */
void api_call_done(struct api_call *call);
void api_answer(struct api_call *call, struct api_reply *ret);
/* After the wait for a reply: makes it, and frees `later`. */
void api_finish(struct api_call *call, struct api_later *later, struct api_reply *ret);
int api_deadline(const struct api_call *call); /* seconds that this call may take */
/* For a request that is not to be acted upon: a reply that says why. */
void api_answer_error(const struct api_call *call, const struct err *err, struct api_reply *ret);
void api_reply_done(struct api_reply *reply);
/*
 * ERR_DEADLINE_EXCEEDED: the call has taken longer than api_deadline(). The call's owner may be
 * changing its arguments, so `ref` is the VM's or NULL.
 */
void api_late_error(const struct api_call *call, const char *ref, struct err *err);

/* Counters for all routes. NULL: out of memory. */
struct metrics *api_metrics_new(const struct route *routes, size_t count);
/* Counts a request, after metrics_begin(), and its answer. */
void api_count(const struct api_call *call, const struct api_reply *reply, int64_t microseconds);

const char *api_role_name(enum role role);

/* The rest is between the dispatcher, the routes and the handlers. */

/* From the path, the query, or the top of a JSON body. */
struct arg {
	const char *name;
	const char *text; /* as sent; NULL: a member of a body that is no text */
	size_t len;
	bool flag;
};

enum { API_ARGS_MAX = 24 };
struct api_call {
	struct api *api;
	const struct http_req *req;
	struct http_path path;
	struct http_query query;
	bool refused;              /* without a look into the body; `refusal` says why */
	struct err refusal;        /* when refused */
	const struct route *route; /* NULL: none, or OPTIONS, which has no row */
	bool safe;                 /* GET, HEAD or OPTIONS */
	bool open;                 /* the path is public */
	bool patchable;            /* the path has PATCH */
	char allow[64];            /* the methods that the path has */
	enum role role;            /* of the caller */
	struct arg args[API_ARGS_MAX];
	size_t arg_count;
	struct json *body; /* owned: as route->fields describes it; NULL: no JSON */
};

/* An argument by its name; NULL: it was not given. */
const struct arg *api_arg(const struct api_call *call, const char *name);
const char *api_text(const struct api_call *call, const char *name);
bool api_flag(const struct api_call *call, const char *name, bool preset);

/* The VM that the path or the query names, with the call's If-Match. */
struct target api_target(const struct api_call *call);

/* Reads the query into the arguments, by the route's table. */
int api_call_read_query(struct api_call *call, struct err *err);
/* Refuses a body that the route does not take, by its length and media type. */
int api_call_check_body(const struct api_call *call, struct err *err);
/* Reads a body that was checked into the arguments, by the route's table. */
int api_call_read_body(struct api_call *call, struct err *err);

typedef int api_handler(struct api_call *call, struct api_reply *reply, struct err *err);

enum {
	API_BODY_NONE = 0,
	API_BODY_JSON = 1,
	API_BODY_XML = 2,
	API_BODY_TEXT = 4,
	API_BODY_PATCH = 8, /* a JSON merge patch (RFC 7396); plain JSON is read as one, too */
};

/*
 * A row of the table, sorted by path, then method. An XML body becomes the argument "xml", a
 * text/plain body the argument "text". A route without a body still takes {}.
 */
struct route {
	const char *path; /* {name} is an argument: names are listed in api.c */
	enum http_method method;
	enum role role; /* ROLE_NONE: public */
	api_handler *handle;
	int status; /* on success */
	unsigned body;
	const struct field *query;
	const struct field *fields; /* of the JSON body */
	const char *summary;
	int what; /* for a handler that several rows share: which action */

	/* What an answer is, for api_reply_answer() and the OpenAPI document. */
	const struct field *answer;     /* NULL: not JSON */
	const char *media;              /* of the answer; NULL: JSON, or XML without an answer */
	const struct field *dry_answer; /* of a 200 with dry_run=1; or NULL */
	const char *errors;             /* codes that the handler adds, separated by | */
	const char *example;            /* of a body, as JSON; or NULL */

	bool instant;    /* never waits: is answered under any load */
	bool takes_long; /* has the long deadline */

	bool if_match; /* a mutation that checks If-Match; other mutations refuse the header */
	bool keyed;    /* uses Idempotency-Key */
	bool aged;     /* may answer from before the request, with an Age */
};

/* How fresh a list must be: only a client that sends no-cache waits long for a fresh one. */
enum inventory_need api_need(const struct api_call *call);

/* Does If-None-Match hold the reply's entity tag? Then the reply needs no body. */
bool api_is_held(const struct api_call *call, const struct api_reply *reply);

/* The answer that route->answer makes of a struct; see answer.h. Its getters get the call. */
int api_reply_answer(
	const struct api_call *call, const void *data, struct api_reply *reply, struct err *err);
/* Puts the value into the reply and frees it. */
int api_reply_json(struct api_reply *reply, struct json *value, struct err *err);
/* Replies with a text that other replies share; takes the rendering. */
void api_reply_shared(struct api_reply *reply, struct rendering *rendering, const char *type);
/*
 * Replies with what nginx has at an internal location: the path of these segments, encoded; NULL
 * ends them. nginx takes the media type and Cache-Control from this reply, the rest from the file.
 */
int api_reply_redirect(
	struct api_reply *reply, const char *const segments[], const char *type, struct err *err);
/* A reply that has to be waited for; `later` becomes the reply's. */
void api_reply_later(struct api_reply *reply, struct api_later *later);
/* Replies with a stream, which becomes the reply's. */
void api_reply_stream(struct api_reply *reply, struct api_stream *stream, const char *type);
/* Sets Location to the path of these segments, which are encoded; NULL ends them. */
int api_reply_location(struct api_reply *reply, const char *const segments[], struct err *err);
/* Turns the reply into an error. */
void api_reply_error(const struct api_call *call, const struct err *err, struct api_reply *reply);
void api_reply_drop_body(struct api_reply *reply);

/* What every error looks like, and the policy's violations in it. */
extern const struct field api_problem_fields[];
extern const struct field api_violation_fields[];
/* An error as JSON; takes the violations, which may be NULL. */
struct json *api_problem_json(
	const struct err *err, const char *request_id, enum role role, struct json *violations);

/* ERR_POLICY_DENIED, with the violations in the reply, unless the policy accepts the document. */
int api_apply_policy(const struct api_call *call, const struct xml *doc, struct api_reply *reply,
	struct err *err);
