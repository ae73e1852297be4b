/* SPDX-License-Identifier: MIT */
#include "server/startup.h"

#include "files/hostpath.h"
#include "server/listener.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>

static int check_kernel(const struct config *config, struct err *err)
{
	(void)config;
	if (hostpath_probe() < 0)
		return err_set(err, ERR_INTERNAL,
			"the system call openat2() fails: %s. It needs Linux 5.6 or newer; systemd "
			"forbids it if RestrictSUIDSGID=yes is set, or if SystemCallFilter= does "
			"not list it",
			strerror(errno));
	return 0;
}

static int check_templates(const struct config *config, struct err *err)
{
	if (access(config->templates, R_OK | X_OK) < 0)
		return err_set(err, ERR_BAD_REQUEST,
			"templates: cannot read '%.200s': %s; set VIRTGATE_TEMPLATES to the "
			"directory of the templates, which is xml/ in a checkout",
			config->templates, strerror(errno));
	return 0;
}

int startup_check(const struct config *config)
{
	static int (*const checks[])(const struct config *, struct err *) = {
		check_kernel,
		check_templates,
		listener_check,
	};
	int problems = 0;
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		struct err err;
		if (checks[i](config, &err) < 0) {
			(void)fprintf(stderr, "virtgate: %s\n", err.text);
			problems++;
		}
	}
	return problems;
}

/* The path of a file beside the unix socket. */
static int path_beside_socket(
	const struct config *config, const char *name, char **ret, struct err *err)
{
	AUTO(free) char *listen = strdup(config->listen);
	*ret = NULL;
	return listen && asprintf(ret, "%s/%s", dirname(listen), name) >= 0 ? 0 : err_memory(err);
}

int startup_share_gates(const struct config *config, struct hypervisor *hypervisor, struct err *err)
{
	AUTO(free) char *path = NULL;
	if (config->listen[0] != '/')
		return 0;
	if (path_beside_socket(config, "virtgate.lock", &path, err) < 0)
		return -1;
	return gate_share(hypervisor, path, err);
}

int startup_share_secret(const struct config *config, unsigned char ret[static SECRET_SIZE],
	const char **ret_note, struct err *err)
{
	AUTO(free) char *path = NULL;
	bool made = false;
	*ret_note = NULL;
	if (config->listen[0] != '/') {
		secret_make(ret);
		*ret_note = "a request is recognised by its Idempotency-Key in this process alone: "
			    "virtgates share a secret for that beside a unix socket, and this one "
			    "listens on TCP";
		return 0;
	}
	if (path_beside_socket(config, "virtgate.secret", &path, err) < 0 ||
		secret_share(path, ret, &made, err) < 0)
		return -1;
	if (made)
		*ret_note = "made a new secret: earlier requests are not recognised by their "
			    "Idempotency-Key";
	return 0;
}

struct place {
	const char *name, *variable, *path;
	int mode;
};

static int check_place(const struct place *place, bool notes)
{
	if (!access(place->path, place->mode))
		return 0;
	int why = errno;
	if (why == ENOENT && notes)
		(void)fprintf(stderr, "virtgate: note: %s: '%s' does not exist; no VM can use it\n",
			place->name, place->path);
	if (why == ENOENT)
		return 0;
	(void)fprintf(stderr,
		"virtgate: %s: cannot %s '%s': %s; set %s, or ReadWritePaths= in systemd's unit\n",
		place->name, place->mode & W_OK ? "write to" : "use", place->path, strerror(why),
		place->variable);
	return 1;
}

int startup_check_files(const struct config *config, bool notes)
{
	const struct place places[] = {
		{ "images", "VIRTGATE_IMAGES", config->images, R_OK | W_OK | X_OK },
		{ "shares", "VIRTGATE_SHARES", config->shares, X_OK },
		{ "logs", "VIRTGATE_LOGS", config->logs, X_OK },
	};
	int problems = 0;
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		problems += check_place(&places[i], notes);
	return problems;
}
