/* SPDX-License-Identifier: MIT */
#include "base/config.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

enum kind { TEXT, DIRECTORY, NUMBER, WORD };

struct setting {
	const char *name; /* as a flag; the variable is VIRTGATE_ and the same in capitals */
	enum kind kind;
	size_t offset;
	const char *preset;
	int min, max;       /* of a NUMBER */
	const char *values; /* of a WORD: in the order of its enum, separated by | */
	const char *help;
};

#define AT(member) offsetof(struct config, member)

static const struct setting settings[] = {
	{ "listen", TEXT, AT(listen), "/run/virtgate/virtgate.sock",
		.help = "where nginx connects: a unix socket's path, or host:port on\n"
			"the loopback.\n"
			"A socket handed over by systemd (LISTEN_FDS) wins" },
	{ "socket-group", TEXT, AT(socket_group), "",
		.help = "group that may connect to the unix socket" },
	{ "uri", TEXT, AT(uri), "",
		.help = "libvirt connection URI; empty: libvirt's own default" },
	{ "templates", DIRECTORY, AT(templates), "/usr/share/virtgate/xml",
		.help = "directory of the templates (xmlName, \"template\")" },
	{ "images", DIRECTORY, AT(images), "/var/lib/libvirt/images",
		.help = "directory that relative kernel, initrd and disk paths start from" },
	{ "shares", DIRECTORY, AT(shares), "/var/lib/libvirt/fs",
		.help = "directory that relative filesystem shares start from" },
	{ "logs", DIRECTORY, AT(logs), "/var/log/libvirt/qemu",
		.help = "directory that relative serial log files start from" },
	{ "networks", TEXT, AT(networks), "default",
		.help = "libvirt networks that a VM may be on, separated by commas" },
	{ "bridges", TEXT, AT(bridges), "virbr0",
		.help = "host bridges that a VM may be on, separated by commas" },
	{ "policy", WORD, AT(policy), "on", .values = "on|off",
		.help = "off: domain XML is not checked, and is root on the host\n"
			"(as a flag: --policy=off)" },
	{ "accel", WORD, AT(accel), "auto", .values = ACCEL_NAMES,
		.help = "auto: a kvm domain becomes qemu where the host has no KVM;\n"
			"as-written: never changed; tcg: always emulated" },
	{ "workers", NUMBER, AT(workers), "64", 1, 1024, .help = "threads that answer requests" },
	{ "connections", NUMBER, AT(connections), "8", 1, 16,
		.help = "connections to a libvirt host at most; its daemon serves\n"
			"20 calls at a time in all" },
	{ "read-deadline", NUMBER, AT(read_deadline), "10", 1, 600,
		.help = "seconds until a request that only reads is answered 504" },
	{ "action-deadline", NUMBER, AT(action_deadline), "30", 1, 600,
		.help = "the same for one that changes something" },
	{ "long-deadline", NUMBER, AT(long_deadline), "600", 1, 600,
		.help = "the same for what may take minutes: start, stop, save,\n"
			"snapshots, and what is done to many VMs" },
	{ "drain", NUMBER, AT(drain), "30", 0, 3600,
		.help = "seconds that running requests get to finish at SIGTERM" },
	{ "anonymous-role", WORD, AT(anonymous), "none", .values = ROLE_NAMES,
		.help = "role of a request without a user; none: refuse it" },
};

static void variable_name(const struct setting *s, char *ret, size_t size)
{
	size_t n = (size_t)snprintf(ret, size, "VIRTGATE_%s", s->name);
	for (size_t i = 0; i < n && i < size; i++)
		ret[i] = ret[i] == '-' ? '_' : (char)toupper((unsigned char)ret[i]);
}

static int set_number(
	const struct setting *s, int *to, const char *value, const char *from, struct err *err)
{
	char *end = NULL;
	errno = 0;
	long n = strtol(value, &end, 10);
	if (errno || end == value || *end || n < s->min || n > s->max)
		return err_set(err, ERR_BAD_REQUEST, "%s: '%s' is not a whole number from %d to %d",
			from, value, s->min, s->max);
	*to = (int)n;
	return 0;
}

static int set_word(
	const struct setting *s, int *to, const char *value, const char *from, struct err *err)
{
	size_t n = strlen(value);
	int index = 0;
	for (const char *w = s->values; w; w = strchr(w, '|'), w = w ? w + 1 : NULL, index++) {
		if (strcspn(w, "|") == n && !strncmp(w, value, n)) {
			*to = index;
			return 0;
		}
	}
	return err_set(err, ERR_BAD_REQUEST, "%s: '%s' is not one of %s", from, value, s->values);
}

static int set(struct config *c, const struct setting *s, const char *value, const char *from,
	struct err *err)
{
	char *at = (char *)c + s->offset;
	switch (s->kind) {
	case NUMBER:
		return set_number(s, (int *)(void *)at, value, from, err);
	case WORD:
		return set_word(s, (int *)(void *)at, value, from, err);
	case DIRECTORY:
		if (value[0] != '/')
			return err_set(err, ERR_BAD_REQUEST, "%s: '%s' is not an absolute path",
				from, value);
		break;
	case TEXT:
		break;
	}
	*(const char **)(void *)at = value;
	return 0;
}

static int set_from_environment(struct config *c, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		char name[64];
		variable_name(&settings[i], name, sizeof name);
		const char *value = getenv(name);
		if (set(c, &settings[i], settings[i].preset, settings[i].name, err) < 0)
			return -1;
		if (value && set(c, &settings[i], value, name, err) < 0)
			return -1;
	}
	return 0;
}

static bool is_action(struct config *c, const char *arg)
{
	static const struct {
		const char *flag;
		enum config_action action;
	} actions[] = {
		{ "--help", CONFIG_HELP },
		{ "-h", CONFIG_HELP },
		{ "--version", CONFIG_VERSION },
		{ "--check", CONFIG_CHECK },
		{ "--policy", CONFIG_POLICY },
		{ "--openapi", CONFIG_OPENAPI },
	};
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		if (!strcmp(arg, actions[i].flag)) {
			c->action = actions[i].action;
			return true;
		}
	}
	return false;
}

static const struct setting *find_flag(const char *arg, size_t len)
{
	for (size_t i = 0; len > 2 && i < ARRAY_LEN(settings); i++)
		if (!strncmp(arg, "--", 2) && strlen(settings[i].name) == len - 2 &&
			!strncmp(arg + 2, settings[i].name, len - 2))
			return &settings[i];
	return NULL;
}

static int set_from_flags(struct config *c, int argc, char *const argv[], struct err *err)
{
	for (int i = 1; i < argc; i++) {
		if (is_action(c, argv[i]))
			continue;
		if (!strcmp(argv[i], "convert")) {
			c->action = CONFIG_CONVERT;
			c->words = argv + i + 1;
			return 0;
		}
		size_t len = strcspn(argv[i], "=");
		const struct setting *s = find_flag(argv[i], len);
		if (!s)
			return err_set(err, ERR_BAD_REQUEST,
				"'%s' is not a flag; virtgate --help lists them", argv[i]);
		const char *value = argv[i][len] ? argv[i] + len + 1 : argv[++i];
		if (!value)
			return err_set(err, ERR_BAD_REQUEST, "--%s needs a value", s->name);
		char from[64];
		(void)snprintf(from, sizeof from, "--%s", s->name);
		if (set(c, s, value, from, err) < 0)
			return -1;
	}
	return 0;
}

int config_load(struct config *ret, int argc, char *const argv[], struct err *err)
{
	struct config c = { .action = CONFIG_RUN };
	if (set_from_environment(&c, err) < 0 || set_from_flags(&c, argc, argv, err) < 0)
		return -1;
	*ret = c;
	return 0;
}

static void help_row(FILE *out, const struct setting *s)
{
	char name[64];
	variable_name(s, name, sizeof name);
	(void)fprintf(out, "  --%-16s %s", s->name, name);
	if (s->kind == NUMBER)
		(void)fprintf(out, " (%d to %d)", s->min, s->max);
	if (s->kind == WORD)
		(void)fprintf(out, " (%s)", s->values);
	if (s->preset[0])
		(void)fprintf(out, " [%s]", s->preset);
	(void)fputc('\n', out);
	for (const char *line = s->help; *line; line += strcspn(line, "\n"), line += *line == '\n')
		(void)fprintf(out, "                     %.*s\n", (int)strcspn(line, "\n"), line);
}

void config_help(FILE *out)
{
	(void)fputs(
		"virtgate - a JSON API for virtual machines: FastCGI to nginx, libvirt to the "
		"host\n\n"
		"usage: virtgate [--SETTING VALUE]...    serve until SIGTERM\n"
		"       virtgate --check                 settings valid and host reachable?\n"
		"       virtgate --policy                what domain XML may say\n"
		"       virtgate --openapi               the API as an OpenAPI document\n"
		"       virtgate convert qemu-argv [--spec|--options] [--] [WORD]...\n"
		"                                        a QEMU command line, or one on standard\n"
		"                                        input, as domain XML or as a JSON spec\n"
		"       virtgate --help | --version\n\n"
		"Each setting is a flag and an environment variable; the flag wins.\n"
		"  flag               variable (values) [default]\n",
		out);
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		help_row(out, &settings[i]);
}
