/* SPDX-License-Identifier: MIT */
#include "base/config.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

enum setting_type { SETTING_TEXT, SETTING_DIRECTORY, SETTING_NUMBER, SETTING_WORD };

struct setting {
	const char *name; /* of the flag; the variable is VIRTGATE_ and the name in capitals */
	enum setting_type type;
	size_t offset; /* in struct config */
	const char *preset;
	int min, max;      /* SETTING_NUMBER */
	const char *words; /* SETTING_WORD: in the order of the enumeration, separated by | */
	const char *help;  /* lines of up to 59 characters */
};

#define AT(member) offsetof(struct config, member)

static const struct setting settings[] = {
	{ "listen", SETTING_TEXT, AT(listen), "/run/virtgate/virtgate.sock",
		.help = "where nginx connects: the path of a unix socket, or\n"
			"host:port on the loopback interface. A socket that systemd\n"
			"passes (LISTEN_FDS) takes precedence" },
	{ "socket-group", SETTING_TEXT, AT(socket_group), "",
		.help = "group that may connect to the unix socket" },
	{ "socket-users", SETTING_TEXT, AT(socket_users), "www-data",
		.help = "users that may connect to the unix socket besides root and\n"
			"virtgate's own, separated by commas; a name without a user\n"
			"on this machine is skipped" },
	{ "uri", SETTING_TEXT, AT(uri), "",
		.help = "libvirt connection URI; empty: libvirt's own default" },
	{ "templates", SETTING_DIRECTORY, AT(templates), "/usr/share/virtgate/xml",
		.help = "directory of the templates (\"template\", xmlName)" },
	{ "images", SETTING_DIRECTORY, AT(images), "/var/lib/libvirt/images",
		.help = "directory of kernels, initrds and disks; relative paths\n"
			"start here" },
	{ "shares", SETTING_DIRECTORY, AT(shares), "/var/lib/libvirt/fs",
		.help = "directory of filesystem shares; relative paths start here" },
	{ "logs", SETTING_DIRECTORY, AT(logs), "/var/log/libvirt/qemu",
		.help = "directory of serial log files" },
	{ "networks", SETTING_TEXT, AT(networks), "default",
		.help = "libvirt networks that a VM may use, separated by commas" },
	{ "bridges", SETTING_TEXT, AT(bridges), "virbr0",
		.help = "host bridges that a VM may use, separated by commas" },
	{ "policy", SETTING_WORD, AT(policy), "on", .words = "on|off",
		.help = "off: domain XML is not checked, which makes every admin\n"
			"root on the host. As a flag: --policy=off" },
	{ "accel", SETTING_WORD, AT(accel), "auto", .words = ACCEL_NAMES,
		.help = "auto: a domain of type kvm becomes type qemu on a host\n"
			"without KVM; as-written: the type never changes; tcg: it is\n"
			"always qemu" },
	{ "workers", SETTING_NUMBER, AT(workers), "64", 1, 1024,
		.help = "threads that answer requests" },
	{ "connections", SETTING_NUMBER, AT(connections), "8", 1, 16,
		.help = "maximum number of connections to a libvirt host; its daemon\n"
			"runs 20 calls at a time for all its clients" },
	{ "read-deadline", SETTING_NUMBER, AT(read_deadline), "10", 1, 600,
		.help = "seconds until a request that only reads is answered with\n"
			"504" },
	{ "action-deadline", SETTING_NUMBER, AT(action_deadline), "30", 1, 600,
		.help = "seconds until a request that changes something is answered\n"
			"with 504" },
	{ "long-deadline", SETTING_NUMBER, AT(long_deadline), "600", 1, 600,
		.help = "seconds until a request that may take minutes is answered\n"
			"with 504: start, stop, save, snapshots, and actions on many\n"
			"VMs" },
	{ "drain", SETTING_NUMBER, AT(drain), "30", 0, 3600,
		.help = "seconds that running requests get to finish after SIGTERM" },
	{ "max-memory", SETTING_NUMBER, AT(max_memory), "0", 0, 1 << 20,
		.help = "MiB of memory that a request may give to a VM; 0: as much as\n"
			"the host has" },
	{ "max-vcpus", SETTING_NUMBER, AT(max_vcpus), "64", 0, 256,
		.help = "vcpus that a request may give to a VM; 0: 256" },
	{ "max-vms", SETTING_NUMBER, AT(max_vms), "10000", 0, 1000000,
		.help = "VMs of the host, also those that are off, beyond which none\n"
			"is created; 0: no limit" },
	{ "max-disk", SETTING_NUMBER, AT(max_disk), "2048", 0, 1 << 16,
		.help = "GiB of an image that virtgate creates; 0: 65536" },
	{ "anonymous-role", SETTING_WORD, AT(anonymous), "none", .words = ROLE_NAMES,
		.help = "role of a request without a user; none: refuse the request" },
};

static void setting_variable(const struct setting *s, char *ret, size_t size)
{
	size_t n = (size_t)snprintf(ret, size, "VIRTGATE_%s", s->name);
	for (size_t i = 0; i < n && i < size; i++)
		ret[i] = ret[i] == '-' ? '_' : (char)toupper((unsigned char)ret[i]);
}

/* `from` is where the value was given: the flag or the variable. */
static int setting_read_number(
	const struct setting *s, const char *value, const char *from, int *ret, struct err *err)
{
	char *end = NULL;
	errno = 0;
	long n = strtol(value, &end, 10);
	if (errno || end == value || *end || n < s->min || n > s->max)
		return err_set(err, ERR_BAD_REQUEST, "%s: '%s' is not a whole number from %d to %d",
			from, value, s->min, s->max);
	*ret = (int)n;
	return 0;
}

static int setting_read_word(const struct setting *s, const char *value, const char *from,
	unsigned *ret, struct err *err)
{
	size_t n = strlen(value);
	unsigned index = 0;
	for (const char *w = s->words; w; w = strchr(w, '|'), w = w ? w + 1 : NULL, index++) {
		if (strcspn(w, "|") == n && !strncmp(w, value, n)) {
			*ret = index;
			return 0;
		}
	}
	return err_set(err, ERR_BAD_REQUEST, "%s: '%s' is not one of %s", from, value, s->words);
}

static int config_set(struct config *c, const struct setting *s, const char *value,
	const char *from, struct err *err)
{
	void *at = (char *)c + s->offset;
	switch (s->type) {
	case SETTING_NUMBER:
		return setting_read_number(s, value, from, at, err);
	case SETTING_WORD: /* an enumeration without negative values is unsigned */
		return setting_read_word(s, value, from, at, err);
	case SETTING_DIRECTORY:
		if (value[0] != '/')
			return err_set(err, ERR_BAD_REQUEST, "%s: '%s' is not an absolute path",
				from, value);
		break;
	case SETTING_TEXT:
		break;
	}
	*(const char **)at = value;
	return 0;
}

static int config_read_environment(struct config *c, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		char name[64];
		setting_variable(&settings[i], name, sizeof name);
		const char *value = getenv(name);
		if (config_set(c, &settings[i], settings[i].preset, settings[i].name, err) < 0)
			return -1;
		if (value && config_set(c, &settings[i], value, name, err) < 0)
			return -1;
	}
	return 0;
}

/* true: it was a flag without a value, which says what to do. */
static bool config_read_action(struct config *c, const char *arg)
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

static const struct setting *setting_find(const char *arg, size_t len)
{
	for (size_t i = 0; len > 2 && i < ARRAY_LEN(settings); i++)
		if (!strncmp(arg, "--", 2) && strlen(settings[i].name) == len - 2 &&
			!strncmp(arg + 2, settings[i].name, len - 2))
			return &settings[i];
	return NULL;
}

static int config_read_flags(struct config *c, int argc, char *const argv[], struct err *err)
{
	for (int i = 1; i < argc; i++) {
		if (config_read_action(c, argv[i]))
			continue;
		if (!strcmp(argv[i], "convert")) {
			c->action = CONFIG_CONVERT;
			c->words = argv + i + 1;
			return 0;
		}
		size_t len = strcspn(argv[i], "=");
		const struct setting *s = setting_find(argv[i], len);
		if (!s)
			return err_set(err, ERR_BAD_REQUEST,
				"'%s' is not a flag; virtgate --help lists them", argv[i]);
		const char *value = argv[i][len] ? argv[i] + len + 1 : argv[++i];
		if (!value)
			return err_set(err, ERR_BAD_REQUEST, "--%s needs a value", s->name);
		char from[64];
		(void)snprintf(from, sizeof from, "--%s", s->name);
		if (config_set(c, s, value, from, err) < 0)
			return -1;
	}
	return 0;
}

int config_load(struct config *ret, int argc, char *const argv[], struct err *err)
{
	struct config c = { .action = CONFIG_RUN };
	if (config_read_environment(&c, err) < 0 || config_read_flags(&c, argc, argv, err) < 0)
		return -1;
	*ret = c;
	return 0;
}

static void setting_help(FILE *out, const struct setting *s)
{
	char name[64];
	setting_variable(s, name, sizeof name);
	(void)fprintf(out, "  --%-16s %s", s->name, name);
	if (s->type == SETTING_NUMBER)
		(void)fprintf(out, " (%d to %d)", s->min, s->max);
	if (s->type == SETTING_WORD)
		(void)fprintf(out, " (%s)", s->words);
	if (s->preset[0])
		(void)fprintf(out, " [%s]", s->preset);
	(void)fputc('\n', out);
	for (const char *line = s->help; *line; line += strcspn(line, "\n"), line += *line == '\n')
		(void)fprintf(out, "                     %.*s\n", (int)strcspn(line, "\n"), line);
}

void config_help(FILE *out)
{
	(void)fputs(
		"virtgate - a JSON API for virtual machines. nginx connects to it by FastCGI;\n"
		"libvirt runs the VMs.\n\n"
		"usage: virtgate [--SETTING VALUE]...    serve until SIGTERM\n"
		"       virtgate --check                 check the settings and the libvirt host\n"
		"       virtgate --policy                print what domain XML may contain\n"
		"       virtgate --openapi               print the API as an OpenAPI document\n"
		"       virtgate convert qemu-argv [--spec|--options] [--] [WORD]...\n"
		"                                        print a QEMU command line as domain XML\n"
		"                                        or as a JSON spec; without words, read\n"
		"                                        it from standard input\n"
		"       virtgate --help | --version\n\n"
		"Each setting is a flag and an environment variable. The flag takes precedence.\n"
		"  flag               variable (values) [default]\n",
		out);
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		setting_help(out, &settings[i]);
}
