/* SPDX-License-Identifier: MIT */
#include "vm/limits.h"

#include "definition/policy_rule.h"
#include "libvirt/virt_error.h"

#include <stdio.h>
#include <string.h>

enum { KIB = 1024 };

/* What a guest can have at most. */
struct size {
	int64_t memory_kib, vcpus;
};

static int64_t larger_of(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* 0: there is no such element. A value that cannot be read is larger than every limit. */
static int64_t read_kib(const struct xml_node *domain, const char *name)
{
	const struct xml_node *node = xml_child(domain, name);
	uint64_t bytes = 0;
	AUTO(free) char *text = node ? xml_node_text(node) : NULL;
	AUTO(free) char *unit = node ? xml_attr(node, "unit") : NULL;
	if (!node)
		return 0;
	return text && policy_read_size(text, unit, &bytes) ? (int64_t)((bytes + KIB - 1) / KIB)
							    : INT64_MAX;
}

static struct size read_domain_size(const struct xml_node *domain)
{
	static const char *const elements[] = { "memory", "currentMemory", "maxMemory" };
	struct size size = { .vcpus = 1 };
	char vcpus[24];
	for (size_t i = 0; i < ARRAY_LEN(elements); i++)
		size.memory_kib = larger_of(size.memory_kib, read_kib(domain, elements[i]));
	xml_copy_text(domain, "vcpu", vcpus, sizeof vcpus);
	size.vcpus = larger_of(size.vcpus, strtoll(vcpus, NULL, 10));
	return size;
}

static int read_memory_limit(
	const struct config *config, struct lease *lease, int64_t *ret_kib, struct err *err)
{
	virNodeInfo host;
	*ret_kib = (int64_t)config->max_memory * KIB;
	if (*ret_kib)
		return 0;
	if (virNodeGetInfo(lease->conn, &host) < 0)
		return virt_fail(lease, VIRT_READ, err);
	*ret_kib = (int64_t)host.memory;
	return 0;
}

static int check_memory(const struct config *config, struct lease *lease, int64_t kib,
	int64_t before, struct err *err)
{
	int64_t limit = 0;
	if (kib <= before)
		return 0;
	if (read_memory_limit(config, lease, &limit, err) < 0)
		return -1;
	if (kib <= limit)
		return 0;
	(void)err_set(err, ERR_POLICY_DENIED, "memory: a VM may have at most %lld KiB, %s",
		(long long)limit,
		config->max_memory ? "by VIRTGATE_MAX_MEMORY" : "as much as the host has");
	return err_hint(err, "ask for less; only the host\'s owner can raise VIRTGATE_MAX_MEMORY");
}

static int check_vcpus(const struct config *config, int64_t vcpus, int64_t before, struct err *err)
{
	if (!config->max_vcpus || vcpus <= config->max_vcpus || vcpus <= before)
		return 0;
	(void)err_set(err, ERR_POLICY_DENIED, "vcpus: a VM may have at most %d: VIRTGATE_MAX_VCPUS",
		config->max_vcpus);
	return err_hint(err, "ask for less; only the host\'s owner can raise VIRTGATE_MAX_VCPUS");
}

int limits_check_size(const struct config *config, struct lease *lease,
	const struct xml_node *domain, const struct xml_node *before, struct err *err)
{
	struct size size = read_domain_size(domain);
	struct size was = before ? read_domain_size(before) : (struct size){ 0, 0 };
	if (check_memory(config, lease, size.memory_kib, was.memory_kib, err) < 0)
		return -1;
	return check_vcpus(config, size.vcpus, was.vcpus, err);
}

static int check_images(const struct config *config, const struct disks *disks, struct err *err)
{
	uint64_t limit = (uint64_t)config->max_disk << 30;
	for (size_t i = 0; limit && disks && i < disks->count; i++) {
		if (disks->disks[i].capacity <= limit)
			continue;
		(void)err_set(err, ERR_POLICY_DENIED,
			"disks[%zu].capacity_bytes: an image may have at most %llu: "
			"VIRTGATE_MAX_DISK",
			disks->disks[i].index, (unsigned long long)limit);
		return err_hint(
			err, "ask for less; only the host\'s owner can raise VIRTGATE_MAX_DISK");
	}
	return 0;
}

static int check_count(const struct config *config, struct lease *lease, struct err *err)
{
	if (!config->max_vms)
		return 0;
	int active = virConnectNumOfDomains(lease->conn);
	int off = active < 0 ? -1 : virConnectNumOfDefinedDomains(lease->conn);
	if (off < 0)
		return virt_fail(lease, VIRT_READ, err);
	if (active + off < config->max_vms)
		return 0;
	(void)err_set(err, ERR_POLICY_DENIED, "there may be at most %d VMs: VIRTGATE_MAX_VMS",
		config->max_vms);
	return err_hint(err, "delete a VM first; only the host's owner can raise VIRTGATE_MAX_VMS");
}

int limits_check_new(const struct config *config, struct lease *lease,
	const struct xml_node *domain, const struct disks *disks, struct err *err)
{
	if (limits_check_size(config, lease, domain, NULL, err) < 0 ||
		check_images(config, disks, err) < 0)
		return -1;
	return check_count(config, lease, err);
}
