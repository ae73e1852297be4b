/* SPDX-License-Identifier: MIT */
#include "libvirt/virt.h"

#include "base/text.h"
#include "libvirt/event_loop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static void on_libvirt_error(void *data, virErrorPtr error)
{
	(void)data;
	(void)error;
}

_Static_assert((int)EVENT_READABLE == VIR_EVENT_HANDLE_READABLE &&
		(int)EVENT_WRITABLE == VIR_EVENT_HANDLE_WRITABLE &&
		(int)EVENT_ERROR == VIR_EVENT_HANDLE_ERROR &&
		(int)EVENT_HANGUP == VIR_EVENT_HANDLE_HANGUP,
	"libvirt's numbers");

int virt_start(struct err *err)
{
	/* libvirt's client writes to sockets that the daemon may have closed. */
	(void)signal(SIGPIPE, SIG_IGN);
	virSetErrorFunc(NULL, on_libvirt_error);
	if (virInitialize() < 0)
		return err_set(err, ERR_INTERNAL, "libvirt cannot be initialised");
	if (event_loop_start() < 0)
		return err_set(err, ERR_INTERNAL, "libvirt's event loop cannot be started");
	virEventRegisterImpl(event_loop_add_watch, event_loop_update_watch, event_loop_remove,
		event_loop_add_timer, event_loop_update_timer, event_loop_remove);
	return 0;
}

void virt_stop(void)
{
	event_loop_stop();
}

/* Questions */

bool virt_is_test(const struct lease *lease)
{
	const char *driver = virConnectGetType(lease->conn);
	return driver && !strcmp(driver, "TEST");
}

/* libvirt says no in three ways (9.0.0); anything else is no answer. */
int virt_has_kvm(struct lease *lease, const char *arch, bool *ret, struct err *err)
{
	AUTO(free) char *caps =
		virConnectGetDomainCapabilities(lease->conn, NULL, arch, NULL, "kvm", 0);
	*ret = caps != NULL;
	if (caps)
		return 0;
	(void)virt_fail(lease, VIRT_READ, err);
	bool is_no = err->libvirt_code == VIR_ERR_CONFIG_UNSUPPORTED ||
		err->libvirt_code == VIR_ERR_INVALID_ARG || err->libvirt_code == VIR_ERR_NO_SUPPORT;
	return is_no && !lease->broken ? 0 : -1;
}

/* Errors */

enum { ANY_OP = -1 };

/* By libvirt's code and, where it means different things, by what was being done. */
static const struct {
	int code;
	int op; /* enum virt_op, or ANY_OP */
	enum err_kind kind;
} error_rows[] = {
	{ VIR_ERR_NO_DOMAIN, ANY_OP, ERR_VM_NOT_FOUND },
	{ VIR_ERR_NO_DOMAIN_SNAPSHOT, ANY_OP, ERR_SNAPSHOT_NOT_FOUND },
	{ VIR_ERR_OPERATION_INVALID, VIRT_CREATE, ERR_START_FAILED },
	{ VIR_ERR_OPERATION_INVALID, VIRT_SAVE, ERR_UNSUPPORTED },
	{ VIR_ERR_OPERATION_INVALID, VIRT_SNAPSHOT_CREATE, ERR_SNAPSHOT_UNSUPPORTED },
	{ VIR_ERR_OPERATION_INVALID, ANY_OP, ERR_WRONG_STATE },
	{ VIR_ERR_OPERATION_FAILED, VIRT_DEFINE, ERR_ALREADY_EXISTS },
	{ VIR_ERR_OPERATION_FAILED, VIRT_CREATE, ERR_START_FAILED },
	{ VIR_ERR_OPERATION_FAILED, VIRT_START, ERR_START_FAILED },
	{ VIR_ERR_OPERATION_FAILED, VIRT_SNAPSHOT_CREATE, ERR_ALREADY_EXISTS },
	{ VIR_ERR_DOM_EXIST, ANY_OP, ERR_ALREADY_EXISTS },
	{ VIR_ERR_OPERATION_TIMEOUT, ANY_OP, ERR_VM_BUSY },
	{ VIR_ERR_RESOURCE_BUSY, ANY_OP, ERR_VM_BUSY },
	{ VIR_ERR_OPERATION_ABORTED, ANY_OP, ERR_ABORTED },
	{ VIR_ERR_SNAPSHOT_REVERT_RISKY, ANY_OP, ERR_REVERT_NEEDS_FORCE },
	{ VIR_ERR_OPERATION_UNSUPPORTED, VIRT_SNAPSHOT_CREATE, ERR_SNAPSHOT_UNSUPPORTED },
	{ VIR_ERR_OPERATION_UNSUPPORTED, VIRT_SNAPSHOT_REVERT, ERR_SNAPSHOT_UNSUPPORTED },
	{ VIR_ERR_OPERATION_UNSUPPORTED, VIRT_SNAPSHOT_DELETE, ERR_SNAPSHOT_UNSUPPORTED },
	{ VIR_ERR_CONFIG_UNSUPPORTED, VIRT_SNAPSHOT_CREATE, ERR_SNAPSHOT_UNSUPPORTED },
	{ VIR_ERR_CONFIG_UNSUPPORTED, VIRT_SNAPSHOT_REVERT, ERR_SNAPSHOT_UNSUPPORTED },
	{ VIR_ERR_CONFIG_UNSUPPORTED, VIRT_SNAPSHOT_DELETE, ERR_SNAPSHOT_UNSUPPORTED },
	{ VIR_ERR_CONFIG_UNSUPPORTED, ANY_OP, ERR_UNSUPPORTED },
	{ VIR_ERR_NO_SUPPORT, ANY_OP, ERR_NOT_SUPPORTED_BY_DRIVER },
	{ VIR_ERR_OPERATION_UNSUPPORTED, ANY_OP, ERR_NOT_SUPPORTED_BY_DRIVER },
	{ VIR_ERR_ARGUMENT_UNSUPPORTED, ANY_OP, ERR_NOT_SUPPORTED_BY_DRIVER },
	{ VIR_ERR_AGENT_UNRESPONSIVE, ANY_OP, ERR_AGENT_UNAVAILABLE },
	{ VIR_ERR_AGENT_UNSYNCED, ANY_OP, ERR_AGENT_UNAVAILABLE },
	{ VIR_ERR_INVALID_ARG, VIRT_DEFINE, ERR_INVALID_SPEC },
	{ VIR_ERR_INVALID_ARG, VIRT_CREATE, ERR_INVALID_SPEC },
	{ VIR_ERR_XML_INVALID_SCHEMA, ANY_OP, ERR_INVALID_XML },
	{ VIR_ERR_XML_ERROR, ANY_OP, ERR_INVALID_XML },
	{ VIR_ERR_XML_DETAIL, ANY_OP, ERR_INVALID_XML },
	{ VIR_ERR_OS_TYPE, ANY_OP, ERR_INVALID_XML },
	{ VIR_ERR_NO_NAME, ANY_OP, ERR_INVALID_XML },
	{ VIR_ERR_NO_KERNEL, ANY_OP, ERR_INVALID_XML },
	{ VIR_ERR_NO_ROOT, ANY_OP, ERR_INVALID_XML },
	{ VIR_ERR_NO_SOURCE, ANY_OP, ERR_INVALID_XML },
	{ VIR_ERR_NO_TARGET, ANY_OP, ERR_INVALID_XML },
	{ VIR_ERR_NO_OS, ANY_OP, ERR_INVALID_XML },
	{ VIR_ERR_NO_DEVICE, ANY_OP, ERR_INVALID_XML },
	{ VIR_ERR_NO_NETWORK, ANY_OP, ERR_UNKNOWN_NETWORK },
	{ VIR_ERR_NO_STORAGE_POOL, ANY_OP, ERR_UNKNOWN_POOL },
	{ VIR_ERR_OPERATION_DENIED, ANY_OP, ERR_DENIED_BY_HYPERVISOR },
	{ VIR_ERR_ACCESS_DENIED, ANY_OP, ERR_DENIED_BY_HYPERVISOR },
	{ VIR_ERR_NO_MEMORY, ANY_OP, ERR_HOST_BUSY },
	{ VIR_ERR_NO_CONNECT, ANY_OP, ERR_HYPERVISOR_UNAVAILABLE },
	{ VIR_ERR_INVALID_CONN, ANY_OP, ERR_HYPERVISOR_UNAVAILABLE },
};

/* What is said to whoever asked. */
static const struct {
	const char *text;
	bool explains; /* libvirt's own words are about the request, and follow */
} error_texts[ERR_KIND_COUNT] = {
	[ERR_ABORTED] = { "the operation was aborted", false },
	[ERR_AGENT_UNAVAILABLE] = { "the VM's guest agent does not answer", false },
	[ERR_ALREADY_EXISTS] = { "one of this name or uuid exists", false },
	[ERR_DENIED_BY_HYPERVISOR] = { "libvirt denies this", false },
	[ERR_HOST_BUSY] = { "the host is out of memory", false },
	[ERR_HYPERVISOR_UNAVAILABLE] = { "the host's libvirt cannot be reached", false },
	[ERR_INTERNAL] = { "libvirt failed at this", false },
	[ERR_INVALID_SPEC] = { "libvirt refuses a value", true },
	[ERR_INVALID_XML] = { "libvirt refuses the XML", true },
	[ERR_NOT_SUPPORTED_BY_DRIVER] = { "this host's libvirt driver cannot do that", false },
	[ERR_REVERT_NEEDS_FORCE] = { "libvirt considers this revert risky", false },
	[ERR_SNAPSHOT_NOT_FOUND] = { "no such snapshot", false },
	[ERR_SNAPSHOT_UNSUPPORTED] = { "this VM or snapshot does not allow that", true },
	[ERR_START_FAILED] = { "the hypervisor cannot start this VM", true },
	[ERR_STORAGE_UNAVAILABLE] = { "a file that the VM names is missing or unusable", false },
	[ERR_UNKNOWN_NETWORK] = { "the VM names a network or device that the host lacks", true },
	[ERR_UNKNOWN_POOL] = { "the VM names a storage leases that the host lacks", true },
	[ERR_UNSUPPORTED] = { "the host does not support this configuration", true },
	[ERR_VM_BUSY] = { "another operation holds the VM", false },
	[ERR_VM_NOT_FOUND] = { "no such VM", false },
	[ERR_WRONG_STATE] = { "the VM's state does not allow this", false },
};

/*
 * libvirt's schema errors begin with a line that names the schema's file, and what it calls an
 * internal error is none where its words explain something.
 */
static const char *essence(const char *message)
{
	static const char internal[] = "internal error: ";
	const char *schema = strstr(message, "Unable to validate doc against");
	const char *after = schema ? strchr(schema, '\n') : NULL;
	if (after)
		return after + 1;
	return message + (strncmp(message, internal, strlen(internal)) ? 0 : strlen(internal));
}

/* Keeps libvirt's words, on one line, and adds them to ours where they explain. */
static void set_message(struct err *err, const char *message)
{
	size_t n = 0;
	for (const char *p = essence(message); *p && n < sizeof err->private - 2; p++) {
		if (*p == '\n' && p[1])
			err->private[n++] = ';';
		if (*p != '\n' || p[1])
			err->private[n++] = *p == '\n' ? ' ' : *p;
	}
	err->private[n] = '\0';
	text_mask_controls(err->private);
	text_mask_malformed(err->private);
	/* Whatever has a slash may be a path of the host. */
	if (error_texts[err->kind].explains && n && !strchr(err->private, '/'))
		(void)snprintf(err->text, sizeof err->text, "%s: %.400s",
			error_texts[err->kind].text, err->private);
}

static bool is_lost(const struct lease *lease, const virError *error)
{
	return !lease->conn || (error->domain == VIR_FROM_RPC && error->code != VIR_ERR_RPC);
}

/*
 * libvirt calls internal, too, what is wrong with a definition (a floppy on a SATA bus) or what its
 * driver has no room for (a second IDE controller), and whatever ends QEMU while it starts.
 */
static enum err_kind internal_kind(const virError *error, enum virt_op op)
{
	if (error->domain == VIR_FROM_DOMAIN && (op == VIRT_DEFINE || op == VIRT_CREATE))
		return ERR_INVALID_XML;
	if (op == VIRT_DEFINE)
		return ERR_UNSUPPORTED;
	return error->domain == VIR_FROM_QEMU || error->domain == VIR_FROM_DOMAIN ? ERR_START_FAILED
										  : ERR_INTERNAL;
}

/* The same two codes are used for everything that keeps a VM from being defined or started. */
static enum err_kind make_kind(const virError *error, enum virt_op op)
{
	if (error->code == VIR_ERR_INTERNAL_ERROR)
		return internal_kind(error, op);
	if (error->code != VIR_ERR_SYSTEM_ERROR)
		return ERR_INTERNAL;
	/* libvirt keeps the errno there. */
	switch (error->int1) {
	case ENOENT:
	case EACCES:
	case EPERM:
	case ENOTDIR:
	case EISDIR:
	case ELOOP:
	case EROFS:
	case EBUSY:
		return ERR_STORAGE_UNAVAILABLE;
	case ENODEV:
		return ERR_UNKNOWN_NETWORK;
	/* QEMU has ended: nobody is told to go on, answers at the monitor, or has mounts. */
	case EPIPE:
	case ESRCH:
	case ECONNREFUSED:
	case ECONNRESET:
	case EINVAL:
		return op == VIRT_DEFINE ? ERR_INTERNAL : ERR_START_FAILED;
	default:
		return error->domain == VIR_FROM_STORAGE ? ERR_STORAGE_UNAVAILABLE : ERR_INTERNAL;
	}
}

static enum err_kind kind_of(const virError *error, enum virt_op op)
{
	for (size_t i = 0; i < ARRAY_LEN(error_rows); i++)
		if (error_rows[i].code == error->code &&
			(error_rows[i].op == ANY_OP || error_rows[i].op == (int)op))
			return error_rows[i].kind;
	bool makes = op == VIRT_DEFINE || op == VIRT_CREATE || op == VIRT_START ||
		op == VIRT_SNAPSHOT_REVERT;
	return makes ? make_kind(error, op) : ERR_INTERNAL;
}

/* libvirt's daemon executes what it has received, whoever waits for the answer. */
static bool may_be_done(const struct lease *lease, enum virt_op op)
{
	return lease->conn && lease->broken && op != VIRT_READ && op != VIRT_SNAPSHOT_READ;
}

int virt_fail(struct lease *lease, enum virt_op op, struct err *err)
{
	static const virError none = { .code = VIR_ERR_OK };
	const virError *last = virGetLastError();
	const virError *error = last ? last : &none;
	lease->broken = is_lost(lease, error);
	enum err_kind kind = lease->broken ? ERR_HYPERVISOR_UNAVAILABLE : kind_of(error, op);
	(void)err_set(err, kind, "%s", error_texts[kind].text);
	err->libvirt_code = error->code;
	err->libvirt_domain = error->domain;
	set_message(err, error->message ? error->message : "");
	if (!may_be_done(lease, op))
		return -1;
	err->unknown = true;
	(void)snprintf(err->text, sizeof err->text,
		"the connection to the host's libvirt was lost while this was under way");
	return err_hint(err, "it may have been done: look at the VM before you repeat it");
}
