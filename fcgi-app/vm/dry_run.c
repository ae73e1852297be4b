/* SPDX-License-Identifier: MIT */
#include "vm/dry_run.h"

#include "base/text.h"
#include "definition/policy.h"
#include "storage/bootable.h"
#include "storage/carrier.h"
#include "storage/local.h"

#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Where libvirt's library, whose package we need anyway, has its schemas. */
#define SCHEMA "/usr/share/libvirt/schemas/domain.rng"

void dry_run_done(struct dry_run *dry_run)
{
	free(dry_run->xml);
	free(dry_run->command);
}

struct run {
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

/* It is the library's here, and so of its version; a host may have another. One thread at a time.
 */
static void check_schema(struct run *run)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct xml_schema *schema;
	struct err err;
	LOCK(&lock);
	if (!schema && xml_schema_load(SCHEMA, &schema, &err) < 0)
		add_finding(run->ret, SEVERITY_INFO, "schema", "",
			"not checked: libvirt's schema cannot be read here");
	else if (xml_validate(run->domain->doc, schema, &err) < 0)
		add_finding(run->ret, SEVERITY_ERROR, "schema", "", "%s", err.text);
}

static int check_names(struct run *run, struct err *err)
{
	if (!run->how || !create_check_free(run->lease, run->domain, err))
		return 0;
	if (err->kind != ERR_ALREADY_EXISTS)
		return -1;
	add_finding(run->ret, SEVERITY_ERROR, "names", "", "%s", err->text);
	return 0;
}

static int check_command(struct run *run, struct err *err)
{
	static const char format[] = "qemu-argv";
	run->ret->command = virConnectDomainXMLToNative(run->lease->conn, format, run->ret->xml, 0);
	if (run->ret->command)
		return 0;
	(void)virt_fail(run->lease, VIRT_CREATE, err);
	if (run->lease->broken)
		return -1;
	if (err->kind == ERR_NOT_SUPPORTED_BY_DRIVER)
		add_finding(run->ret, SEVERITY_INFO, "command", "",
			"not checked: this host's libvirt driver has no QEMU command lines");
	else
		add_finding(run->ret, SEVERITY_ERROR, "command", "", "%s", err->text);
	return 0;
}

/* QEMU runs as a user of its own, so what it may open can only be guessed here. */
static void check_mode(struct run *run, const struct policy_path *path, unsigned mode)
{
	/* libvirt gives images and kernels to QEMU's user while the VM runs, but no directories. */
	if (path->kind == HOSTPATH_DIRECTORY && (~mode & (S_IROTH | S_IXOTH)))
		add_finding(run->ret, SEVERITY_WARNING, "files", path->where,
			"only its owner and group may read it (mode %04o), so QEMU may be unable "
			"to",
			mode & 07777);
}

/* A file that virtgate makes along with the VM: an image, or the carrier disk. */
static void check_new_image(struct run *run, const struct policy_path *path,
	const struct disk *disk, enum local_state state)
{
	if (state == LOCAL_PRESENT)
		add_finding(run->ret, SEVERITY_ERROR, "files", path->where,
			disk ? "the file exists already, so virtgate would not make it"
			     : "the carrier disk exists already");
	else if (disk && state == LOCAL_NO_DIRECTORY)
		add_finding(run->ret, SEVERITY_ERROR, "files", path->where,
			"its directory does not exist beneath %s, so virtgate could not make it",
			path->setting);
	else if (disk)
		add_finding(run->ret, SEVERITY_INFO, "files", path->where,
			"virtgate would make it: empty, %s, of %llu bytes",
			disk->raw ? "raw" : "qcow2", (unsigned long long)disk->capacity);
}

static void check_present_file(
	struct run *run, const struct policy_path *path, const struct local_file *file)
{
	bool starts = run->how && run->how->start;
	enum severity severity = starts ? SEVERITY_ERROR : SEVERITY_WARNING;
	bool log = path->kind == HOSTPATH_NEW_FILE; /* libvirt makes it, but not its directory */
	switch (file->state) {
	case LOCAL_UNSEEN:
		break;
	case LOCAL_PRESENT:
		check_mode(run, path, file->mode);
		break;
	case LOCAL_ABSENT:
	case LOCAL_NO_DIRECTORY:
		if (!log)
			add_finding(run->ret, severity, "files", path->where,
				"the file does not exist beneath %s: the VM cannot start",
				path->setting);
		else if (file->state == LOCAL_NO_DIRECTORY)
			add_finding(run->ret, severity, "files", path->where,
				"its directory does not exist beneath %s: the VM cannot start",
				path->setting);
		break;
	case LOCAL_UNREADABLE:
		add_finding(run->ret, SEVERITY_INFO, "files", path->where,
			"not checked: virtgate cannot look at it: %s", strerror(file->why));
		break;
	}
}

static int check_file(const struct policy_path *path, void *data, struct err *err)
{
	struct run *run = data;
	const struct create_how *how = run->how;
	char carrier[CARRIER_PATH_SIZE];
	bool image = !strcmp(path->where, "/domain/devices/disk/source/@file");
	const struct disk *disk =
		image && how && how->disks ? disk_find(how->disks, path->value) : NULL;
	struct local_file file = local_look(run->lease->hypervisor, path);
	carrier_path(run->config, run->domain->uuid, carrier);
	(void)err;
	if (file.state == LOCAL_UNSEEN)
		add_finding(run->ret, SEVERITY_INFO, "files", path->where,
			"not checked: the directory of %s is not on this machine", path->setting);
	else if (disk || (how && how->carrier && !strcmp(path->value, carrier)))
		check_new_image(run, path, disk, file.state);
	else
		check_present_file(run, path, &file);
	return 0;
}

DEFINE_AUTO(virNetworkPtr, virNetworkFree)

static int check_network(struct run *run, const char *name, struct err *err)
{
	bool starts = run->how && run->how->start;
	enum severity severity = starts ? SEVERITY_ERROR : SEVERITY_WARNING;
	AUTO(virNetworkFree) virNetworkPtr network = virNetworkLookupByName(run->lease->conn, name);
	int active = network ? virNetworkIsActive(network) : -1;
	if (active < 0) {
		(void)virt_fail(run->lease, VIRT_READ, err);
		if (run->lease->broken)
			return -1;
		bool none = err->kind == ERR_UNKNOWN_NETWORK;
		add_finding(run->ret, none ? severity : SEVERITY_INFO, "networks",
			"/domain/devices/interface/source/@network",
			none ? "the host has no network '%s'" : "not checked: network '%s'", name);
	} else if (!active) {
		add_finding(run->ret, severity, "networks",
			"/domain/devices/interface/source/@network",
			"the host's network '%s' is not active", name);
	}
	return 0;
}

/* Bridges are libvirt's host's, which may be another than this. */
static int check_networks(struct run *run, struct err *err)
{
	const struct xml_node *root = xml_root(run->domain->doc);
	const struct xml_node *node = xml_find(root, "devices/interface");
	for (; node; node = xml_next(node)) {
		const struct xml_node *source = xml_child(node, "source");
		AUTO(free) char *network = source ? xml_attr(source, "network") : NULL;
		AUTO(free) char *bridge = source ? xml_attr(source, "bridge") : NULL;
		if (network && check_network(run, network, err) < 0)
			return -1;
		if (bridge && !if_nametoindex(bridge))
			add_finding(run->ret, SEVERITY_WARNING, "networks",
				"/domain/devices/interface/source/@bridge",
				"this machine has no bridge '%.64s'", bridge);
	}
	return 0;
}

/* Files that are missing have been told by then. */
static void check_boot(struct run *run)
{
	struct err err;
	bool starts = run->how && run->how->start;
	for (size_t i = 0; i < run->ret->count; i++)
		if (!strcmp(run->ret->findings[i].check, "files"))
			return;
	if (run->how && (run->how->carrier || (run->how->disks && run->how->disks->count)))
		return; /* which is yet to be made */
	if (bootable_check(run->lease->hypervisor, xml_root(run->domain->doc), run->config, &err) <
		0)
		add_finding(run->ret, starts ? SEVERITY_ERROR : SEVERITY_WARNING, "boot", "", "%s",
			err.text);
}

static void check_changes(struct run *run)
{
	const struct domain_xml *domain = run->domain;
	for (size_t i = 0; i < domain->warning_count; i++)
		add_finding(run->ret, SEVERITY_WARNING, "changes", "", "%s", domain->warnings[i]);
}

/* Everything is a read, so it may be done twice. */
static int run_all(struct lease *lease, void *data, struct err *err)
{
	struct run *run = data;
	struct domain_xml *domain = run->domain;
	run->lease = lease;
	dry_run_done(run->ret);
	*run->ret = (struct dry_run){ .ok = true };
	if (domain_xml_accelerate(domain, (enum accel)run->config->accel, lease, err) < 0)
		return -1;
	run->ret->xml = xml_text(domain->doc);
	if (!run->ret->xml)
		return err_memory(err);
	if (check_names(run, err) < 0)
		return -1;
	/* As the policy's other refusals, it is one in a dry run too. */
	if (create_check_logs(lease, domain, run->config, err) < 0)
		return -1;
	check_schema(run);
	check_changes(run);
	if (check_command(run, err) < 0 || check_networks(run, err) < 0)
		return -1;
	if (policy_each_path(xml_root(domain->doc), run->config, check_file, run, err) < 0)
		return -1;
	check_boot(run);
	return 0;
}

int dry_run(struct host *host, const struct config *config, struct domain_xml *domain,
	const struct create_how *how, struct dry_run *ret, struct err *err)
{
	struct run run = { .config = config, .domain = domain, .how = how, .ret = ret };
	*ret = (struct dry_run){ 0 };
	if (!lease_read(host->hypervisor, run_all, &run, err))
		return 0;
	dry_run_done(ret);
	*ret = (struct dry_run){ 0 };
	return -1;
}
