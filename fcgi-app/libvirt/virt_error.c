/* SPDX-License-Identifier: MIT */
#include "libvirt/virt_error.h"

#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { ANY_OP = -1 };

/* The first row that fits: libvirt's code, what was being done, and libvirt's words. */
static const struct {
	int code;
	int op; /* enum virt_op, or ANY_OP */
	enum err_kind kind;
	const char *words; /* a part of the message; NULL: whatever it says */
} virt_error_rows[] = {
	{ VIR_ERR_NO_DOMAIN, ANY_OP, ERR_VM_NOT_FOUND },
	{ VIR_ERR_NO_DOMAIN_SNAPSHOT, ANY_OP, ERR_SNAPSHOT_NOT_FOUND },
	{ VIR_ERR_OPERATION_INVALID, VIRT_CREATE, ERR_START_FAILED },
	{ VIR_ERR_OPERATION_INVALID, VIRT_SAVE, ERR_UNSUPPORTED },
	{ VIR_ERR_OPERATION_INVALID, VIRT_SNAPSHOT_CREATE, ERR_SNAPSHOT_UNSUPPORTED },
	{ VIR_ERR_OPERATION_INVALID, ANY_OP, ERR_WRONG_STATE },
	{ VIR_ERR_OPERATION_FAILED, VIRT_DEFINE, ERR_ALREADY_EXISTS, "already" },
	{ VIR_ERR_OPERATION_FAILED, VIRT_DEFINE, ERR_UNSUPPORTED },
	{ VIR_ERR_OPERATION_FAILED, VIRT_CREATE, ERR_START_FAILED },
	{ VIR_ERR_OPERATION_FAILED, VIRT_START, ERR_START_FAILED },
	{ VIR_ERR_OPERATION_FAILED, VIRT_SNAPSHOT_CREATE, ERR_ALREADY_EXISTS, "already" },
	{ VIR_ERR_OPERATION_FAILED, VIRT_SNAPSHOT_CREATE, ERR_STORAGE_UNAVAILABLE },
	{ VIR_ERR_OPERATION_FAILED, VIRT_SNAPSHOT_REVERT, ERR_START_FAILED },
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
	/* Without libvirt's driver for networks, which may be a package of its own. */
	{ VIR_ERR_NO_CONNECT, VIRT_CREATE, ERR_UNKNOWN_NETWORK, "network:///" },
	{ VIR_ERR_NO_CONNECT, VIRT_START, ERR_UNKNOWN_NETWORK, "network:///" },
	{ VIR_ERR_NO_CONNECT, ANY_OP, ERR_HYPERVISOR_UNAVAILABLE },
	{ VIR_ERR_INVALID_CONN, ANY_OP, ERR_HYPERVISOR_UNAVAILABLE },
};

/* The sentence for the client. */
static const struct {
	const char *text;
	bool explained; /* libvirt's own words speak of the request, and follow */
} virt_error_texts[ERR_KIND_COUNT] = {
	[ERR_ABORTED] = { "the operation was aborted", false },
	[ERR_AGENT_UNAVAILABLE] = { "the VM's guest agent does not answer", false },
	[ERR_ALREADY_EXISTS] = { "this name or uuid exists already", false },
	[ERR_DENIED_BY_HYPERVISOR] = { "libvirt denies this operation", false },
	[ERR_HOST_BUSY] = { "the host is out of memory", false },
	[ERR_HYPERVISOR_UNAVAILABLE] = { "the host's libvirt cannot be reached", false },
	[ERR_INTERNAL] = { "the operation failed in libvirt", false },
	[ERR_INVALID_SPEC] = { "libvirt refuses a value", true },
	[ERR_INVALID_XML] = { "libvirt refuses the XML", true },
	[ERR_NOT_SUPPORTED_BY_DRIVER] = { "the host's libvirt driver does not support this",
		false },
	[ERR_REVERT_NEEDS_FORCE] = { "libvirt considers this revert risky", false },
	[ERR_SNAPSHOT_NOT_FOUND] = { "there is no such snapshot", false },
	[ERR_SNAPSHOT_UNSUPPORTED] = { "this VM or snapshot does not support that", true },
	[ERR_START_FAILED] = { "the hypervisor cannot start this VM", true },
	[ERR_STORAGE_UNAVAILABLE] = { "a file that the VM names is missing or unusable", false },
	[ERR_UNKNOWN_NETWORK] = { "the VM names a network or device that the host lacks", true },
	[ERR_UNKNOWN_POOL] = { "the VM names a storage pool that the host lacks", true },
	[ERR_UNSUPPORTED] = { "the host does not support this configuration", true },
	[ERR_VM_BUSY] = { "another operation on this VM is running", false },
	[ERR_VM_NOT_FOUND] = { "there is no such VM", false },
	[ERR_WRONG_STATE] = { "the VM's state does not allow this", false },
};

/*
 * libvirt reports as internal errors also: a mistake in a definition (a floppy on a SATA bus), what
 * its driver has no room for (a second IDE controller), and any reason for which QEMU ends while it
 * starts.
 */
static enum err_kind kind_of_internal_error(const virError *error, enum virt_op op)
{
	if (error->domain == VIR_FROM_DOMAIN && (op == VIRT_DEFINE || op == VIRT_CREATE))
		return ERR_INVALID_XML;
	if (op == VIRT_DEFINE)
		return ERR_UNSUPPORTED;
	return error->domain == VIR_FROM_QEMU || error->domain == VIR_FROM_DOMAIN ? ERR_START_FAILED
										  : ERR_INTERNAL;
}

/* libvirt keeps the errno of a system error in int1. */
static enum err_kind kind_of_system_error(const virError *error, enum virt_op op)
{
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
	/* QEMU has ended: its monitor, its process or its mounts are gone. */
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

static bool fits_row(size_t i, const virError *error, enum virt_op op)
{
	const char *words = virt_error_rows[i].words;
	return virt_error_rows[i].code == error->code &&
		(virt_error_rows[i].op == ANY_OP || virt_error_rows[i].op == (int)op) &&
		(!words || (error->message && strstr(error->message, words)));
}

static enum err_kind kind_of_error(const virError *error, enum virt_op op)
{
	for (size_t i = 0; i < ARRAY_LEN(virt_error_rows); i++)
		if (fits_row(i, error, op))
			return virt_error_rows[i].kind;
	bool starts = op == VIRT_DEFINE || op == VIRT_CREATE || op == VIRT_START ||
		op == VIRT_SNAPSHOT_REVERT;
	if (starts && error->code == VIR_ERR_INTERNAL_ERROR)
		return kind_of_internal_error(error, op);
	if (starts && error->code == VIR_ERR_SYSTEM_ERROR)
		return kind_of_system_error(error, op);
	return ERR_INTERNAL;
}

/*
 * Skips what does not help: the line of a schema error that names the schema's file, and "internal
 * error: ".
 */
static const char *skip_preamble(const char *message)
{
	static const char internal[] = "internal error: ";
	const char *schema = strstr(message, "Unable to validate doc against");
	const char *after = schema ? strchr(schema, '\n') : NULL;
	if (after)
		return after + 1;
	return message + (strncmp(message, internal, strlen(internal)) ? 0 : strlen(internal));
}

/* Keeps libvirt's words, on one line, for the log, and adds them to the text if they may go out. */
static void add_libvirt_words(struct err *err, const char *message)
{
	size_t n = 0;
	for (const char *p = skip_preamble(message); *p && n < sizeof err->private - 2; p++) {
		if (*p == '\n' && p[1])
			err->private[n++] = ';';
		if (*p != '\n' || p[1])
			err->private[n++] = *p == '\n' ? ' ' : *p;
	}
	err->private[n] = '\0';
	text_mask_controls(err->private);
	text_mask_malformed(err->private);
	/* A slash may be part of a path of the host. */
	if (virt_error_texts[err->kind].explained && n && !strchr(err->private, '/'))
		(void)snprintf(err->text, sizeof err->text, "%s: %.400s",
			virt_error_texts[err->kind].text, err->private);
}

int virt_fail(struct lease *lease, enum virt_op op, struct err *err)
{
	static const virError none = { .code = VIR_ERR_OK };
	const virError *last = virGetLastError();
	const virError *error = last ? last : &none;
	lease->broken =
		!lease->conn || (error->domain == VIR_FROM_RPC && error->code != VIR_ERR_RPC);
	enum err_kind kind = lease->broken ? ERR_HYPERVISOR_UNAVAILABLE : kind_of_error(error, op);
	(void)err_set(err, kind, "%s", virt_error_texts[kind].text);
	err->libvirt_code = error->code;
	err->libvirt_domain = error->domain;
	add_libvirt_words(err, error->message ? error->message : "");
	/* libvirtd carries out what it has received, whether its client still waits or not. */
	err->unknown = lease->conn && lease->broken && op != VIRT_READ && op != VIRT_SNAPSHOT_READ;
	if (!err->unknown)
		return -1;
	(void)snprintf(err->text, sizeof err->text,
		"the connection to the host's libvirt was lost during the operation");
	return err_hint(
		err, "the operation may have been done: look at the VM before you repeat it");
}
