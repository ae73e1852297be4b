/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The settings: one table, each row an environment variable (VIRTGATE_URI) and a flag (--uri).
 * A flag wins over the environment. A bad value refuses to start and names variable, value and
 * bounds. Read once at start; constant, and so shared by all threads, from then on.
 */
#include "base/err.h"
#include "base/named.h"

#include <stdio.h>

/* What a caller may do; each includes the one before it. */
#define ROLES(FIRST, NEXT) \
	FIRST(ROLE_NONE, "none") \
	NEXT(ROLE_VIEWER, "viewer") \
	NEXT(ROLE_OPERATOR, "operator") \
	NEXT(ROLE_ADMIN, "admin")
enum role { ROLES(NAMED_VALUE, NAMED_VALUE) ROLE_COUNT };
#define ROLE_NAMES ROLES(NAMED_FIRST, NAMED_NEXT)

/* Which accelerator a domain gets (VIRTGATE_ACCEL). */
#define ACCELS(FIRST, NEXT) \
	FIRST(ACCEL_AUTO, "auto") \
	NEXT(ACCEL_AS_WRITTEN, "as-written") \
	NEXT(ACCEL_TCG, "tcg")
enum accel { ACCELS(NAMED_VALUE, NAMED_VALUE) };
#define ACCEL_NAMES ACCELS(NAMED_FIRST, NAMED_NEXT)

/* Is domain XML checked (VIRTGATE_POLICY)? */
enum policy_mode { POLICY_ON, POLICY_OFF };

enum config_action {
	CONFIG_RUN,
	CONFIG_CHECK,
	CONFIG_HELP,
	CONFIG_VERSION,
	CONFIG_POLICY,
	CONFIG_OPENAPI,
	CONFIG_CONVERT, /* `words` says what */
};

struct config {
	enum config_action action;
	char *const *words; /* of the command line behind the command; end with NULL */
	/* Text is the environment's, argv's or a literal: it lives as long as the process. */
	const char *listen;       /* unix path or host:port */
	const char *socket_group; /* or "" */
	const char *uri;          /* libvirt's; "": its own default */
	const char *templates;    /* directories, absolute */
	const char *images;
	const char *shares;
	const char *logs;
	const char *networks; /* names, separated by commas */
	const char *bridges;
	int workers;       /* threads */
	int connections;   /* to libvirt, per host */
	int read_deadline; /* seconds */
	int action_deadline;
	int long_deadline;
	int drain;     /* seconds */
	int accel;     /* enum accel */
	int anonymous; /* enum role */
	int policy;    /* enum policy_mode */
};

int config_load(struct config *ret, int argc, char *const argv[], struct err *err);
void config_help(FILE *out);
