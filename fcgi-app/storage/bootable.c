/* SPDX-License-Identifier: MIT */
#include "storage/bootable.h"

#include "base/text.h"
#include "definition/policy.h"
#include "definition/policy_rule.h"
#include "files/hostpath.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* QEMU loads kernels at 1 MiB, so a VM with no more memory than that has no room for one. */
enum { MEMORY_MIN_KIB = 2048 };

/* The part of a kernel's file in which QEMU 7.2 looks for headers (hw/i386/x86.c, x86_load_linux).
 */
enum { HEAD_BYTES = 8192 };

struct kernel {
	int fd;
	uint64_t size;
	size_t head_len;
	unsigned char head[HEAD_BYTES];
};

static const char not_a_kernel[] = "is not a kernel that QEMU can start: a Linux bzImage, a "
				   "multiboot image, or an ELF file with a PVH note";

static uint32_t little_endian(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Linux, Documentation/x86/boot.rst, "The Real-Mode Kernel Header". */
static bool is_bzimage(const struct kernel *k)
{
	return k->head_len > 0x264 && k->head[0x1fe] == 0x55 && k->head[0x1ff] == 0xaa &&
		!memcmp(k->head + 0x202, "HdrS", 4);
}

/* Multiboot Specification 0.6.96, section 3.1: magic, flags and checksum make zero. */
static bool is_multiboot(const struct kernel *k, uint32_t *ret_flags)
{
	for (size_t i = 0; i + 12 <= k->head_len; i += 4) {
		const unsigned char *p = k->head + i;
		*ret_flags = little_endian(p + 4);
		if (little_endian(p) == 0x1badb002 &&
			0x1badb002 + *ret_flags + little_endian(p + 8) == 0)
			return true;
	}
	return false;
}

/* The header of an ELF file of either class, as a 64-bit one; and the same for a segment. */
static bool read_elf(const struct kernel *k, Elf64_Ehdr *ret)
{
	const unsigned char *id = k->head;
	if (k->head_len < sizeof(Elf64_Ehdr) || memcmp(id, ELFMAG, SELFMAG) != 0 ||
		id[EI_DATA] != ELFDATA2LSB)
		return false;
	if (id[EI_CLASS] == ELFCLASS64) {
		memcpy(ret, id, sizeof *ret);
		return ret->e_phentsize == sizeof(Elf64_Phdr);
	}
	Elf32_Ehdr narrow;
	memcpy(&narrow, id, sizeof narrow);
	*ret = (Elf64_Ehdr){ .e_machine = narrow.e_machine,
		.e_phoff = narrow.e_phoff,
		.e_phnum = narrow.e_phnum,
		.e_phentsize = narrow.e_phentsize };
	return id[EI_CLASS] == ELFCLASS32 && ret->e_phentsize == sizeof(Elf32_Phdr);
}

static bool read_segment(const struct kernel *k, const Elf64_Ehdr *elf, int i, Elf64_Phdr *ret)
{
	off_t at = (off_t)(elf->e_phoff + (uint64_t)i * elf->e_phentsize);
	if (elf->e_phoff > k->size)
		return false;
	if (elf->e_phentsize == sizeof *ret)
		return pread(k->fd, ret, sizeof *ret, at) == sizeof *ret;
	Elf32_Phdr narrow;
	if (pread(k->fd, &narrow, sizeof narrow, at) != sizeof narrow)
		return false;
	*ret = (Elf64_Phdr){ .p_type = narrow.p_type,
		.p_offset = narrow.p_offset,
		.p_paddr = narrow.p_paddr,
		.p_filesz = narrow.p_filesz,
		.p_memsz = narrow.p_memsz };
	return true;
}

/* The note that states a kernel's entry point (Xen's public/elfnote.h, PHYS32_ENTRY). */
static bool has_pvh_note(const struct kernel *k, const Elf64_Phdr *segment)
{
	enum { PHYS32_ENTRY = 18, NOTES_BYTES = 4096 };
	unsigned char notes[NOTES_BYTES];
	size_t want = segment->p_filesz < sizeof notes ? segment->p_filesz : sizeof notes;
	if (segment->p_type != PT_NOTE || segment->p_offset > k->size)
		return false;
	ssize_t n = pread(k->fd, notes, want, (off_t)segment->p_offset);
	for (size_t i = 0; n > 0 && i + 16 <= (size_t)n;) {
		uint32_t name = little_endian(notes + i);
		uint32_t desc = little_endian(notes + i + 4);
		if (little_endian(notes + i + 8) == PHYS32_ENTRY && name == 4 &&
			!memcmp(notes + i + 12, "Xen", 4))
			return true;
		if (name > sizeof notes || desc > sizeof notes)
			return false;
		i += 12 + (name + 3) / 4 * 4 + (desc + 3) / 4 * 4;
	}
	return false;
}

struct elf_kernel {
	bool pvh;
	uint64_t end; /* the address after its last byte in memory */
};

static struct elf_kernel read_segments(const struct kernel *k, const Elf64_Ehdr *elf)
{
	enum { SEGMENTS_MAX = 64 };
	struct elf_kernel found = { 0 };
	for (int i = 0; i < elf->e_phnum && i < SEGMENTS_MAX; i++) {
		Elf64_Phdr segment;
		if (!read_segment(k, elf, i, &segment))
			break;
		found.pvh = found.pvh || has_pvh_note(k, &segment);
		uint64_t end = segment.p_paddr + segment.p_memsz;
		if (segment.p_type == PT_LOAD && end > found.end)
			found.end = end;
	}
	return found;
}

/* NULL, and the bytes of memory that the kernel needs at least (0: not known); or why it cannot
 * start. */
static const char *kernel_refusal(const struct kernel *k, uint64_t *ret_bytes)
{
	/* The multiboot header itself gives the load addresses, whatever the file's format. */
	enum { MULTIBOOT_ADDRESSES = 1 << 16 };
	uint32_t flags = 0;
	Elf64_Ehdr elf;
	*ret_bytes = 0;
	if (is_bzimage(k)) {
		*ret_bytes = k->size;
		return NULL;
	}
	bool multiboot = is_multiboot(k, &flags);
	bool is_elf = read_elf(k, &elf);
	struct elf_kernel found = is_elf ? read_segments(k, &elf) : (struct elf_kernel){ 0 };
	*ret_bytes = found.end;
	if (multiboot && flags & MULTIBOOT_ADDRESSES)
		return NULL;
	if (multiboot && is_elf && elf.e_machine == EM_X86_64)
		return "is a 64-bit multiboot kernel, but QEMU loads only 32-bit ELF files as "
		       "multiboot";
	return multiboot || found.pvh ? NULL : not_a_kernel;
}

struct boot {
	const struct config *config;
	uint64_t memory; /* bytes */
	bool x86;
};

static int check_kernel_file(const struct boot *boot, int fd, const char *shown, struct err *err)
{
	struct stat st;
	struct kernel kernel = { .fd = fd };
	uint64_t needed = 0;
	ssize_t n = fstat(fd, &st) < 0 ? -1 : pread(fd, kernel.head, sizeof kernel.head, 0);
	if (n < 0)
		return 0; /* QEMU may be able to read it */
	kernel.size = (uint64_t)st.st_size;
	kernel.head_len = (size_t)n;
	const char *why = kernel_refusal(&kernel, &needed);
	if (why)
		return err_set(err, ERR_NOT_BOOTABLE, "kernel '%.128s' %s", shown, why);
	if (needed <= boot->memory)
		return 0;
	return err_set(err, ERR_NOT_BOOTABLE,
		"memory: kernel '%.128s' needs %llu KiB, and the VM has %llu", shown,
		(unsigned long long)(needed + 1023) / 1024,
		(unsigned long long)boot->memory / 1024);
}

static int check_boot_path(const struct policy_path *path, void *data, struct err *err)
{
	const struct boot *boot = data;
	bool kernel = !strcmp(path->where, "/domain/os/kernel");
	const char *shown = hostpath_below(path->root, path->value);
	if (!shown || path->kind == HOSTPATH_NEW_FILE)
		return 0;
	AUTO(close) int fd = hostpath_open(path->root, path->value);
	if (fd >= 0)
		return kernel && boot->x86 ? check_kernel_file(boot, fd, shown, err) : 0;
	if (errno != ENOENT && errno != ENOTDIR)
		return 0;
	return err_set(err, ERR_NOT_BOOTABLE, "%s: '%.200s' does not exist beneath %s", path->where,
		shown, path->setting);
}

static uint64_t read_memory(const struct xml_node *domain)
{
	const struct xml_node *node = xml_child(domain, "memory");
	AUTO(free) char *text = node ? xml_node_text(node) : NULL;
	AUTO(free) char *unit = node ? xml_attr(node, "unit") : NULL;
	uint64_t bytes = 0;
	return text && policy_read_size(text, unit, &bytes) ? bytes : UINT64_MAX;
}

int bootable_check(const struct hypervisor *hypervisor, const struct xml_node *domain,
	const struct config *config, struct err *err)
{
	const struct xml_node *type = xml_find(domain, "os/type");
	AUTO(free) char *arch = type ? xml_attr(type, "arch") : NULL;
	struct boot boot = {
		.config = config,
		.memory = read_memory(domain),
		.x86 = !arch || text_is_word("x86_64|i686", '|', arch),
	};
	if (boot.memory < (uint64_t)MEMORY_MIN_KIB * 1024 && xml_find(domain, "os/kernel"))
		return err_set(err, ERR_NOT_BOOTABLE,
			"memory: %llu KiB are too few for a kernel, which QEMU loads at 1 MiB; the "
			"VM "
			"needs at least %d",
			(unsigned long long)boot.memory / 1024, MEMORY_MIN_KIB);
	if (!hypervisor_is_local(hypervisor))
		return 0;
	return policy_each_path(domain, config, check_boot_path, &boot, err);
}
