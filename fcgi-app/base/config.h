/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The settings: one table, in which each row is an environment variable (VIRTGATE_URI) and a flag
 * (--uri). A flag takes precedence. They are read once, before any other thread starts, and do not
 * change. For a bad value config_load() fails with the name, the value and the bounds.
 */
#include "base/err.h"
#include "base/named.h"

#include <stdio.h>

/* What a user may do. Each role includes the one before it. */
#define ROLES(FIRST, NEXT) \
	FIRST(ROLE_NONE, "none") \
	NEXT(ROLE_VIEWER, "viewer") \
	NEXT(ROLE_OPERATOR, "operator") \
	NEXT(ROLE_ADMIN, "admin")
enum role { ROLES(NAMED_VALUE, NAMED_VALUE) ROLE_COUNT };
#define ROLE_NAMES ROLES(NAMED_FIRST, NAMED_NEXT)

/* Which accelerator a new domain gets. */
#define ACCELS(FIRST, NEXT) \
	FIRST(ACCEL_AUTO, "auto") \
	NEXT(ACCEL_AS_WRITTEN, "as-written") \
	NEXT(ACCEL_TCG, "tcg")
enum accel { ACCELS(NAMED_VALUE, NAMED_VALUE) };
#define ACCEL_NAMES ACCELS(NAMED_FIRST, NAMED_NEXT)

/* Whether domain XML is checked. */
enum policy_mode { POLICY_ON, POLICY_OFF };

enum config_action {
	CONFIG_RUN,
	CONFIG_CHECK,
	CONFIG_HELP,
	CONFIG_VERSION,
	CONFIG_POLICY,
	CONFIG_OPENAPI,
	CONFIG_CONVERT,
};

/* Text is from the environment, from argv or a literal: it lives as long as the process. */
struct config {
	enum config_action action;
	char *const *words; /* CONFIG_CONVERT: the arguments after "convert"; NULL ends them */
	const char *listen; /* unix path or host:port */
	const char *socket_group; /* or "" */
	const char *socket_users; /* names, separated by commas */
	const char *uri;          /* of libvirt; "": libvirt's default */
	const char *templates;    /* directories: absolute paths */
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
	int drain; /* seconds */
	/* Limits of VMs. 0: none but the policy's; for memory, what the host has. */
	int max_memory; /* MiB of a VM */
	int max_vcpus;
	int max_vms;
	int max_disk; /* GiB of an image that virtgate makes */
	enum accel accel;
	enum role anonymous; /* of a request without a user */
	enum policy_mode policy;
};

/* Reads the environment and then the arguments. On failure *ret is not touched. */
int config_load(struct config *ret, int argc, char *const argv[], struct err *err);

/* Prints what --help shows. */
void config_help(FILE *out);
