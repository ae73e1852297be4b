/* SPDX-License-Identifier: MIT */
#include "domain_xml.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

void domain_xml_done(struct domain_xml *domain)
{
	if (domain->doc)
		xml_free(domain->doc);
}

/* Reads the one element of this name below the root into value; leaves it "" if there is none. */
static int read_single(
	const struct xml_node *root, const char *name, char *value, size_t size, struct err *err)
{
	const struct xml_node *node = xml_child(root, name);
	value[0] = '\0';
	if (!node)
		return 0;
	if (xml_next(node))
		return err_set(err, ERR_INVALID_XML, "domain XML: more than one <%s>", name);
	AUTO(free) char *text = xml_node_text(node);
	if (!text)
		return err_memory(err);
	if (strlen(text) >= size)
		return err_set(err, ERR_INVALID_XML, "domain XML: <%s> is longer than %zu bytes",
			name, size - 1);
	memcpy(value, text, strlen(text) + 1);
	return 0;
}

static int set_single(struct xml_node *root, const char *name, const char *value, struct err *err)
{
	struct xml_node *node = xml_child(root, name);
	bool failed = node ? xml_set_text(node, value) < 0 : !xml_add(root, name, value);
	return failed ? err_memory(err) : 0;
}

static int settle_name(struct domain_xml *domain, const char *name, struct err *err)
{
	struct xml_node *root = xml_root(domain->doc);
	if (xml_child(root, "name") && xml_next(xml_child(root, "name")))
		return err_set(err, ERR_INVALID_XML, "domain XML: more than one <name>");
	if (!name && read_single(root, "name", domain->name, sizeof domain->name, err) < 0)
		return -1;
	if (!text_is_name(name ? name : domain->name))
		return err_set(err, ERR_INVALID_SPEC, "name: '%s' is not %s",
			name ? name : domain->name, TEXT_NAME_RULE);
	if (name)
		memcpy(domain->name, name, strlen(name) + 1);
	if (text_is_uuid(domain->name))
		return err_set(err, ERR_INVALID_SPEC,
			"name: '%s' looks like a uuid, so a path could mean another VM",
			domain->name);
	return set_single(root, "name", domain->name, err);
}

static int settle_uuid(struct domain_xml *domain, struct err *err)
{
	struct xml_node *root = xml_root(domain->doc);
	if (read_single(root, "uuid", domain->uuid, sizeof domain->uuid, err) < 0)
		return -1;
	if (!xml_child(root, "uuid"))
		uuid_make(domain->uuid);
	if (!text_is_uuid(domain->uuid) || !strpbrk(domain->uuid, "123456789abcdefABCDEF"))
		return err_set(err, ERR_INVALID_SPEC,
			"uuid: '%s' is not a uuid such as "
			"c7a5fdbd-cdaf-9455-926a-d65c16db1809",
			domain->uuid);
	return set_single(root, "uuid", domain->uuid, err);
}

/* Every place of a path that may be relative, and the directory it starts from. */
static const struct place {
	const char *parent; /* all elements of this path */
	const char *child;  /* its child with the path */
	const char *attr;   /* NULL: the child's text */
	size_t root;        /* a member of struct config */
} places[] = {
	{ "os", "kernel", NULL, offsetof(struct config, images) },
	{ "os", "initrd", NULL, offsetof(struct config, images) },
	{ "devices/disk", "source", "file", offsetof(struct config, images) },
	{ "devices/filesystem", "source", "dir", offsetof(struct config, shares) },
	{ "devices/serial", "log", "file", offsetof(struct config, logs) },
	{ "devices/console", "log", "file", offsetof(struct config, logs) },
};

static bool leads_out(const char *path)
{
	for (const char *s = path; *s; s += strcspn(s, "/"), s += *s == '/')
		if (strcspn(s, "/") == 2 && !strncmp(s, "..", 2))
			return true;
	return false;
}

static int resolve_node(const struct place *place, struct xml_node *node,
	const struct config *config, struct err *err)
{
	const char *root = *(const char *const *)(const void *)((const char *)config + place->root);
	AUTO(free) char *path = place->attr ? xml_attr(node, place->attr) : xml_node_text(node);
	if (!path || !*path || *path == '/')
		return 0;
	if (leads_out(path))
		return err_set(err, ERR_INVALID_SPEC, "%s/%s: '%s' leads out of its directory",
			place->parent, place->child, path);
	AUTO(free) char *full = NULL;
	if (asprintf(&full, "%s/%s", root, path) < 0) {
		full = NULL;
		return err_memory(err);
	}
	int rc = place->attr ? xml_set_attr(node, place->attr, full) : xml_set_text(node, full);
	return rc < 0 ? err_memory(err) : 0;
}

static int resolve_paths(struct domain_xml *domain, const struct config *config, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct xml_node *parent = xml_find(xml_root(domain->doc), places[i].parent);
		for (; parent; parent = xml_next(parent)) {
			struct xml_node *child = xml_child(parent, places[i].child);
			for (; child; child = xml_next(child))
				if (resolve_node(&places[i], child, config, err) < 0)
					return -1;
		}
	}
	return 0;
}

static int set_missing(struct xml_node *node, const char *attr, const char *value)
{
	AUTO(free) char *written = xml_attr(node, attr);
	return written ? 0 : xml_set_attr(node, attr, value);
}

/*
 * What libvirt, or its configuration, would choose and the policy would not: 9p by "passthrough",
 * VNC on whatever qemu.conf says.
 */
static int settle_defaults(struct domain_xml *domain, struct err *err)
{
	int rc = 0;
	struct xml_node *root = xml_root(domain->doc);
	struct xml_node *node = xml_find(root, "devices/filesystem");
	for (; node; node = xml_next(node))
		rc |= set_missing(node, "accessmode", "mapped");
	for (node = xml_find(root, "devices/graphics"); node; node = xml_next(node)) {
		struct xml_node *listen = xml_child(node, "listen");
		rc |= listen ? set_missing(listen, "address", "127.0.0.1")
			     : set_missing(node, "listen", "127.0.0.1");
	}
	return rc ? err_memory(err) : 0;
}

int domain_xml_read(const char *text, size_t len, const char *name, const struct config *config,
	struct domain_xml *ret, struct err *err)
{
	AUTO_DOMAIN_XML struct domain_xml domain = { 0 };
	if (xml_parse(text, len, "domain XML", &domain.doc, err) < 0)
		return -1;
	if (!xml_is(xml_root(domain.doc), "domain"))
		return err_set(
			err, ERR_INVALID_XML, "domain XML: the outermost element is not <domain>");
	if (settle_name(&domain, name, err) < 0 || settle_uuid(&domain, err) < 0 ||
		resolve_paths(&domain, config, err) < 0)
		return -1;
	if (config->policy == POLICY_ON && settle_defaults(&domain, err) < 0)
		return -1;
	*ret = domain;
	domain.doc = NULL;
	return 0;
}

static bool host_has_kvm(struct lease *lease)
{
	AUTO(free) char *caps =
		virConnectGetDomainCapabilities(lease->conn, NULL, NULL, NULL, "kvm", 0);
	return caps;
}

/* The type to be, or NULL for the one that is written. */
static const char *choose_type(enum accel accel, const char *written, struct lease *lease)
{
	const char *driver = virConnectGetType(lease->conn);
	if (driver && !strcmp(driver, "TEST"))
		return "test";
	if (!written || strcmp(written, "kvm") != 0)
		return NULL;
	switch (accel) {
	case ACCEL_AS_WRITTEN:
		return NULL;
	case ACCEL_TCG:
		return "qemu";
	case ACCEL_AUTO:
		return host_has_kvm(lease) ? NULL : "qemu";
	}
	return NULL;
}

int domain_xml_accelerate(
	struct domain_xml *domain, enum accel accel, struct lease *lease, struct err *err)
{
	struct xml_node *root = xml_root(domain->doc);
	AUTO(free) char *written = xml_attr(root, "type");
	const char *type = choose_type(accel, written, lease);
	if (!type || (written && !strcmp(type, written)))
		return 0;
	if (xml_set_attr(root, "type", type) < 0)
		return err_memory(err);
	if (!strcmp(type, "qemu"))
		(void)snprintf(domain->warning, sizeof domain->warning,
			"type 'kvm' became 'qemu': %s, so the VM is emulated and slow",
			accel == ACCEL_TCG ? "VIRTGATE_ACCEL is tcg" : "the host has no KVM");
	return 0;
}

static int no_template(const char *name, struct err *err)
{
	return err_set(err, ERR_TEMPLATE_NOT_FOUND, "there is no template '%.64s'", name);
}

static int open_template(const struct config *config, const char *name, struct err *err)
{
	char file[80];
	size_t n = strlen(name);
	bool has_suffix = n > 4 && !strcmp(name + n - 4, ".xml");
	/* A name has no slash, and a link is not followed, so it cannot lead elsewhere. */
	if (n >= sizeof file - 4 || !text_is_name(name))
		return no_template(name, err);
	(void)snprintf(file, sizeof file, has_suffix ? "%s" : "%s.xml", name);
	AUTO(close) int dir = open(config->templates, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = dir < 0 ? -1 : openat(dir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	if (dir >= 0 && (errno == ENOENT || errno == ELOOP))
		return no_template(name, err);
	(void)err_set(err, ERR_INTERNAL, "the templates cannot be read");
	(void)snprintf(
		err->private, sizeof err->private, "%s: %s", config->templates, strerror(errno));
	return -1;
}

int domain_xml_template(
	const struct config *config, const char *name, char **ret, size_t *ret_len, struct err *err)
{
	AUTO(close) int fd = open_template(config, name, err);
	if (fd < 0)
		return -1;
	struct stat st;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return no_template(name, err);
	if (st.st_size > XML_BYTES_MAX)
		return err_set(err, ERR_INVALID_SPEC, "template '%s' is larger than %d bytes", name,
			XML_BYTES_MAX);
	AUTO(free) char *text = malloc((size_t)st.st_size + 1);
	if (!text)
		return err_memory(err);
	ssize_t n = read(fd, text, (size_t)st.st_size);
	if (n != st.st_size)
		return err_set(err, ERR_INTERNAL, "template '%s' cannot be read", name);
	text[n] = '\0';
	*ret = TAKE(text);
	*ret_len = (size_t)n;
	return 0;
}

static void copy_child(const struct xml_node *root, const char *name, char *ret, size_t size)
{
	const struct xml_node *node = xml_child(root, name);
	AUTO(free) char *text = node ? xml_node_text(node) : NULL;
	(void)snprintf(ret, size, "%s", text ? text : "");
	text_mask_malformed(ret);
}

static void describe_template(const struct config *config, struct domain_template *template)
{
	AUTO(free) char *text = NULL;
	AUTO(xml_free) struct xml *doc = NULL;
	size_t len = 0;
	struct err err;
	if (domain_xml_template(config, template->name, &text, &len, &err) < 0 ||
		xml_parse(text, len, "template", &doc, &err) < 0) {
		(void)snprintf(template->error, sizeof template->error, "%.150s", err.text);
		text_mask_malformed(template->error);
		return;
	}
	copy_child(xml_root(doc), "title", template->title, sizeof template->title);
	copy_child(
		xml_root(doc), "description", template->description, sizeof template->description);
}

/* Only what open_template() would open. */
static int is_template(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);
	return n > 4 && n < sizeof((struct domain_template *)NULL)->name &&
		text_is_name(entry->d_name) && !strcmp(entry->d_name + n - 4, ".xml");
}

struct entries {
	struct dirent **list;
	int count;
};

static void entries_done(struct entries *entries)
{
	for (int i = 0; i < entries->count; i++)
		free(entries->list[i]);
	free(entries->list);
}

int domain_xml_templates(const struct config *config, struct domain_template **ret,
	size_t *ret_count, struct err *err)
{
	__attribute__((cleanup(entries_done))) struct entries entries = { 0 };
	int count = scandir(config->templates, &entries.list, is_template, alphasort);
	if (count < 0) {
		(void)err_set(err, ERR_INTERNAL, "the templates cannot be read");
		(void)snprintf(err->private, sizeof err->private, "%s: %s", config->templates,
			strerror(errno));
		return -1;
	}
	entries.count = count;
	size_t kept = count < TEMPLATES_MAX ? (size_t)count : TEMPLATES_MAX;
	struct domain_template *list = calloc(kept + 1, sizeof *list);
	if (!list)
		return err_memory(err);
	for (size_t i = 0; i < kept; i++) {
		const char *file = entries.list[i]->d_name;
		(void)snprintf(list[i].name, sizeof list[i].name, "%.*s",
			(int)(strlen(file) - strlen(".xml")), file);
		describe_template(config, &list[i]);
	}
	*ret = list;
	*ret_count = kept;
	return 0;
}
