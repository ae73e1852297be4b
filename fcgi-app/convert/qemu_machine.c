/* SPDX-License-Identifier: MIT */
#include "convert/qemu_machine.h"

#include "base/text.h"

#include <string.h>
#include <strings.h>

static void set_accel(struct qemu_reading *r, struct qemu_option *o, const char *accel)
{
	/* QEMU tries the accelerators of a list in order, and so does VIRTGATE_ACCEL=auto. */
	r->guest->kvm = strcasestr(accel, "kvm") != NULL;
	qemu_say(o, QEMU_MAPPED, "type '%s'", r->guest->kvm ? "kvm" : "qemu");
}

int qemu_read_machine(struct qemu_reading *r, struct qemu_option *o)
{
	const char *type = qemu_list_take(&o->list, "type");
	const char *accel = qemu_list_take(&o->list, "accel");
	const char *acpi = qemu_list_take(&o->list, "acpi");
	const char *hpet = qemu_list_take(&o->list, "hpet");
	if (accel)
		set_accel(r, o, accel);
	if (acpi)
		r->guest->no_acpi = !strcmp(acpi, "off");
	if (hpet)
		r->guest->no_hpet = !strcmp(hpet, "off");
	if (type && !strncmp(type, "microvm", strlen("microvm"))) {
		qemu_say(o, QEMU_UNMAPPED,
			"libvirt has no microvm; the VM gets libvirt's default machine");
		return 0;
	}
	if (type)
		r->guest->machine = type;
	qemu_say(o, QEMU_MAPPED, "machine%s%s", type ? " " : "", type ? type : "");
	return 0;
}

int qemu_read_accel(struct qemu_reading *r, struct qemu_option *o)
{
	const char *accel = qemu_list_take(&o->list, "accel");
	set_accel(r, o, accel ? accel : "");
	return 0;
}

int qemu_read_cpu(struct qemu_reading *r, struct qemu_option *o)
{
	static const char *const modes[][2] = { { "host", "host-passthrough" },
		{ "max", "maximum" } };
	const char *model = qemu_list_take(&o->list, "model");
	if (!model)
		return qemu_bad(r, o, "the CPU model is missing");
	r->guest->cpu_mode = "custom";
	r->guest->cpu_model = model;
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		if (strcmp(model, modes[i][0]) != 0)
			continue;
		r->guest->cpu_mode = modes[i][1];
		r->guest->cpu_model = NULL;
	}
	qemu_say(o, QEMU_MAPPED, "cpu %s", model);
	return 0;
}

/* Like QEMU (hw/core/machine-smp.c): one missing part gets the rest, other missing parts are 1. */
static bool complete_topology(struct qemu_guest *g)
{
	int *const parts[] = { &g->sockets, &g->cores, &g->threads };
	int said = 1;
	int *open = NULL;
	for (size_t i = ARRAY_LEN(parts); i-- > 0;) {
		if (*parts[i])
			said *= *parts[i];
		else
			open = parts[i];
	}
	if (!g->sockets && !g->cores && !g->threads) {
		g->vcpus = g->vcpus ? g->vcpus : 1;
		return true;
	}
	if (!g->vcpus)
		g->vcpus = said;
	if (open)
		*open = g->vcpus / said;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		*parts[i] = *parts[i] ? *parts[i] : 1;
	return g->sockets * g->cores * g->threads == g->vcpus;
}

int qemu_read_smp(struct qemu_reading *r, struct qemu_option *o)
{
	struct qemu_guest *g = r->guest;
	const struct {
		const char *key;
		int *to;
	} parts[] = { { "sockets", &g->sockets }, { "cores", &g->cores },
		{ "threads", &g->threads }, { "cpus", &g->vcpus }, { "maxcpus", &g->vcpus } };
	g->vcpus = g->sockets = g->cores = g->threads = 0;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		const char *value = qemu_list_take(&o->list, parts[i].key);
		if (value && !qemu_read_count(value, parts[i].to))
			return qemu_bad(r, o, "a number of CPUs is a whole number from 1 to 4096");
	}
	if (!complete_topology(g))
		return qemu_bad(
			r, o, "sockets times cores times threads is not the number of CPUs");
	qemu_say(o, QEMU_MAPPED, "vcpus %d", g->vcpus);
	return 0;
}

int qemu_read_memory(struct qemu_reading *r, struct qemu_option *o)
{
	uint64_t bytes = 0;
	const char *size = qemu_list_take(&o->list, "size");
	if (!size || !qemu_read_size(size, 1 << 20, &bytes) || bytes < 1024)
		return qemu_bad(r, o,
			"memory is a number of MiB, or a number with a suffix such as 64M or 2G");
	r->guest->memory_kib = (int64_t)(bytes / 1024);
	qemu_say(o, QEMU_MAPPED, "memory_kib %lld", (long long)r->guest->memory_kib);
	return 0;
}

int qemu_read_name(struct qemu_reading *r, struct qemu_option *o)
{
	r->guest->name = qemu_list_take(&o->list, "guest");
	qemu_say(o, QEMU_MAPPED, "name");
	return 0;
}

int qemu_read_rtc(struct qemu_reading *r, struct qemu_option *o)
{
	const char *base = qemu_list_take(&o->list, "base");
	if (base && !text_is_word("utc|localtime", '|', base)) {
		qemu_say(o, QEMU_UNMAPPED, "virtgate has no clock that starts at a given date");
		return 0;
	}
	r->guest->localtime = base && !strcmp(base, "localtime");
	qemu_say(o, QEMU_MAPPED, "clock %s", r->guest->localtime ? "localtime" : "utc");
	return 0;
}

int qemu_read_boot(struct qemu_reading *r, struct qemu_option *o)
{
	const char *order = qemu_list_take(&o->list, "order");
	if (order)
		r->guest->boot = order;
	qemu_say(o, QEMU_MAPPED, "boot order");
	return 0;
}
