/* SPDX-License-Identifier: MIT */
#include "definition/domain_xml.h"

#include "base/text.h"
#include "definition/metadata.h"
#include "definition/policy.h"
#include "definition/serial_log.h"
#include "libvirt/host_info.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

void domain_xml_done(struct domain_xml *domain)
{
	if (domain->doc)
		xml_free(domain->doc);
}

/* Reads the text of the root's only child of this name; "" if there is none. */
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
		return err_set(err, ERR_INVALID_SPEC, "%s: longer than %zu bytes", name, size - 1);
	memcpy(value, text, strlen(text) + 1);
	return 0;
}

static int set_single(struct xml_node *root, const char *name, const char *value, struct err *err)
{
	struct xml_node *node = xml_child(root, name);
	bool failed = node ? xml_set_text(node, value) < 0 : !xml_add(root, name, value);
	return failed ? err_memory(err) : 0;
}

static int settle_name(struct domain_xml *domain, struct err *err)
{
	struct xml_node *root = xml_root(domain->doc);
	if (read_single(root, "name", domain->name, sizeof domain->name, err) < 0)
		return -1;
	if (!text_is_name(domain->name))
		return err_set(err, ERR_INVALID_SPEC, "name: '%s' is not %s", domain->name,
			TEXT_NAME_RULE);
	if (uuid_is(domain->name))
		return err_set(err, ERR_INVALID_SPEC,
			"name: '%s' looks like a UUID, so a URL could mean another VM",
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
	for (char *c = domain->uuid; *c; c++)
		*c = (char)tolower((unsigned char)*c); /* as libvirt writes it */
	if (!uuid_is(domain->uuid) || !strpbrk(domain->uuid, "123456789abcdefABCDEF"))
		return err_set(err, ERR_INVALID_SPEC,
			"uuid: '%s' is not a UUID such as "
			"c7a5fdbd-cdaf-9455-926a-d65c16db1809",
			domain->uuid);
	return set_single(root, "uuid", domain->uuid, err);
}

static bool leads_out(const char *path)
{
	for (const char *s = path; *s; s += strcspn(s, "/"), s += *s == '/')
		if (strcspn(s, "/") == 2 && !strncmp(s, "..", 2))
			return true;
	return false;
}

/* A log's name becomes a path that only this VM may have. */
static int settle_log(const struct policy_path *path, const struct domain_xml *domain,
	const char *name, size_t len, char **ret, struct err *err)
{
	if (!serial_log_is_name(name, len))
		return err_set(err, ERR_INVALID_SPEC, "%s: '%.200s' is not " SERIAL_LOG_RULE,
			path->where, path->value);
	if (asprintf(ret, "%s/%s@%.*s", path->root, domain->uuid, (int)len, name) < 0) {
		*ret = NULL;
		return err_memory(err);
	}
	return 0;
}

static int settle_file(
	const struct policy_path *path, const char *name, size_t len, char **ret, struct err *err)
{
	if (asprintf(ret, "%s/%.*s", path->root, (int)len, name) < 0) {
		*ret = NULL;
		return err_memory(err);
	}
	if (leads_out(*ret + strlen(path->root) + 1))
		return err_set(err, ERR_INVALID_SPEC, "%s: '%.200s' leads out of its directory",
			path->where, path->value);
	return 0;
}

/* Makes a relative path absolute, from its root, and removes the white space around it. */
static int settle_path(const struct policy_path *path, void *data, struct err *err)
{
	const char *from = path->value + strspn(path->value, " \t\r\n");
	if (!*from || *from == '/') /* the policy refuses white space before an absolute path */
		return 0;
	size_t n = strlen(from);
	while (n && strchr(" \t\r\n", from[n - 1]))
		n--;
	AUTO(free) char *full = NULL;
	int rc = path->kind == HOSTPATH_NEW_FILE ? settle_log(path, data, from, n, &full, err)
						 : settle_file(path, from, n, &full, err);
	if (rc < 0)
		return -1;
	rc = path->attr ? xml_set_attr(path->node, path->attr, full)
			: xml_set_text(path->node, full);
	return rc < 0 ? err_memory(err) : 0;
}

void domain_xml_warn(struct domain_xml *domain, const char *fmt, ...)
{
	if (domain->warning_count == ARRAY_LEN(domain->warnings))
		return;
	char *to = domain->warnings[domain->warning_count++];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(to, sizeof domain->warnings[0], fmt, args);
	va_end(args);
	text_mask_malformed(to);
}

/*
 * What libvirt and virt-install write although libvirt chooses it by itself. It is removed, so that
 * their XML passes the policy. Any other value in these places is left for the policy to refuse.
 */
static const struct leftover {
	const char *path;
	const char *attr;    /* NULL: the element's text is compared, and the element removed */
	const char *pattern; /* of the value, as fnmatch(3) has it; '*' matches no slash */
	const char *warning; /* why it was removed; NULL: no warning is needed */
} leftovers[] = {
	{ "", "id", "*", NULL },
	{ "devices/emulator", NULL, "/usr/bin/qemu-system-*", NULL },
	{ "devices/emulator", NULL, "/usr/bin/kvm", NULL },
	{ "devices/emulator", NULL, "/usr/bin/qemu-kvm", NULL },
	{ "devices/emulator", NULL, "/usr/libexec/qemu-kvm", NULL },
	{ "resource/partition", NULL, "/machine", NULL },
	{ "devices/disk/source", "index", "*", NULL },
	{ "devices/interface/target", "dev", "vnet*", NULL },
	{ "devices/interface/target", "dev", "testnet*", NULL },
	{ "devices/interface/target", "dev", "*", "libvirt chooses a free name" },
	{ "devices/serial/source", "path", "/dev/pts/*", NULL },
	{ "devices/console/source", "path", "/dev/pts/*", NULL },
	{ "devices/console", "tty", "/dev/pts/*", NULL },
	{ "devices/channel/source", "path", "/var/lib/libvirt/qemu/channel/target/*/*", NULL },
	{ "devices/channel/target", "state", "*", NULL },
};

static bool is_leftover(const struct leftover *leftover, const char *value)
{
	return !fnmatch(leftover->pattern, value, FNM_PATHNAME | FNM_NOESCAPE);
}

struct dropping {
	struct domain_xml *domain;
	const struct leftover *leftover;
};

/* Removes the attribute, or the element; and an element that is empty then. */
static int drop_leftover(struct xml_node *node, void *data)
{
	const struct dropping *dropping = data;
	const struct leftover *leftover = dropping->leftover;
	const char *attr = leftover->attr;
	AUTO(free) char *value = attr ? xml_attr(node, attr) : xml_node_text(node);
	if (!value)
		return attr ? 0 : -1;
	if (!is_leftover(leftover, value))
		return 0;
	if (leftover->warning)
		domain_xml_warn(dropping->domain, "/domain/%s/@%s '%.64s' was removed: %s",
			leftover->path, attr, value, leftover->warning);
	if (attr)
		xml_remove_attr(node, attr);
	if (!attr || (xml_is_bare(node) && xml_parent(node)))
		xml_remove(node);
	return 0;
}

/* Is it the label that libvirt gives every domain, not one that a client chose? */
static bool is_default_seclabel(const struct xml_node *seclabel)
{
	AUTO(free) char *type = xml_attr(seclabel, "type");
	AUTO(free) char *relabel = xml_attr(seclabel, "relabel");
	return type && !strcmp(type, "dynamic") && relabel && !strcmp(relabel, "yes") &&
		!xml_child(seclabel, "baselabel");
}

/* libvirt lists the features of a running VM's CPU, which it marks by check='full'. */
static void drop_cpu_features(struct domain_xml *domain, struct xml_node *cpu)
{
	static const char *const children[] = { "feature", "vendor" };
	AUTO(free) char *check = xml_attr(cpu, "check");
	if (!check || strcmp(check, "full") != 0)
		return;
	xml_remove_attr(cpu, "check");
	for (size_t i = 0; i < ARRAY_LEN(children); i++)
		for (struct xml_node *n; (n = xml_child(cpu, children[i]));)
			xml_remove(n);
	domain_xml_warn(domain,
		"/domain/cpu/feature was removed: libvirt lists it for a running VM, and the CPU "
		"model implies it");
}

static int drop_leftovers(struct domain_xml *domain, struct err *err)
{
	struct xml_node *root = xml_root(domain->doc);
	struct xml_node *cpu = xml_child(root, "cpu");
	struct xml_node *resource = xml_child(root, "resource");
	for (size_t i = 0; i < ARRAY_LEN(leftovers); i++) {
		struct dropping dropping = { domain, &leftovers[i] };
		if (xml_each_at(root, leftovers[i].path, drop_leftover, &dropping) < 0)
			return err_memory(err);
	}
	for (struct xml_node *n = xml_child(root, "seclabel"), *next; n; n = next) {
		next = xml_next(n);
		if (is_default_seclabel(n))
			xml_remove(n);
	}
	if (cpu)
		drop_cpu_features(domain, cpu);
	if (resource && xml_is_bare(resource))
		xml_remove(resource);
	return 0;
}

static int set_missing(struct xml_node *node, const char *attr, const char *value)
{
	AUTO(free) char *written = xml_attr(node, attr);
	return written ? 0 : xml_set_attr(node, attr, value);
}

/* autoport means that libvirt chose the ports of a running VM. */
static int settle_ports(struct xml_node *graphics)
{
	AUTO(free) char *autoport = xml_attr(graphics, "autoport");
	AUTO(free) char *port = xml_attr(graphics, "port");
	AUTO(free) char *websocket = xml_attr(graphics, "websocket");
	if (!autoport || strcmp(autoport, "yes") != 0 || !port || !strcmp(port, "-1"))
		return 0;
	int rc = xml_set_attr(graphics, "port", "-1");
	return rc | (websocket ? xml_set_attr(graphics, "websocket", "-1") : 0);
}

static int settle_graphics(struct xml_node *graphics)
{
	struct xml_node *listen = xml_child(graphics, "listen");
	int rc = settle_ports(graphics);
	if (listen)
		return rc | set_missing(listen, "address", "127.0.0.1");
	return rc | set_missing(graphics, "listen", "127.0.0.1");
}

/* Addresses that QEMU and libvirt choose begin with 52:54:00, too. */
static int settle_mac(struct xml_node *interface, unsigned random)
{
	char address[sizeof "52:54:00:00:00:00"];
	if (xml_child(interface, "mac"))
		return 0;
	(void)snprintf(address, sizeof address, "52:54:00:%02x:%02x:%02x", random >> 16 & 0xff,
		random >> 8 & 0xff, random & 0xff);
	struct xml_node *mac = xml_add(interface, "mac", NULL);
	return mac ? xml_set_attr(mac, "address", address) : -1;
}

/*
 * Sets the defaults for which libvirt or its configuration would choose what the policy does not
 * allow: 9p with "passthrough", VNC on the addresses of qemu.conf.
 */
static int settle_defaults(struct domain_xml *domain, struct err *err)
{
	int rc = 0;
	struct xml_node *root = xml_root(domain->doc);
	struct xml_node *node = xml_find(root, "devices/filesystem");
	for (; node; node = xml_next(node))
		rc |= set_missing(node, "accessmode", "mapped");
	for (node = xml_find(root, "devices/graphics"); node; node = xml_next(node))
		rc |= settle_graphics(node);
	return rc ? err_memory(err) : 0;
}

static int settle_macs(struct domain_xml *domain, struct err *err)
{
	struct xml_node *node = xml_find(xml_root(domain->doc), "devices/interface");
	/* More than the policy allows; without it, libvirt chooses the addresses of the rest. */
	enum { INTERFACES_MAX = 64 };
	unsigned random = 0;
	while (node && getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
		;
	/* In a row, so that no two are equal, and one system call is enough. */
	for (int i = 0; node && i < INTERFACES_MAX; i++, node = xml_next(node))
		if (settle_mac(node, random++) < 0)
			return err_memory(err);
	return 0;
}

int domain_xml_read(const char *text, size_t len, struct domain_xml *ret, struct err *err)
{
	AUTO_DOMAIN_XML struct domain_xml domain = { 0 };
	if (xml_parse(text, len, "domain XML", &domain.doc, err) < 0)
		return -1;
	if (!xml_is(xml_root(domain.doc), "domain"))
		return err_set(
			err, ERR_INVALID_XML, "domain XML: the outermost element is not <domain>");
	*ret = domain;
	domain.doc = NULL;
	return 0;
}

static int adopt_element(struct xml_node *root, const char *element, const char *own,
	int (*compare)(const char *, const char *), struct err *err)
{
	const struct xml_node *node = xml_child(root, element);
	AUTO(free) char *text = node ? xml_node_text(node) : strdup(own);
	if (!text)
		return err_memory(err);
	if (compare(text, own) != 0)
		return err_set(err, ERR_INVALID_SPEC,
			"%s: '%.64s' differs from this VM's '%.64s', which cannot be changed",
			element, text, own);
	return set_single(root, element, own, err);
}

int domain_xml_adopt(struct domain_xml *domain, const char *name, const char *uuid, struct err *err)
{
	struct xml_node *root = xml_root(domain->doc);
	if (adopt_element(root, "name", name, strcmp, err) < 0)
		return -1;
	return adopt_element(root, "uuid", uuid, strcasecmp, err);
}

/*
 * The order in which libvirt writes them. Its schema allows any order, but libxml2 2.9.14 fails to
 * match some: with <uuid> last, <cpu> before <vcpu> was "extra content".
 */
static const char order[] = "name|uuid|title|description|metadata|memory|currentMemory|vcpu|"
			    "resource|os|features|cpu|clock|"
			    "on_poweroff|on_reboot|on_crash|pm|devices";

void domain_xml_sort(const struct domain_xml *domain)
{
	xml_sort(xml_root(domain->doc), order);
}

int domain_xml_identify(struct domain_xml *domain, const char *uuid, struct err *err)
{
	if (xml_child(xml_root(domain->doc), "uuid"))
		return err_set(err, ERR_INVALID_SPEC,
			"uuid: must be absent with an Idempotency-Key, from which virtgate derives "
			"it");
	return xml_add(xml_root(domain->doc), "uuid", uuid) ? 0 : err_memory(err);
}

int domain_xml_settle(struct domain_xml *domain, const struct config *config, struct err *err)
{
	if (settle_name(domain, err) < 0 || settle_uuid(domain, err) < 0 ||
		policy_each_path(xml_root(domain->doc), config, settle_path, domain, err) < 0 ||
		settle_macs(domain, err) < 0)
		return -1;
	metadata_drop_claims(xml_root(domain->doc));
	domain_xml_sort(domain);
	if (config->policy == POLICY_OFF)
		return 0;
	return drop_leftovers(domain, err) < 0 ? -1 : settle_defaults(domain, err);
}

static int host_has_kvm(
	const struct xml_node *root, struct lease *lease, bool *ret, struct err *err)
{
	const struct xml_node *type = xml_find(root, "os/type");
	AUTO(free) char *arch = type ? xml_attr(type, "arch") : NULL;
	return host_info_has_kvm(lease, arch, ret, err);
}

/* The type that the VM gets, and why; *ret stays NULL if it keeps its own. */
static int choose_type(const struct xml_node *root, const char *written, enum accel accel,
	struct lease *lease, const char **ret, const char **ret_why, struct err *err)
{
	if (virt_is_test(lease)) {
		*ret = "test";
		*ret_why = "the host is libvirt's test driver, which only simulates VMs";
		return 0;
	}
	if (!written || strcmp(written, "kvm") != 0 || accel == ACCEL_AS_WRITTEN)
		return 0;
	bool kvm = false;
	if (accel == ACCEL_AUTO && host_has_kvm(root, lease, &kvm, err) < 0)
		return -1;
	if (kvm)
		return 0;
	*ret = "qemu";
	*ret_why = accel == ACCEL_TCG
		? "VIRTGATE_ACCEL is tcg, so the VM is emulated and slow"
		: "the host has no KVM for it, so the VM is emulated and slow";
	return 0;
}

/* host-passthrough needs KVM; the closest to it without KVM is all that QEMU can emulate. */
static int emulate_cpu(struct domain_xml *domain, const char *type)
{
	struct xml_node *cpu = xml_child(xml_root(domain->doc), "cpu");
	AUTO(free) char *mode = cpu ? xml_attr(cpu, "mode") : NULL;
	if (strcmp(type, "qemu") != 0 || !mode || strcmp(mode, "host-passthrough") != 0)
		return 0;
	domain_xml_warn(domain, "cpu 'host-passthrough' became 'maximum': it needs KVM");
	return xml_set_attr(cpu, "mode", "maximum");
}

int domain_xml_accelerate(
	struct domain_xml *domain, enum accel accel, struct lease *lease, struct err *err)
{
	struct xml_node *root = xml_root(domain->doc);
	const char *why = "";
	AUTO(free) char *written = xml_attr(root, "type");
	const char *type = NULL;
	if (choose_type(root, written, accel, lease, &type, &why, err) < 0)
		return -1;
	if (!type || (written && !strcmp(type, written)))
		return 0;
	if (xml_set_attr(root, "type", type) < 0 || emulate_cpu(domain, type) < 0)
		return err_memory(err);
	domain_xml_warn(domain, "type '%.16s' became '%s': %s", written ? written : "", type, why);
	return 0;
}
