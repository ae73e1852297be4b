/* SPDX-License-Identifier: MIT */
#include "virt.h"

#include "hash.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* A silent daemon is given up after KEEPALIVE_SECONDS * (KEEPALIVE_COUNT + 1). */
enum { KEEPALIVE_SECONDS = 5, KEEPALIVE_COUNT = 3 };

enum { CONNECTIONS_MAX = 16 };

struct host {
	char *name;
	char *uri;
	int max;

	pthread_mutex_t lock;
	pthread_cond_t pool_changed;
	virConnectPtr idle[CONNECTIONS_MAX];
	int idle_count;
	int open_count; /* idle, leased, and the one being opened */
	bool opening;   /* opening has no timeout of its own, so one at a time tries */
	pthread_cond_t gate_changed;
	struct gate *gates;
	int gate_file; /* that other processes lock, too; -1: there is none */

	pthread_cond_t long_changed;
	int long_max; /* works at a time */
	int long_count;
	int long_calls; /* of them */
};

/* The event loop */

static struct {
	pthread_t thread;
	atomic_bool stop;
	int timer;
} loop;

static void on_timer(int timer, void *data)
{
	(void)timer;
	(void)data;
}

static void *run_loop(void *data)
{
	(void)data;
	while (!atomic_load(&loop.stop))
		(void)virEventRunDefaultImpl();
	return NULL;
}

static void on_libvirt_error(void *data, virErrorPtr error)
{
	(void)data;
	(void)error;
}

int virt_start(struct err *err)
{
	/* libvirt's client writes to sockets that the daemon may have closed. */
	(void)signal(SIGPIPE, SIG_IGN);
	virSetErrorFunc(NULL, on_libvirt_error);
	if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0)
		return err_set(err, ERR_INTERNAL, "libvirt cannot be initialised");
	atomic_store(&loop.stop, false);
	loop.timer = virEventAddTimeout(-1, on_timer, NULL, NULL);
	if (loop.timer < 0 || pthread_create(&loop.thread, NULL, run_loop, NULL))
		return err_set(err, ERR_INTERNAL, "libvirt's event loop cannot be started");
	(void)pthread_setname_np(loop.thread, "libvirt-events");
	return 0;
}

void virt_stop(void)
{
	atomic_store(&loop.stop, true);
	virEventUpdateTimeout(loop.timer, 0); /* wakes it */
	(void)pthread_join(loop.thread, NULL);
	(void)virEventRemoveTimeout(loop.timer);
}

/* Hosts and leases */

struct host *virt_host_new(const char *name, const char *uri, int max_connections, int max_long)
{
	struct host *host = calloc(1, sizeof *host);
	if (!host)
		return NULL;
	host->name = strdup(name);
	host->uri = strdup(uri);
	host->max = max_connections < CONNECTIONS_MAX ? max_connections : CONNECTIONS_MAX;
	host->long_max = max_long > 1 ? max_long : 1;
	host->gate_file = -1;
	(void)pthread_mutex_init(&host->lock, NULL);
	cond_init_monotonic(&host->pool_changed);
	cond_init_monotonic(&host->gate_changed);
	cond_init_monotonic(&host->long_changed);
	if (host->name && host->uri)
		return host;
	virt_host_free(host);
	return NULL;
}

void virt_host_free(struct host *host)
{
	for (int i = 0; i < host->idle_count; i++)
		(void)virConnectClose(host->idle[i]);
	(void)pthread_cond_destroy(&host->pool_changed);
	(void)pthread_cond_destroy(&host->gate_changed);
	(void)pthread_cond_destroy(&host->long_changed);
	(void)pthread_mutex_destroy(&host->lock);
	if (host->gate_file >= 0)
		(void)close(host->gate_file);
	free(host->name);
	free(host->uri);
	free(host);
}

const char *virt_host_name(const struct host *host)
{
	return host->name;
}

static void forget_connection(struct host *host)
{
	LOCK(&host->lock);
	host->open_count--;
	(void)pthread_cond_signal(&host->pool_changed);
}

static void finish_opening(struct host *host)
{
	LOCK(&host->lock);
	host->opening = false;
	(void)pthread_cond_broadcast(&host->pool_changed);
}

virConnectPtr virt_connect(const struct host *host)
{
	virConnectPtr conn = virConnectOpen(host->uri[0] ? host->uri : NULL);
	if (conn)
		/* In-process drivers have none; the answer does not matter. */
		(void)virConnectSetKeepAlive(conn, KEEPALIVE_SECONDS, KEEPALIVE_COUNT);
	return conn;
}

/* A slot is reserved and the opener's place is ours; the lock is not held. */
static int open_connection(struct host *host, struct lease *ret, struct err *err)
{
	virConnectPtr conn = virt_connect(host);
	struct lease lease = { .host = host, .conn = conn };
	if (!conn)
		(void)virt_fail(&lease, VIRT_READ, err);
	finish_opening(host);
	if (!conn) {
		forget_connection(host);
		return -1;
	}
	*ret = lease;
	return 0;
}

enum turn { TURN_IDLE, TURN_OPEN, TURN_LATE };

/* Waits for an idle connection or for leave to open one. */
static enum turn await_turn(struct host *host, const struct timespec *deadline,
	virConnectPtr *ret_conn, bool *ret_opening)
{
	LOCK(&host->lock);
	for (bool late = false;;) {
		if (host->idle_count) {
			*ret_conn = host->idle[--host->idle_count];
			return TURN_IDLE;
		}
		if (host->open_count < host->max && !host->opening) {
			host->open_count++;
			host->opening = true;
			return TURN_OPEN;
		}
		*ret_opening = host->opening;
		if (late)
			return TURN_LATE;
		late = pthread_cond_timedwait(&host->pool_changed, &host->lock, deadline) ==
			ETIMEDOUT;
	}
}

int lease_take(struct host *host, struct lease *ret, struct err *err)
{
	struct timespec deadline = clock_after_ms(LEASE_WAIT_MS);
	for (;;) {
		virConnectPtr conn = NULL;
		bool opening = false;
		switch (await_turn(host, &deadline, &conn, &opening)) {
		case TURN_IDLE:
			if (virConnectIsAlive(conn) == 1) {
				*ret = (struct lease){ .host = host, .conn = conn };
				return 0;
			}
			(void)virConnectClose(conn);
			forget_connection(host);
			break;
		case TURN_OPEN:
			return open_connection(host, ret, err);
		case TURN_LATE:
			if (opening)
				return err_set(err, ERR_HYPERVISOR_UNAVAILABLE,
					"host '%s' does not answer", host->name);
			return err_set(err, ERR_HOST_BUSY,
				"all %d connections to host '%s' are busy", host->max, host->name);
		}
	}
}

void lease_give(struct lease *lease)
{
	struct host *host = lease->host;
	if (!lease->conn)
		return;
	if (lease->broken) {
		(void)virConnectClose(lease->conn);
		forget_connection(host);
	} else {
		LOCK(&host->lock);
		host->idle[host->idle_count++] = lease->conn;
		(void)pthread_cond_signal(&host->pool_changed);
	}
	*lease = (struct lease){ 0 };
}

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

int virt_read(struct host *host, virt_read_fn *read, void *data, struct err *err)
{
	for (int attempt = 1;; attempt++) {
		AUTO_LEASE struct lease lease = { 0 };
		if (lease_take(host, &lease, err) < 0)
			return -1;
		if (!read(&lease, data, err))
			return 0;
		if (!lease.broken || attempt == 2)
			return -1;
	}
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
	[ERR_UNKNOWN_POOL] = { "the VM names a storage pool that the host lacks", true },
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
	return -1;
}

/* The gate */

int virt_share_gates(struct host *host, const char *path, struct err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(
			err, ERR_INTERNAL, "'%s' cannot be opened: %s", path, strerror(errno));
	host->gate_file = fd;
	return 0;
}

/*
 * A key is a byte of the file, which the kernel lets go when the process ends. The locks are of the
 * open file and not of the thread, so they keep only other processes off. false: one has it.
 */
static bool lock_key(const struct host *host, const char *key, short type)
{
	char hash[HASH_SIZE];
	enum { DIGITS = 15 }; /* 60 bits: what an off_t holds */
	if (host->gate_file < 0)
		return true;
	hash_text(key, strlen(key), hash);
	hash[DIGITS] = '\0';
	struct flock lock = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)strtoull(hash, NULL, 16),
		.l_len = 1,
	};
	return !fcntl(host->gate_file, F_OFD_SETLK, &lock) || (errno != EAGAIN && errno != EACCES);
}

/* Nobody tells when another process lets go. */
static bool await_key(const struct host *host, const char *key, const struct timespec *deadline)
{
	static const struct timespec pause = { .tv_nsec = 5000000 };
	while (!lock_key(host, key, F_WRLCK)) {
		struct timespec now = clock_after_ms(0);
		if (now.tv_sec > deadline->tv_sec ||
			(now.tv_sec == deadline->tv_sec && now.tv_nsec >= deadline->tv_nsec))
			return false;
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	}
	return true;
}

static bool gate_is_held(const struct host *host, const char *key)
{
	for (const struct gate *g = host->gates; g; g = g->next)
		if (!strcmp(g->key, key))
			return true;
	return false;
}

static bool enter_here(
	struct host *host, const char *key, const struct timespec *deadline, struct gate *ret)
{
	LOCK(&host->lock);
	for (bool late = false; gate_is_held(host, key);) {
		if (late)
			return false;
		late = pthread_cond_timedwait(&host->gate_changed, &host->lock, deadline) ==
			ETIMEDOUT;
	}
	ret->host = host;
	(void)snprintf(ret->key, sizeof ret->key, "%s", key);
	ret->next = host->gates;
	host->gates = ret;
	return true;
}

static void leave_here(struct gate *gate)
{
	struct host *host = gate->host;
	LOCK(&host->lock);
	struct gate **at = &host->gates;
	while (*at != gate)
		at = &(*at)->next;
	*at = gate->next;
	gate->host = NULL;
	(void)pthread_cond_broadcast(&host->gate_changed);
}

int gate_enter_within(struct host *host, const char *key, int ms, struct gate *ret, struct err *err)
{
	struct timespec deadline = clock_after_ms(ms);
	bool entered = enter_here(host, key, &deadline, ret);
	if (entered && await_key(host, key, &deadline))
		return 0;
	if (entered)
		leave_here(ret);
	return err_set(err, ERR_VM_BUSY, "another operation on this VM is running");
}

int gate_enter(struct host *host, const char *key, struct gate *ret, struct err *err)
{
	return gate_enter_within(host, key, GATE_WAIT_MS, ret, err);
}

int gate_enter_for(
	struct host *host, const char *what, const char *uuid, struct gate *ret, struct err *err)
{
	char key[sizeof ret->key];
	(void)snprintf(key, sizeof key, "%s:%s", what, uuid);
	return gate_enter(host, key, ret, err);
}

void gate_leave(struct gate *gate)
{
	if (!gate->host)
		return;
	(void)lock_key(gate->host, gate->key, F_UNLCK);
	leave_here(gate);
}

/* Long work */

static bool take_place(struct host *host, enum long_kind kind, struct long_work *ret)
{
	int most_calls = host->max > 1 ? host->max / 2 : 1;
	if (host->long_count >= host->long_max ||
		(kind == LONG_CALL && host->long_calls >= most_calls))
		return false;
	host->long_count++;
	host->long_calls += kind == LONG_CALL;
	*ret = (struct long_work){ host, kind };
	return true;
}

bool long_try(struct host *host, enum long_kind kind, struct long_work *ret)
{
	LOCK(&host->lock);
	return take_place(host, kind, ret);
}

int long_enter(struct host *host, enum long_kind kind, struct long_work *ret, struct err *err)
{
	struct timespec deadline = clock_after_ms(LONG_WAIT_MS);
	LOCK(&host->lock);
	for (bool late = false; !take_place(host, kind, ret);) {
		if (late)
			return err_set(err, ERR_HOST_BUSY,
				"as much long work as host '%s' may have at a time is under way",
				host->name);
		late = pthread_cond_timedwait(&host->long_changed, &host->lock, &deadline) ==
			ETIMEDOUT;
	}
	return 0;
}

void long_rest(struct long_work *work)
{
	LOCK(&work->host->lock);
	work->host->long_calls -= work->kind == LONG_CALL;
	work->kind = LONG_WAIT;
	(void)pthread_cond_broadcast(&work->host->long_changed);
}

void long_leave(struct long_work *work)
{
	struct host *host = work->host;
	if (!host)
		return;
	LOCK(&host->lock);
	host->long_count--;
	host->long_calls -= work->kind == LONG_CALL;
	(void)pthread_cond_broadcast(&host->long_changed);
	work->host = NULL;
}

struct host_load virt_host_load(struct host *host)
{
	LOCK(&host->lock);
	struct host_load load = {
		.open = host->open_count,
		.idle = host->idle_count,
		.max = host->max,
		.long_works = host->long_count,
		.max_long = host->long_max,
	};
	for (const struct gate *g = host->gates; g; g = g->next)
		load.gates++;
	return load;
}
