/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Errors are values. The function that knows an error sets it, once; its callers return it; where
 * the request is answered, it becomes an RFC 9457 problem and a log line.
 *
 * A function that can fail takes a struct err * as its last parameter. On failure it sets *err and
 * returns -1; on success it returns 0 and does not touch *err. Nothing here allocates, and a struct
 * err may be copied. All functions may be called from any thread.
 */
#include "base/base.h"

/*
 * The closed list: kind, HTTP status, code, and seconds for Retry-After (0: the same request would
 * fail again). A code never changes its meaning. Only nginx answers with the kinds under "nginx"
 * (nginx-conf/errors.conf); they are here to make the list complete.
 */
#define ERR_KINDS(X) \
	X(ERR_BAD_REQUEST, 400, "bad_request", 0) \
	X(ERR_UNKNOWN_PARAMETER, 400, "unknown_parameter", 0) \
	X(ERR_BAD_JSON, 400, "bad_json", 0) \
	X(ERR_UNAUTHENTICATED, 401, "unauthenticated", 0) \
	X(ERR_FORBIDDEN, 403, "forbidden", 0) \
	X(ERR_CROSS_SITE, 403, "cross_site", 0) \
	X(ERR_DENIED_BY_HYPERVISOR, 403, "denied_by_hypervisor", 0) \
	X(ERR_NOT_FOUND, 404, "not_found", 0) \
	X(ERR_VM_NOT_FOUND, 404, "vm_not_found", 0) \
	X(ERR_SNAPSHOT_NOT_FOUND, 404, "snapshot_not_found", 0) \
	X(ERR_TEMPLATE_NOT_FOUND, 404, "template_not_found", 0) \
	X(ERR_METHOD_NOT_ALLOWED, 405, "method_not_allowed", 0) \
	X(ERR_WRONG_STATE, 409, "wrong_state", 0) \
	X(ERR_ALREADY_EXISTS, 409, "already_exists", 0) \
	X(ERR_SNAPSHOT_UNSUPPORTED, 409, "snapshot_unsupported", 0) \
	X(ERR_REVERT_NEEDS_FORCE, 409, "revert_needs_force", 0) \
	X(ERR_START_FAILED, 409, "start_failed", 0) \
	X(ERR_STORAGE_UNAVAILABLE, 409, "storage_unavailable", 0) \
	X(ERR_AGENT_UNAVAILABLE, 409, "agent_unavailable", 0) \
	X(ERR_CANNOT_SHUT_DOWN, 409, "cannot_shut_down", 0) \
	X(ERR_STILL_RUNNING, 409, "still_running", 0) \
	X(ERR_TOO_MANY_SELECTED, 409, "too_many_selected", 0) \
	X(ERR_ABORTED, 409, "aborted", 0) \
	X(ERR_LENGTH_REQUIRED, 411, "length_required", 0) \
	X(ERR_PRECONDITION_FAILED, 412, "precondition_failed", 0) \
	X(ERR_BODY_TOO_LARGE, 413, "body_too_large", 0) \
	X(ERR_UNSUPPORTED_MEDIA_TYPE, 415, "unsupported_media_type", 0) \
	X(ERR_INVALID_XML, 422, "invalid_xml", 0) \
	X(ERR_INVALID_SPEC, 422, "invalid_spec", 0) \
	X(ERR_POLICY_DENIED, 422, "policy_denied", 0) \
	X(ERR_NOT_BOOTABLE, 422, "not_bootable", 0) \
	X(ERR_UNSUPPORTED, 422, "unsupported", 0) \
	X(ERR_UNKNOWN_NETWORK, 422, "unknown_network", 0) \
	X(ERR_UNKNOWN_POOL, 422, "unknown_pool", 0) \
	X(ERR_KEY_REUSED, 422, "key_reused", 0) \
	X(ERR_INTERNAL, 500, "internal", 0) \
	X(ERR_NOT_SUPPORTED_BY_DRIVER, 501, "not_supported_by_driver", 0) \
	X(ERR_HYPERVISOR_UNAVAILABLE, 503, "hypervisor_unavailable", 2) \
	X(ERR_HOST_BUSY, 503, "host_busy", 1) \
	X(ERR_VM_BUSY, 503, "vm_busy", 1) \
	X(ERR_DRAINING, 503, "draining", 1) \
	X(ERR_OVERLOADED, 503, "overloaded", 1) \
	X(ERR_DEADLINE_EXCEEDED, 504, "deadline_exceeded", 0) \
	/* nginx */ \
	X(ERR_REQUEST_TIMEOUT, 408, "request_timeout", 0) \
	X(ERR_URI_TOO_LONG, 414, "uri_too_long", 0) \
	X(ERR_MISDIRECTED, 421, "misdirected", 0) \
	X(ERR_TOO_MANY_REQUESTS, 429, "too_many_requests", 1) \
	X(ERR_HEADERS_TOO_LARGE, 431, "headers_too_large", 0) \
	X(ERR_BACKEND_UNAVAILABLE, 502, "backend_unavailable", 1)

enum err_kind {
#define X(kind, status, code, retry) kind,
	ERR_KINDS(X)
#undef X
		ERR_KIND_COUNT
};

struct err {
	enum err_kind kind;
	char text[512];     /* for the client: what is wrong, and what would be right */
	char hint[256];     /* what the client can do about it, or "" */
	char state[16];     /* the VM's state, if that forbids the request, or "" */
	char allow[64];     /* for 405: the methods of the path, or "" */
	char private[512];  /* for admins and the log: may contain paths of the host */
	int libvirt_code;   /* virErrorNumber; 0: the error is not from libvirt */
	int libvirt_domain; /* virErrorDomain */
	int line, column;   /* the place in the request body, from 1; 0: unknown */
	bool unknown;       /* the operation may have happened: do not retry without a look */
};

/* Sets kind and text, and clears the rest. Returns -1, for a function to return. */
int err_set(struct err *err, enum err_kind kind, const char *fmt, ...) FORMAT(3, 4);

/* Adds a hint to an error that is set. Returns -1. */
int err_hint(struct err *err, const char *fmt, ...) FORMAT(2, 3);

/* Adds the VM's state, by its name, to an error that is set. Always -1. */
int err_state(struct err *err, const char *state);

/* ERR_INTERNAL: out of memory. Returns -1. */
int err_memory(struct err *err);

int err_status(enum err_kind kind);
const char *err_code(enum err_kind kind);
int err_retry_after(enum err_kind kind);
