/* SPDX-License-Identifier: MIT */
#include "vm/dry_run.h"

#include "base/text.h"
#include "definition/domain_schema.h"
#include "definition/policy.h"
#include "storage/bootable.h"
#include "storage/carrier.h"
#include "storage/formats.h"
#include "storage/local.h"
#include "vm/limits.h"

#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void dry_run_done(struct dry_run *dry_run)
{
	free(dry_run->xml);
	free(dry_run->command);
}

struct check {
	const struct config *config;
	struct domain_xml *domain;
	const struct create_how *how;
	struct lease *lease;
	struct dry_run *ret;
};

static void add_finding(struct dry_run *to, enum severity severity, const char *check,
	const char *path, const char *fmt, ...) FORMAT(5, 6);
static void add_finding(struct dry_run *to, enum severity severity, const char *check,
	const char *path, const char *fmt, ...)
{
	if (severity == SEVERITY_ERROR)
		to->ok = false;
	if (to->count == ARRAY_LEN(to->findings))
		return;
	struct finding *f = &to->findings[to->count++];
	va_list args;
	f->severity = severity;
	f->check = check;
	(void)snprintf(f->path, sizeof f->path, "%s", path);
	va_start(args, fmt);
	(void)vsnprintf(f->text, sizeof f->text, fmt, args);
	va_end(args);
	text_mask_malformed(f->text);
}

static int check_schema(struct check *check, struct err *err)
{
	bool checked = false;
	if (domain_schema_check(check->domain->doc, &checked, err) < 0) {
		if (err->kind != ERR_INVALID_XML)
			return -1;
		add_finding(check->ret, SEVERITY_ERROR, "schema", "", "%s", err->text);
	} else if (!checked) {
		add_finding(check->ret, SEVERITY_INFO, "schema", "",
			"not checked: libvirt's schema cannot be read here");
	}
	return 0;
}

static int check_names(struct check *check, struct err *err)
{
	if (!check->how || !create_check_free(check->lease, check->domain, err))
		return 0;
	if (err->kind != ERR_ALREADY_EXISTS)
		return -1;
	add_finding(check->ret, SEVERITY_ERROR, "names", "", "%s", err->text);
	return 0;
}

static int check_command(struct check *check, struct err *err)
{
	static const char format[] = "qemu-argv";
	check->ret->command =
		virConnectDomainXMLToNative(check->lease->conn, format, check->ret->xml, 0);
	if (check->ret->command)
		return 0;
	(void)virt_fail(check->lease, VIRT_CREATE, err);
	if (check->lease->broken)
		return -1;
	if (err->kind == ERR_NOT_SUPPORTED_BY_DRIVER)
		add_finding(check->ret, SEVERITY_INFO, "command", "",
			"not checked: this host's libvirt driver has no QEMU command lines");
	else
		add_finding(check->ret, SEVERITY_ERROR, "command", "", "%s", err->text);
	return 0;
}

/* The severity of what only prevents a start: an error if the VM is to be started at once. */
static enum severity start_severity(const struct check *check)
{
	return check->how && check->how->start ? SEVERITY_ERROR : SEVERITY_WARNING;
}

/* QEMU runs as another user, so this can only guess what QEMU may open. */
static void check_mode(struct check *check, const struct policy_path *path, unsigned mode)
{
	/* libvirt gives images and kernels to QEMU's user while the VM runs, but no directories. */
	if (path->kind == HOSTPATH_DIRECTORY && (~mode & (S_IROTH | S_IXOTH)))
		add_finding(check->ret, SEVERITY_WARNING, "files", path->where,
			"only its owner and group may read it (mode %04o), so QEMU may be unable "
			"to",
			mode & 07777);
}

/* An image or carrier disk that virtgate would create with the VM. */
static void check_new_image(struct check *check, const struct policy_path *path,
	const struct disk *disk, enum local_state state)
{
	if (state == LOCAL_PRESENT)
		add_finding(check->ret, SEVERITY_ERROR, "files", path->where,
			disk ? "the file exists already, so virtgate would not make it"
			     : "the carrier disk exists already");
	else if (disk && state == LOCAL_NO_DIRECTORY)
		add_finding(check->ret, SEVERITY_ERROR, "files", path->where,
			"its directory does not exist beneath %s, so virtgate could not make it",
			path->setting);
	else if (disk)
		add_finding(check->ret, SEVERITY_INFO, "files", path->where,
			"virtgate would make it: empty, %s, of %llu bytes",
			disk->raw ? "raw" : "qcow2", (unsigned long long)disk->capacity);
}

static void check_present_file(
	struct check *check, const struct policy_path *path, const struct local_file *file)
{
	enum severity severity = start_severity(check);
	bool log = path->kind == HOSTPATH_NEW_FILE; /* libvirt creates it, but no directory */
	switch (file->state) {
	case LOCAL_UNSEEN:
		break;
	case LOCAL_PRESENT:
		check_mode(check, path, file->mode);
		break;
	case LOCAL_ABSENT:
	case LOCAL_NO_DIRECTORY:
		if (!log)
			add_finding(check->ret, severity, "files", path->where,
				"the file does not exist beneath %s: the VM cannot start",
				path->setting);
		else if (file->state == LOCAL_NO_DIRECTORY)
			add_finding(check->ret, severity, "files", path->where,
				"its directory does not exist beneath %s: the VM cannot start",
				path->setting);
		break;
	case LOCAL_UNREADABLE:
		add_finding(check->ret, SEVERITY_INFO, "files", path->where,
			"not checked: virtgate cannot look at it: %s", strerror(file->why));
		break;
	}
}

static int check_file(const struct policy_path *path, void *data, struct err *err)
{
	struct check *check = data;
	const struct create_how *how = check->how;
	char carrier[CARRIER_PATH_SIZE];
	bool image = !strcmp(path->where, "/domain/devices/disk/source/@file");
	const struct disk *disk =
		image && how && how->disks ? disk_find(how->disks, path->value) : NULL;
	struct local_file file = local_look(check->lease->hypervisor, path);
	carrier_path(check->config, check->domain->uuid, carrier);
	(void)err;
	if (file.state == LOCAL_UNSEEN)
		add_finding(check->ret, SEVERITY_INFO, "files", path->where,
			"not checked: the directory of %s is not on this machine", path->setting);
	else if (disk || (how && how->carrier && !strcmp(path->value, carrier)))
		check_new_image(check, path, disk, file.state);
	else
		check_present_file(check, path, &file);
	return 0;
}

static int check_network(struct check *check, const char *name, struct err *err)
{
	enum severity severity = start_severity(check);
	AUTO(virNetworkFree) virNetworkPtr network =
		virNetworkLookupByName(check->lease->conn, name);
	int active = network ? virNetworkIsActive(network) : -1;
	if (active < 0) {
		(void)virt_fail(check->lease, VIRT_READ, err);
		if (check->lease->broken)
			return -1;
		bool none = err->kind == ERR_UNKNOWN_NETWORK;
		add_finding(check->ret, none ? severity : SEVERITY_INFO, "networks",
			"/domain/devices/interface/source/@network",
			none ? "the host has no network '%s'" : "not checked: network '%s'", name);
	} else if (!active) {
		add_finding(check->ret, severity, "networks",
			"/domain/devices/interface/source/@network",
			"the host's network '%s' is not active", name);
	}
	return 0;
}

/* A missing bridge is only a warning, as libvirt's host may be another machine than this. */
static int check_networks(struct check *check, struct err *err)
{
	const struct xml_node *root = xml_root(check->domain->doc);
	const struct xml_node *node = xml_find(root, "devices/interface");
	for (; node; node = xml_next(node)) {
		const struct xml_node *source = xml_child(node, "source");
		AUTO(free) char *network = source ? xml_attr(source, "network") : NULL;
		AUTO(free) char *bridge = source ? xml_attr(source, "bridge") : NULL;
		if (network && check_network(check, network, err) < 0)
			return -1;
		if (bridge && !if_nametoindex(bridge))
			add_finding(check->ret, SEVERITY_WARNING, "networks",
				"/domain/devices/interface/source/@bridge",
				"this machine has no bridge '%.64s'", bridge);
	}
	return 0;
}

/* Runs after the files' checks: if one of them has found something, booting adds nothing to it. */
static void check_boot(struct check *check)
{
	struct err err;
	for (size_t i = 0; i < check->ret->count; i++)
		if (!strcmp(check->ret->findings[i].check, "files"))
			return;
	if (check->how && (check->how->carrier || (check->how->disks && check->how->disks->count)))
		return; /* virtgate has not created the disk to boot from yet */
	if (bootable_check(check->lease->hypervisor, xml_root(check->domain->doc), check->config,
		    &err) < 0)
		add_finding(check->ret, start_severity(check), "boot", "", "%s", err.text);
}

static void check_changes(struct check *check)
{
	const struct domain_xml *domain = check->domain;
	for (size_t i = 0; i < domain->warning_count; i++)
		add_finding(check->ret, SEVERITY_WARNING, "changes", "", "%s", domain->warnings[i]);
}

/* Only reads, so lease_read() may repeat it. */
static int dry_run_read(struct lease *lease, void *data, struct err *err)
{
	struct check *check = data;
	struct domain_xml *domain = check->domain;
	check->lease = lease;
	dry_run_done(check->ret);
	*check->ret = (struct dry_run){ .ok = true };
	if (domain_xml_accelerate(domain, (enum accel)check->config->accel, lease, err) < 0)
		return -1;
	check->ret->xml = xml_text(domain->doc);
	if (!check->ret->xml)
		return err_memory(err);
	if (check_names(check, err) < 0)
		return -1;
	/* The policy's refusals fail a dry run, and these are among them. */
	const struct create_how *how = check->how;
	if (how &&
		limits_check_new(check->config, lease, xml_root(domain->doc), how->disks, err) < 0)
		return -1;
	if (create_check_logs(lease, domain, check->config, err) < 0 ||
		formats_check(lease, xml_root(domain->doc), check->config, FORMATS_DEFINE, err) < 0)
		return -1;
	if (check_schema(check, err) < 0)
		return -1;
	check_changes(check);
	if (check_command(check, err) < 0 || check_networks(check, err) < 0)
		return -1;
	if (policy_each_path(xml_root(domain->doc), check->config, check_file, check, err) < 0)
		return -1;
	check_boot(check);
	return 0;
}

int dry_run(struct host *host, const struct config *config, struct domain_xml *domain,
	const struct create_how *how, struct dry_run *ret, struct err *err)
{
	struct check check = { .config = config, .domain = domain, .how = how, .ret = ret };
	*ret = (struct dry_run){ 0 };
	if (!lease_read(host->hypervisor, dry_run_read, &check, err))
		return 0;
	dry_run_done(ret);
	*ret = (struct dry_run){ 0 };
	return -1;
}
